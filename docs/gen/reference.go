package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// heading begins the part of the page that is generated, to its end.
const heading = "\n## Reference\n"

// tables are the definitions of the schema in the order of the page; "" is the
// file itself.
var tables = []struct{ def, title, text string }{
	{"", "The file", "A price file is one mapping. `version`, `credit` and `operations` are required."},
	{"credit", "credit", ""},
	{"operation", "`operations.<id>`", "Ids are small letters, digits, `-` and `_`. `match` and `price` are required."},
	{"measured", "`measure.<unit>` and `quantity`", "A field alone, or a mapping:"},
	{"rates", "Rates", "In `price`, beside them `per_<unit>` for any unit that is measured, or that the API reports (`image`, `second`, `page`, `character`, `search_unit`, `web_search`, `web_fetch`, `video`)."},
	{"tokenRates", "Kinds of tokens", "Under `per_token`, `per_1k_tokens` and `per_1m_tokens`; one number instead is the rate of `input` and `output`. A kind without a rate costs what its parent costs."},
	{"adjustment", "adjust", "A list; `when` is required, and one of `times` and `price`."},
	{"bounds", "Conditions", "In `when`, `where`, `refund_when`, `failed_when`, `done_when`: a field of the request or the answer, `model`, `service_tier`, `input_tokens`, `output_tokens`, a unit of `measure`, `hours` (`\"22:00-06:00\"`) and `days` (`[sat, sun]`) with `timezone`. The value is a text with `*`, a number, a list of which any fits, or bounds:"},
	{"job", "job", "`id`, `status` and `failed_when` are required."},
	{"webhook", "job.webhook", ""},
	{"model", "`models.<name>`", "Beside them `per_<unit>`."},
	{"plan", "`plans.<id>`", ""},
	{"grant", "`plans.<id>.credits`", "A list; `type` and `amount` are required."},
	{"overage", "`plans.<id>.overage`", ""},
	{"cap", "`plans.<id>.caps`", "A list; all keys are required."},
	{"selector", "Selectors", "`allow`, `deny`, `only_for`, `not_for`: a request is selected if any entry of any list fits."},
	{"pack", "`packs.<id>`", "`credits` and `price` are required."},
	{"alert", "alerts", "A list; each entry has one of these."},
	{"policies", "policies", ""},
	{"links", "links", ""},
}

// complete is the page with its reference part written anew.
func complete(page, schema []byte) ([]byte, error) {
	head, _, found := bytes.Cut(page, []byte(heading))
	if !found {
		return nil, fmt.Errorf("the page has no line %q", strings.TrimSpace(heading))
	}
	root, err := parse(schema)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(head)
	b.WriteString(heading)
	b.WriteString("\nEvery key, from the same definitions as the JSON Schema (`farebox meter prices schema`). Each example is loaded by a test.\n")
	for _, t := range tables {
		keys := properties(root, t.def)
		if len(keys) == 0 {
			return nil, errors.New("the schema defines no " + t.def)
		}
		fmt.Fprintf(&b, "\n### %s\n\n", t.title)
		if t.text != "" {
			b.WriteString(t.text + "\n\n")
		}
		b.WriteString("| Key | Type | Default | Example | Meaning |\n|---|---|---|---|---|\n")
		for _, k := range keys {
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` | %s |\n", k.name, cell(typeOf(root, k.value)), code(k.value.get("default")), example(k), cell(k.value.text("description")))
		}
	}
	return b.Bytes(), nil
}

// properties are the keys of a definition, wherever its schema says them.
func properties(root *tree, def string) []member {
	d := root
	if def != "" {
		d = root.get("$defs").get(def)
	}
	if p := d.get("properties"); p != nil {
		return p.members
	}
	if one := d.get("oneOf"); one != nil {
		for _, x := range one.items {
			if p := x.get("properties"); p != nil {
				return p.members
			}
		}
	}
	return nil
}

func example(k member) string {
	return k.name + ": " + k.value.get("examples").items[0].yaml()
}

func code(t *tree) string {
	if t == nil {
		return ""
	}
	return "`" + t.yaml() + "`"
}

// cell keeps a text from ending its cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

var names = map[string]string{
	"id": "id", "grantType": "type of credits", "amount": "number", "number": "number", "money": "money", "percent": "percentage",
	"duration": "duration", "every": "period", "requestSource": "field of the request", "source": "field", "route": "route",
	"price": "price", "conditions": "conditions", "adjust": "list of adjustments", "measured": "field, or mapping", "tokenRates": "number, or mapping by kind",
}

// typeOf is the type of a value in words.
func typeOf(root, s *tree) string {
	if ref := s.text("$ref"); ref != "" {
		name := strings.TrimPrefix(ref, "#/$defs/")
		if word, ok := names[name]; ok {
			return word
		}
		return typeOf(root, root.get("$defs").get(name))
	}
	if c := s.get("const"); c != nil {
		return code(c)
	}
	if e := s.get("enum"); e != nil {
		words := make([]string, 0, len(e.items))
		for _, x := range e.items {
			words = append(words, code(x))
		}
		return strings.Join(words, ", ")
	}
	if one := s.get("oneOf"); one != nil {
		words := make([]string, 0, len(one.items))
		for _, x := range one.items {
			words = append(words, typeOf(root, x))
		}
		return strings.Join(words, ", or ")
	}
	if t := s.get("type"); t != nil && t.items != nil { // a text that YAML may take for something else
		return "text"
	}
	switch s.text("type") {
	case "object":
		return "mapping"
	case "array":
		return "list of " + plural(typeOf(root, s.get("items")))
	case "string":
		return "text"
	case "integer", "number":
		return "number"
	case "boolean":
		return "`true`, `false`"
	}
	return "any"
}

func plural(s string) string {
	switch {
	case strings.HasPrefix(s, "`"):
		return s
	case strings.HasPrefix(s, "type "):
		return "types" + s[4:]
	}
	return s + "s"
}
