package dialect

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/form"
)

// maxField bounds a form field that is read as text; a longer one counts as a file.
const maxField = 1 << 20

// Body is a request body that was read once.
type Body struct {
	Kind  form.Kind
	raw   []byte // as sent
	doc   []byte // JSON; of a form, its short fields
	files [][]byte
	odd   bool // only some servers take its Content-Type for that of a form
}

// ReadBody reads a decoded body by its Content-Type. A form that parsers read in different ways has no fields; pricing refuses it.
func ReadBody(contentType string, raw []byte) Body {
	b := Body{Kind: form.KindOf(contentType, raw), raw: raw, doc: raw}
	switch b.Kind {
	case form.Multipart:
		parts, err := form.Read(contentType, raw)
		if err != nil {
			parts = nil
		}
		b.fields(parts)
	case form.URLEncoded:
		b.fields(form.Fields(raw))
	case form.Other:
		kind := strings.ToLower(contentType)
		b.odd = len(raw) > 0 && (strings.Contains(kind, "multipart") || strings.Contains(kind, "urlencoded"))
	case form.JSON:
	}
	return b
}

// JSONBody is a body without a Content-Type.
func JSONBody(raw []byte) Body { return ReadBody("", raw) }

// Readable reports whether the body is valid JSON, a form, or something that no server takes for either.
func (b *Body) Readable() bool {
	return !b.odd && (b.Kind != form.JSON || jsonscan.Valid(b.raw))
}

// fields turns the short text fields into a JSON object, so that they are read by the same rules as a JSON body; repeated fields
// stay repeated. name[] and name[0] are name to many servers.
func (b *Body) fields(parts []form.Part) {
	b.doc = []byte{'{'}
	for i := range parts {
		p := &parts[i]
		if p.File || len(p.Value) > maxField {
			b.files = append(b.files, p.Value)
			continue
		}
		name, _, _ := strings.Cut(p.Name, "[")
		if name == "" {
			continue
		}
		if len(b.doc) > 1 {
			b.doc = append(b.doc, ',')
		}
		b.doc = append(append(b.doc, quote(name)...), ':')
		if text := string(p.Value); text == "true" || text == "false" {
			b.doc = append(b.doc, text...)
		} else {
			b.doc = append(b.doc, quote(text)...)
		}
	}
	b.doc = append(b.doc, '}')
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // cannot happen: strings always marshal
	}
	return b
}

// inner is a member of the request that is an object or an array.
type inner struct {
	key   string
	value []byte
}

// shallow copies the members of a request without the values that make it large; their keys stay. Reading the copy does not
// depend on the length of the conversation. lists are the objects and arrays that may matter to a price, in full. nil if body is
// not an object.
func (p *profile) shallow(body []byte) (out []byte, lists []inner) {
	if !jsonscan.IsObject(body) {
		return nil, nil
	}
	out = append(make([]byte, 0, 512), '{')
	for key, value := range jsonscan.Members(body) {
		if value[0] == '{' || value[0] == '[' {
			if name := jsonscan.Unescape(key); value[0] == '{' || !slices.Contains(conversations, name) {
				lists = append(lists, inner{name, value})
			}
		}
		switch string(key) {
		case "messages", "contents", "input", "system", "documents", "instructions", "tools", "prompt", "image", "images", "requests":
			if len(value) > 64 && string(key) != p.prompts {
				value = []byte("0")
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), key...), `":`...), value...)
	}
	return append(out, '}'), lists
}

// conversations are the members that hold the input of the model. They are long, and no price depends on them.
var conversations = []string{"messages", "contents", "system", "documents", "instructions", "input", "prompt"}

// duplicateKey returns the first of names that occurs twice, or the path of a duplicate key below one of them, or "". Parsers differ
// in which of two equal keys they take. doc is the request without its long values.
func duplicateKey(doc gjson.Result, lists []inner, names []string) string {
	if field := duplicateIn(doc, "", names); field != "" {
		return field
	}
	for _, m := range lists {
		if !slices.Contains(names, m.key) {
			continue
		}
		if field := duplicateBelow(gjson.ParseBytes(m.value), m.key, 1); field != "" {
			return field
		}
	}
	return ""
}

// maxNested bounds how deep members are looked at; nothing that is priced lies deeper.
const maxNested = 12

func duplicateBelow(v gjson.Result, path string, depth int) (field string) {
	if depth > maxNested || !v.IsObject() && !v.IsArray() {
		return ""
	}
	if v.IsObject() {
		if field = duplicateIn(v, path+".", nil); field != "" {
			return field
		}
	}
	v.ForEach(func(key, below gjson.Result) bool {
		if below.IsObject() || below.IsArray() {
			field = duplicateBelow(below, path+"."+key.String(), depth+1)
		}
		return field == ""
	})
	return field
}

// duplicateIn looks for names only, or for any if there are none.
func duplicateIn(obj gjson.Result, path string, names []string) (field string) {
	var room [16]string
	few, many := room[:0], map[string]bool(nil)
	obj.ForEach(func(key, _ gjson.Result) bool {
		if names != nil && !slices.Contains(names, key.Str) {
			return true
		}
		if slices.Contains(few, key.Str) || many[key.Str] {
			field = path + key.Str
			return false
		}
		if len(few) < cap(few) {
			few = append(few, key.Str)
			return true
		}
		if many == nil {
			many = map[string]bool{}
		}
		many[key.Str] = true
		return true
	})
	return field
}

// ambiguous returns the first metered member that is there twice, or spelled in another case.
func (p *profile) ambiguous(doc gjson.Result, lists []inner) string {
	top := common
	var nested map[string][]string
	for _, path := range slices.Concat(p.limit.fields, p.multiples) {
		name, rest, deep := strings.Cut(path, ".")
		if deep {
			if nested == nil {
				nested = map[string][]string{}
			}
			nested[name] = append(nested[name], rest)
		}
		if !slices.Contains(top, name) {
			top = append(top[:len(top):len(top)], name)
		}
	}
	if field := duplicateKey(doc, lists, top); field != "" {
		return field
	}
	if field := miscased(doc, top); field != "" {
		return field
	}
	for name, below := range nested {
		if v := doc.Get(name); v.IsObject() {
			if field := miscased(v, below); field != "" {
				return name + "." + field
			}
		}
	}
	if v := doc.Get("stream_options"); v.IsObject() {
		if field := miscased(v, []string{"include_usage"}); field != "" {
			return "stream_options." + field
		}
	}
	return ""
}

// miscased returns the first of names that obj has in another case (by Unicode folding, as encoding/json does).
func miscased(obj gjson.Result, names []string) (field string) {
	obj.ForEach(func(key, _ gjson.Result) bool {
		for _, name := range names {
			if key.Str != name && strings.EqualFold(key.Str, name) && !slices.Contains(names, key.Str) {
				field = name
				return false
			}
		}
		return true
	})
	return field
}
