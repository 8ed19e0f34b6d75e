package dialect

import (
	"bytes"
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

	members members // of doc
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
	b.members = membersOf(b.doc)
	return b
}

// Member is the value at a dotted path of a JSON body; of a form, it does not exist.
func (b *Body) Member(path string) gjson.Result {
	if b.Kind.IsForm() {
		return gjson.Result{}
	}
	return b.members.get(path)
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

// maxNested bounds how deep members are looked at; nothing that is priced lies deeper.
const maxNested = 12

func duplicateBelow(v gjson.Result, path string, depth int) (field string) {
	if depth > maxNested || !v.IsObject() && !v.IsArray() {
		return ""
	}
	if v.IsObject() {
		if field = duplicateIn(v, path+"."); field != "" {
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

// duplicateIn is the path of the first key that an object has twice.
func duplicateIn(obj gjson.Result, path string) (field string) {
	var room [16]string
	few, many := room[:0], map[string]bool(nil)
	obj.ForEach(func(key, _ gjson.Result) bool {
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

// meteredKeys are the top-level names that change a price at an API.
type meteredKeys struct {
	names  map[string]bool
	folded map[string]string   // names in small letters, with the name
	list   []string            // in the order in which they are looked at
	below  map[string][]string // names within the objects of names
}

// keysOf are all names that a profile reads, and those that any API reads.
func keysOf(p *profile) *meteredKeys {
	k := &meteredKeys{names: map[string]bool{}, folded: map[string]string{}}
	add := func(name string) {
		if k.names[name] {
			return
		}
		k.names[name] = true
		k.list = append(k.list, name)
		if lower := strings.ToLower(name); k.folded[lower] == "" {
			k.folded[lower] = name
		}
	}
	for _, name := range common {
		add(name)
	}
	for _, path := range slices.Concat(p.limit.fields, p.multiples) {
		name, rest, deep := strings.Cut(path, ".")
		add(name)
		if deep {
			if k.below == nil {
				k.below = map[string][]string{}
			}
			k.below[name] = append(k.below[name], rest)
		}
	}
	return k
}

func init() { // profiles refer to each other, so this has to wait until all are there
	for _, p := range append(slices.Clone(profiles), &plain) {
		p.keys = keysOf(p)
		p.always = p.api(matched{})
	}
}

// miscased is the name that a key has in another case (by Unicode folding, as encoding/json does), "" if none.
func (k *meteredKeys) miscased(key []byte) string {
	if k.names[string(key)] {
		return ""
	}
	var room [64]byte
	if lower, ok := lowerASCII(room[:0], key); ok {
		return k.folded[string(lower)]
	}
	for _, name := range k.list {
		if strings.EqualFold(string(key), name) {
			return name
		}
	}
	return ""
}

// lowerASCII appends a key in small letters. Not ok: it has other letters than those of ASCII.
func lowerASCII(to, key []byte) ([]byte, bool) {
	for _, c := range key {
		if c >= 0x80 {
			return to, false
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to, true
}

// ambiguous returns the first metered member that is there twice, or has a key twice below it, or is spelled in another case. Parsers
// differ in which of two equal keys they take, and Go servers match keys in any case.
func (p *profile) ambiguous(list members) string {
	if field := p.duplicate(list); field != "" {
		return field
	}
	for i := range list {
		if name := p.keys.miscased(list[i].key); name != "" {
			return name
		}
	}
	for name, below := range p.keys.below {
		if field := list.miscasedBelow(name, below); field != "" {
			return field
		}
	}
	return list.miscasedBelow("stream_options", usageNames)
}

var usageNames = []string{"include_usage"}

func (m members) miscasedBelow(object string, names []string) string {
	if v := m.get(object); v.IsObject() {
		if field := miscased(v, names); field != "" {
			return object + "." + field
		}
	}
	return ""
}

// conversations are the members that hold the input of the model. They are long, and no price depends on them.
var conversations = []string{"messages", "contents", "system", "documents", "instructions", "input", "prompt"}

// duplicate returns the first metered name that occurs twice, or the path of a duplicate key below one of them, or "".
func (p *profile) duplicate(list members) string {
	for i := range list { // few of them are metered
		if key := list[i].key; p.keys.names[string(key)] && slices.ContainsFunc(list[:i], func(m topMember) bool { return bytes.Equal(m.key, key) }) {
			return string(key)
		}
	}
	for i := range list {
		m := &list[i]
		if !m.nested() || !p.keys.names[string(m.key)] || m.value[0] == '[' && slices.Contains(conversations, string(m.key)) {
			continue
		}
		if field := duplicateBelow(gjson.ParseBytes(m.value), string(m.key), 1); field != "" {
			return field
		}
	}
	return ""
}
