package pricefile_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// jsonSchema checks values by the words of JSON Schema that the price file's
// schema uses; another word is an error of the test.
type jsonSchema struct {
	root     map[string]any
	t        *testing.T
	patterns map[string]*regexp.Regexp
}

// matches reports whether a pattern fits. Go has no lookahead; the names that the
// schema keeps out with it are properties of their own, which come first.
func (c *jsonSchema) matches(pattern, text string) bool {
	r := c.patterns[pattern]
	if r == nil {
		r = regexp.MustCompile(withoutLookahead.ReplaceAllString(pattern, ""))
		c.patterns[pattern] = r
	}
	return r.MatchString(text)
}

var withoutLookahead = regexp.MustCompile(`\(\?![^)]*\)`)

// takes reports whether the schema s takes the value v.
func (c *jsonSchema) takes(s map[string]any, v any) bool {
	for _, word := range slices.Sorted(maps.Keys(s)) {
		if !c.word(word, s, v) {
			return false
		}
	}
	return true
}

func (c *jsonSchema) word(word string, s map[string]any, v any) bool {
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	text, isText := v.(string)
	number, isNumber := asNumber(v)
	arg := s[word]
	switch word {
	case "$schema", "$id", "title", "description", "default", "examples", "format", "$defs", "properties", "patternProperties":
		return true
	case "$ref":
		return c.takes(c.definition(arg.(string)), v)
	case "type":
		return slices.Contains(words(arg), kindOf(v)) || slices.Contains(words(arg), "number") && isNumber
	case "const":
		return equalJSON(arg, v)
	case "enum":
		return slices.ContainsFunc(arg.([]any), func(x any) bool { return equalJSON(x, v) })
	case "oneOf":
		n := 0
		for _, x := range arg.([]any) {
			if c.takes(x.(map[string]any), v) {
				n++
			}
		}
		return n == 1
	case "not":
		return !c.takes(arg.(map[string]any), v)
	case "required":
		return !isObject || !slices.ContainsFunc(words(arg), func(name string) bool { _, ok := object[name]; return !ok })
	case "dependentRequired":
		for name, others := range arg.(map[string]any) {
			if _, ok := object[name]; ok && !c.word("required", map[string]any{"required": others}, v) {
				return false
			}
		}
		return true
	case "additionalProperties":
		return !isObject || c.members(s, object)
	case "propertyNames":
		return !slices.ContainsFunc(slices.Collect(maps.Keys(object)), func(k string) bool { return !c.takes(arg.(map[string]any), k) })
	case "minProperties":
		return !isObject || len(object) >= int(arg.(float64))
	case "maxProperties":
		return !isObject || len(object) <= int(arg.(float64))
	case "items":
		return !slices.ContainsFunc(list, func(x any) bool { return !c.takes(arg.(map[string]any), x) })
	case "minItems":
		return !isList || len(list) >= int(arg.(float64))
	case "uniqueItems":
		for i := range list {
			if slices.ContainsFunc(list[:i], func(x any) bool { return equalJSON(x, list[i]) }) {
				return false
			}
		}
		return true
	case "minLength":
		return !isText || len(text) >= int(arg.(float64))
	case "pattern":
		return !isText || c.matches(arg.(string), text)
	case "minimum":
		return !isNumber || number >= arg.(float64)
	case "maximum":
		return !isNumber || number <= arg.(float64)
	}
	c.t.Fatalf("the schema uses the word %q, which this test does not know", word)
	return false
}

// members are properties, then patternProperties, then additionalProperties.
func (c *jsonSchema) members(s, object map[string]any) bool {
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for name, v := range object {
		if p, ok := properties[name].(map[string]any); ok {
			if !c.takes(p, v) {
				return false
			}
			continue
		}
		matched := false
		for pattern, p := range patterns {
			if c.matches(pattern, name) {
				if matched = true; !c.takes(p.(map[string]any), v) {
					return false
				}
			}
		}
		if matched {
			continue
		}
		switch more := s["additionalProperties"].(type) {
		case bool:
			if !more {
				return false
			}
		case map[string]any:
			if !c.takes(more, v) {
				return false
			}
		}
	}
	return true
}

func (c *jsonSchema) definition(ref string) map[string]any {
	d, ok := c.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	if !ok {
		c.t.Fatalf("the schema defines no %s", ref)
	}
	return d
}

func words(v any) (list []string) {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	for _, x := range v.([]any) {
		list = append(list, x.(string))
	}
	return list
}

func asNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case uint64:
		return float64(n), true
	case int64:
		return float64(n), true
	}
	return 0, false
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		return "number"
	}
	return "integer"
}

func equalJSON(a, b any) bool {
	x, okX := asNumber(a)
	y, okY := asNumber(b)
	return okX && okY && x == y || !okX && !okY && reflect.DeepEqual(a, b)
}

func theSchema(t *testing.T) *jsonSchema {
	t.Helper()
	text, err := os.ReadFile("../../../docs/pricing.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	c := &jsonSchema{t: t, patterns: map[string]*regexp.Regexp{}}
	if err := json.Unmarshal(text, &c.root); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSchemaAndLoader: both take the examples; of files with one thing changed,
// the schema refuses none that the loader takes, and most that it does not.
func TestSchemaAndLoader(t *testing.T) {
	schema := theSchema(t)
	files, _ := filepath.Glob("../../../testdata/pricing/examples/*.yaml")
	var tried, compared, refused, byBoth int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		if !schema.takes(schema.root, tree) {
			t.Errorf("the schema refuses %s", file)
		}
		change(tree, func(tree any) any { return tree }, "", func(what string, changed any) {
			every := 41
			if strings.Contains(file, "7-corner") { // has every word
				every = 4
			}
			if tried++; tried%every != 0 && os.Getenv("FAREBOX_LONG") == "" {
				return
			}
			b := &strings.Builder{}
			printYAML(b, changed, 0)
			book, problems := pricefile.Load("changed.yaml", []byte(b.String()))
			takes := schema.takes(schema.root, changed)
			compared++
			if book == nil {
				refused++
				if !takes {
					byBoth++
				} else if os.Getenv("FAREBOX_VERBOSE") != "" {
					t.Logf("%s: only the loader refuses: %s", what, problems[0].Text())
				}
			}
			if book != nil && !takes {
				t.Errorf("%s: %s: the schema refuses what the loader takes", filepath.Base(file), what)
			}
		})
	}
	t.Logf("%d changed files: the loader refuses %d, the schema %d of these", compared, refused, byBoth)
	if compared < 500 || byBoth*100 < refused*80 {
		t.Errorf("the schema refuses %d of %d", byBoth, refused)
	}
}

// change calls fn with the tree, changed at one place at a time.
func change(v any, put func(any) any, path string, fn func(what string, changed any)) {
	for name, other := range map[string]any{"a list": []any{}, "a mapping": map[string]any{}, "negative": int64(-1), "empty": "", "true": true, "a word": "zzz"} {
		fn(path+" is "+name, put(other))
	}
	switch x := v.(type) {
	case map[string]any:
		with := func(key string, value any) any {
			m := maps.Clone(x)
			m[key] = value
			return put(m)
		}
		fn(path+" has zzz", with("zzz", uint64(1)))
		for _, key := range slices.Sorted(maps.Keys(x)) {
			m := maps.Clone(x)
			delete(m, key)
			fn(path+" has no "+key, put(m))
			change(x[key], func(value any) any { return with(key, value) }, path+"."+key, fn)
		}
	case []any:
		for i := range x {
			change(x[i], func(value any) any {
				list := slices.Clone(x)
				list[i] = value
				return put(list)
			}, fmt.Sprintf("%s[%d]", path, i), fn)
		}
	}
}

// printYAML writes a tree with a line for each key, numbers without exponents.
func printYAML(b *strings.Builder, v any, depth int) {
	indent := strings.Repeat(" ", depth)
	switch x := v.(type) {
	case map[string]any:
		if len(x) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteString("\n")
		for _, key := range slices.Sorted(maps.Keys(x)) {
			b.WriteString(indent + strconv.Quote(key) + ":")
			printYAML(b, x[key], depth+1)
		}
	case []any:
		if len(x) == 0 {
			b.WriteString(" []\n")
			return
		}
		b.WriteString("\n")
		for _, item := range x {
			b.WriteString(indent + "-")
			printYAML(b, item, depth+1)
		}
	case string:
		b.WriteString(" " + strconv.Quote(x) + "\n")
	case float64:
		b.WriteString(" " + strconv.FormatFloat(x, 'f', -1, 64) + "\n")
	case nil:
		b.WriteString("\n")
	default:
		fmt.Fprintf(b, " %v\n", x)
	}
}
