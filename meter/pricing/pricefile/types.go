package pricefile

import "strings"

// Section is a mapping of the price file, with its keys in the order of the
// reference.
type Section struct {
	Name  string // "" is the file itself
	Title string
	Text  string // above the table of the reference; may be empty
	Keys  []Key
}

// Key is one key of a section.
type Key struct {
	Name string
	// Type is the name of a section or of one of Types, a 'word', a list [type], or
	// a mapping {type} by names. A list or mapping with + behind it is not empty, a
	// list with ! has nothing twice, and " | " separates alternatives.
	Type     string
	Required string // what to write if the key is missing; "": it may be
	Default  string // in YAML; "": none
	Example  string // in YAML
	Doc      string // one or two sentences
}

// Type is a kind of value.
type Type struct {
	Name   string
	Words  string // in the reference
	Schema string // JSON Schema
}

const decimalText = `"^[0-9][0-9_]*(\\.[0-9]+)?$"`

// Types are the kinds of values that are no sections.
var Types = []Type{
	{"text", "text", `{"type":["string","number","boolean"],"minLength":1}`},
	{"boolean", "`true`, `false`", `{"type":"boolean"}`},
	{"count", "number", `{"type":"integer","minimum":1,"maximum":1000000}`},
	{"decimals", "number", `{"type":"integer","minimum":0,"maximum":9}`},
	{"id", "id", `{"type":["string","number","boolean"],"pattern":"^[a-z0-9][a-z0-9_-]{0,62}$"}`},
	{"unit", "unit", `{"pattern":"^[a-z][a-z0-9_]*$"}`},
	{"grantType", "type of credits", `{"type":"string","pattern":"^[a-z][a-z0-9_]{0,30}$"}`},
	{"number", "number", `{"description":"1_000 and 1000 are the same.","oneOf":[{"type":"number","minimum":0},{"type":"string","pattern":` + decimalText + `}]}`},
	{"amount", "number", `{"description":"An amount of credits. 1_000 and 1000 are the same.","oneOf":[{"type":"number","minimum":0},{"type":"string","pattern":` + decimalText + `}]}`},
	{"money", "money", `{"type":"string","pattern":"^[0-9][0-9_]*(\\.[0-9]+)? [A-Z]{3}$"}`},
	{"planPrice", "text", `{"type":"string","pattern":"^(custom|[0-9][0-9_]*(\\.[0-9]+)? [A-Z]{3}( / (month|quarter|year))?)$"}`},
	{"packPrice", "text", `{"type":"string","pattern":"^[0-9][0-9_]*(\\.[0-9]+)? [A-Z]{3}( to [0-9][0-9_]*(\\.[0-9]+)? [A-Z]{3})?$"}`},
	{"percent", "percentage", `{"type":"string","pattern":"^[0-9]+(\\.[0-9]+)?%$"}`},
	{"duration", "duration", `{"type":"string","pattern":"^[1-9][0-9_]* (minute|hour|day|week|month|year)s?$"}`},
	{"every", "period", `{"enum":["hour","day","week","month","quarter","year"]}`},
	{"date", "text", `{"type":"string","pattern":"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?$"}`},
	{"timezone", "text", `{"type":"string"}`},
	{"link", "text", `{"type":"string","format":"uri"}`},
	{"requestSource", "field of the request", `{"description":"Where to read a value: body.<JSON path>, form.<field>, header.<Name>, query.<name>, path.<n>, key.<attribute>, member.<attribute>.","type":"string","pattern":"^(body|form|header|query|path|key|member)\\.[^ ]+$"}`},
	{"source", "field", `{"type":"string","pattern":"^((body|form|header|query|path|key|member)\\.[^ ]+|response\\.(body\\.[^ ]+|header\\.[^ ]+|status))$"}`},
	{"route", "route", `{"type":"string","pattern":"^((GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) )?/[^ ]*$"}`},
	{"price", "price", `{"description":"A number (per request), \"free\", \"by_model\", or rates per unit.","oneOf":[{"$ref":"#/$defs/amount"},{"enum":["free","by_model"]},{"$ref":"#/$defs/rates"}]}`},
	{"conditionValue", "text, number, list or bounds", `{"oneOf":[{"type":["string","number","boolean"]},{"type":"array","minItems":1,"items":{"type":["string","number","boolean"]}},{"$ref":"#/$defs/bounds"}]}`},
	{"conditions", "conditions", `{"description":"All must hold. A list means any of. * matches anything. Besides fields: model, service_tier, input_tokens, output_tokens, a unit of \"measure\", hours (\"22:00-06:00\"), days ([sat, sun]) with timezone.","type":"object","minProperties":1,"additionalProperties":{"$ref":"#/$defs/conditionValue"}}`},
	{"adjust", "list of adjustments", `{"description":"Every entry whose \"when\" holds applies, from top to bottom: \"times\" multiplies all rates; \"price\" with rates replaces those it names and leaves the others; \"price\" with a number, free or by_model replaces the whole price.","type":"array","minItems":1,"items":{"$ref":"#/$defs/adjustment"}}`},
	{"freeTier", "mapping", `{"type":"object","required":["every"],"minProperties":2,"maxProperties":2,"properties":{"every":{"$ref":"#/$defs/every"}},"additionalProperties":{"$ref":"#/$defs/number"}}`},
	{"unitReserve", "mapping", `{"type":"object","propertyNames":{"enum":["image","video","second","page","character","search_unit","web_search","web_fetch"]},"additionalProperties":{"$ref":"#/$defs/number"}}`},
	{"metadata", "mapping", `{"type":"object"}`},
}

const unitRates = `"patternProperties":{"^per_(?!request$|token$|1k_tokens$|1m_tokens$)[a-z][a-z0-9_]*$":{"$ref":"#/$defs/amount"}}`

// instead is what may be written instead of the mapping of a section.
var instead = map[string]string{"measured": "source", "tokenRates": "amount"}

// rules are further words of the JSON Schema for sections whose keys depend on
// one another.
var rules = map[string]string{
	"rates":      `"minProperties":1,` + unitRates,
	"model":      unitRates,
	"tokenRates": `"minProperties":1`,
	"adjustment": `"oneOf":[{"required":["times"]},{"required":["price"]}]`,
	"bounds":     `"minProperties":1`,
	"selector":   `"minProperties":1`,
	"grant":      `"not":{"required":["every","expires"]}`,
	"plan":       `"dependentRequired":{"overage":["when_empty"]}`,
	"concurrent": `"minProperties":1`,
	"alert":      `"minProperties":1,"maxProperties":1`,
}

// section is the section with a name; keys of the file's own sections are constants.
func section(name string) *Section {
	for i := range Sections {
		if Sections[i].Name == name {
			return &Sections[i]
		}
	}
	panic("no section " + name)
}

// Names are the keys of a section.
func (s *Section) Names() []string {
	names := make([]string, 0, len(s.Keys))
	for i := range s.Keys {
		names = append(names, s.Keys[i].Name)
	}
	return names
}

// words are those that a key may have, in the order of the table; place is its
// section and name: "plan.renews".
func words(place string) (list []string) {
	name, key, _ := strings.Cut(place, ".")
	for _, k := range section(name).Keys {
		if k.Name != key {
			continue
		}
		for _, a := range strings.Split(strings.Trim(k.Type, "[]"), " | ") {
			if word, ok := strings.CutPrefix(a, "'"); ok {
				list = append(list, strings.TrimSuffix(word, "'"))
			}
		}
	}
	return list
}

// alternatives are the parts of a type's name.
func alternatives(name string) []string {
	if strings.HasPrefix(name, "[") || strings.HasPrefix(name, "{") {
		return []string{name}
	}
	return strings.Split(name, " | ")
}

// nested is the type of the items of a list or of the values of a mapping, the
// type of its names, and what is said of its size: "", "+" or "!".
func nested(name, brackets string) (item, names, size string, ok bool) {
	rest, ok := strings.CutPrefix(name, brackets[:1])
	if !ok {
		return "", "", "", false
	}
	item, size, _ = strings.Cut(rest, brackets[1:])
	if before, after, two := strings.Cut(item, " "); two && brackets == "{}" {
		return after, before, size, true
	}
	return item, "", size, true
}

// TypeWords is a type in words, for the reference: "number, or `unlimited`".
func TypeWords(name string) string {
	var list []string
	words := false // the last of the list is a 'word'
	for _, a := range alternatives(name) {
		word, isWord := strings.CutPrefix(a, "'")
		text := simpleWords(a)
		if isWord {
			text = "`" + strings.TrimSuffix(word, "'") + "`"
		}
		if isWord && words {
			list[len(list)-1] += ", " + text
		} else {
			list = append(list, text)
		}
		words = isWord
	}
	return strings.Join(list, ", or ")
}

func simpleWords(name string) string {
	if item, _, _, ok := nested(name, "[]"); ok {
		return "list of " + plural(TypeWords(item))
	}
	for _, t := range Types {
		if t.Name == name {
			return t.Words
		}
	}
	if other := instead[name]; other == "source" {
		return "field, or mapping"
	} else if other != "" {
		return "number, or mapping by kind"
	}
	return "mapping"
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
