// Package openapi describes an API as OpenAPI 3.1, from the Go types that its
// handlers read and write, so that the description cannot differ from them.
package openapi

import (
	"encoding/json"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
)

// Operation is one endpoint.
type Operation struct {
	Pattern     string // as http.ServeMux has it: "GET /v1/charges/{charge}"
	Summary     string
	Tag         string
	Params      []Param // of the query
	Idempotency bool    // the header Idempotency-Key is required
	In          any     // zero value of the request's body; nil: none, or see InMedia
	InMedia     string  // of a body that is not JSON
	Out         any     // zero value of the answer; nil: see Media
	Media       string  // of an answer that is not JSON
	Public      bool    // needs no key
}

// CheckQuery allows only the parameters of the operation, and more, each once and
// with one of its values: a misspelt filter must not show everything. The error is input.ErrInvalid.
func (o *Operation) CheckQuery(rawQuery string, more ...string) error {
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return input.Errorf("the query of the URL cannot be read: %v", err)
	}
	names := slices.Clone(more)
	for _, p := range o.Params {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	for name, values := range q {
		switch {
		case len(names) == 0:
			return input.Errorf("unknown parameter %q; this endpoint has no parameters", name)
		case !slices.Contains(names, name):
			return input.Errorf("unknown parameter %q; the parameters are: %s", name, strings.Join(names, ", "))
		case len(values) > 1:
			return input.Errorf("the parameter %s is there %d times; send it once", name, len(values))
		}
	}
	for _, p := range o.Params {
		if v := q.Get(p.Name); v != "" && p.OneOf != nil && !slices.Contains(p.OneOf, v) {
			return input.Errorf("%s=%s; write one of: %s", p.Name, v, strings.Join(p.OneOf, ", "))
		}
	}
	return nil
}

// Param is a parameter of the query. OneOf, if set, lists its values.
type Param struct {
	Name, Description string
	OneOf             []string
}

// Document is the whole description, indented, always in the same order.
func Document(title, description, version string, servers []string, ops []Operation) ([]byte, error) {
	d := &document{schemas: map[string]any{}}
	paths := map[string]map[string]any{}
	for i := range ops {
		method, path, _ := strings.Cut(ops[i].Pattern, " ")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(method)] = d.operation(&ops[i], path)
	}
	d.schemas["Error"] = object{"type": "object", "required": []string{"error", "reason"}, "properties": object{
		"error":  object{"type": "string", "description": "what is wrong, and what to do about it"},
		"reason": object{"type": "string", "description": "for programs: see the list of errors"},
	}}
	urls := []object{}
	for _, s := range servers {
		urls = append(urls, object{"url": s})
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0", "servers": urls, "paths": paths,
		"info": object{"title": title, "description": description, "version": version, "license": object{"name": "Apache 2.0", "identifier": "Apache-2.0"}},
		"components": object{"schemas": d.schemas, "securitySchemes": object{
			"key":    object{"type": "http", "scheme": "bearer", "description": "an API key (fb_live_…) or an operator's key (fb_op_…)"},
			"cookie": object{"type": "apiKey", "in": "cookie", "name": "farebox_session", "description": "a session of a browser"},
		}},
	}, "", "  ")
}

type object = map[string]any

type document struct{ schemas map[string]any }

var pathParam = regexp.MustCompile(`\{([a-z]+)\}`)

func (d *document) operation(o *Operation, path string) object {
	params := []object{}
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range o.Params {
		schema := object{"type": "string"}
		if p.OneOf != nil {
			schema["enum"] = p.OneOf
		}
		params = append(params, object{"name": p.Name, "in": "query", "description": p.Description, "schema": schema})
	}
	if o.Idempotency {
		params = append(params, object{
			"name": "Idempotency-Key", "in": "header", "required": true, "schema": object{"type": "string", "maxLength": 255},
			"description": "the same key and body get the first response again (Idempotency-Replayed: true), another body gets a 409",
		})
	}
	answer := object{"description": "the answer"}
	switch {
	case o.Out != nil:
		answer["content"] = object{"application/json": object{"schema": d.schema(reflect.TypeOf(o.Out))}}
	case o.Media != "":
		answer["content"] = object{o.Media: object{"schema": object{"type": "string"}}}
	}
	failure := func(what string) object {
		return object{"description": what, "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Error"}}}}
	}
	op := object{
		"operationId": operationID(o.Pattern), "summary": o.Summary, "tags": []string{o.Tag}, "parameters": params,
		"responses": object{"200": answer, "4XX": failure("the request is refused"), "5XX": failure("the gateway cannot do it now")},
		"security":  []object{{"key": []string{}}, {"cookie": []string{}}},
	}
	if o.Public {
		op["security"] = []object{{}}
	}
	if o.InMedia != "" {
		op["requestBody"] = object{"required": true, "content": object{o.InMedia: object{"schema": object{"type": "string"}}}}
	}
	if o.In != nil {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": d.schema(reflect.TypeOf(o.In))}}}
	}
	return op
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// schema is the JSON Schema of what encoding/json makes of a type.
func (d *document) schema(t reflect.Type) object {
	switch t {
	case timeType:
		return object{"type": "string", "format": "date-time"}
	case rawType:
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{d.schema(t.Elem()), {"type": "null"}}}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	default:
		return object{} // anything
	}
}

// structure is a reference to the schema of a named struct, or the schema of
// one without a name.
func (d *document) structure(t reflect.Type) object {
	name := schemaName(t)
	if name == "" {
		return d.properties(t)
	}
	if _, known := d.schemas[name]; !known {
		d.schemas[name] = object{} // it may refer to itself
		d.schemas[name] = d.properties(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

var generic = regexp.MustCompile(`^(\w+)\[(?:.*[./])?(\w+)\]$`)

// schemaName is "ChargeView", and "ChargeViewList" for List[ChargeView].
func schemaName(t reflect.Type) string {
	name := t.Name()
	if m := generic.FindStringSubmatch(name); m != nil {
		name = m[2] + m[1]
	}
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// Fields are the names of the fields of a body, from its zero value; none if it is
// nil.
func Fields(body any) (names []string) {
	if body == nil {
		return nil
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(body)) {
		if name, _ := fieldName(&f); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// fieldName is the name that encoding/json gives to a field, and its options; ""
// if it leaves it out.
func fieldName(f *reflect.StructField) (name, options string) {
	if f.Anonymous || !f.IsExported() {
		return "", ""
	}
	name, options, _ = strings.Cut(f.Tag.Get("json"), ",")
	switch name {
	case "-":
		return "", ""
	case "":
		return f.Name, options
	}
	return name, options
}

func (d *document) properties(t reflect.Type) object {
	props, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options := fieldName(&f)
		if name == "" {
			continue
		}
		props[name] = d.schema(f.Type)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	s := object{"type": "object", "properties": props}
	if len(required) > 0 {
		slices.Sort(required)
		s["required"] = required
	}
	return s
}
