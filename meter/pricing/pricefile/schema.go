package pricefile

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Schema is the JSON Schema of the price file, for editors.
func Schema() []byte {
	var b strings.Builder
	b.WriteString(`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"pricing.schema.json","title":"pricing.yaml",` +
		`"description":"What one credit is, what every AI operation costs, and what every plan includes.",`)
	b.WriteString(Sections[0].schema()[1:])
	s := strings.TrimSuffix(b.String(), "}")
	b.Reset()
	b.WriteString(s + `,"$defs":{`)
	for _, t := range Types {
		b.WriteString(quoted(t.Name) + ":" + t.Schema + ",")
	}
	for i := range Sections[1:] {
		s := &Sections[i+1]
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quoted(s.Name) + ":")
		if other := instead[s.Name]; other != "" {
			b.WriteString(`{"oneOf":[` + reference(other) + "," + s.schema() + "]}")
		} else {
			b.WriteString(s.schema())
		}
	}
	b.WriteString("}}")
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(b.String()), "", " "); err != nil {
		panic(err) // the table above is not JSON
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func (s *Section) schema() string {
	var required, properties []string
	for _, k := range s.Keys {
		if k.Required != "" {
			required = append(required, quoted(k.Name))
		}
		p := strings.TrimSuffix(typeSchema(k.Type), "}") + `,"description":` + quoted(k.Doc)
		if k.Default != "" {
			p += `,"default":` + asJSON(k.Default)
		}
		properties = append(properties, quoted(k.Name)+":"+p+`,"examples":[`+asJSON(k.Example)+"]}")
	}
	text := `{"type":"object","additionalProperties":false`
	if len(required) > 0 {
		text += `,"required":[` + strings.Join(required, ",") + "]"
	}
	if more := rules[s.Name]; more != "" {
		text += "," + more
	}
	return text + `,"properties":{` + strings.Join(properties, ",") + "}}"
}

// typeSchema is the JSON Schema of a type by its name.
func typeSchema(name string) string {
	var words, list []string
	for _, a := range alternatives(name) {
		if word, ok := strings.CutPrefix(a, "'"); ok {
			words = append(words, asJSON(strings.TrimSuffix(word, "'")))
		} else {
			list = append(list, simpleSchema(a))
		}
	}
	switch {
	case len(words) == 1:
		list = append(list, `{"const":`+words[0]+"}")
	case len(words) > 1:
		list = append(list, `{"enum":[`+strings.Join(words, ",")+"]}")
	}
	if len(list) == 1 {
		return list[0]
	}
	return `{"oneOf":[` + strings.Join(list, ",") + "]}"
}

// simpleSchema is that of a type without alternatives.
func simpleSchema(name string) string {
	if item, _, size, ok := nested(name, "[]"); ok {
		return `{"type":"array"` + map[string]string{"+": `,"minItems":1`, "!": `,"minItems":1,"uniqueItems":true`}[size] + `,"items":` + typeSchema(item) + "}"
	}
	if item, names, size, ok := nested(name, "{}"); ok {
		text := `{"type":"object"`
		if size == "+" {
			text += `,"minProperties":1`
		}
		if names != "" {
			text += `,"propertyNames":` + reference(names)
		}
		return text + `,"additionalProperties":` + typeSchema(item) + "}"
	}
	return reference(name)
}

func reference(name string) string { return `{"$ref":"#/$defs/` + name + `"}` }

func quoted(s string) string { return string(quoteJSON(s)) }

// asJSON is a YAML value as JSON.
func asJSON(yaml string) string {
	var b strings.Builder
	writeJSON(&b, Parse("x: "+yaml).Get("x"))
	return b.String()
}
