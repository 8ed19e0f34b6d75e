package dialect

import (
	"slices"

	"github.com/tidwall/gjson"
)

// conversations are members that hold what a model reads, not what is asked of the server; they are long.
var conversations = []string{"messages", "contents", "system", "documents", "instructions", "input", "prompt"}

// twice returns the first of names that occurs twice, or a member below one of them that does, "" if there is none: parsers differ
// in which one they take. doc is the request without its long values.
func twice(doc gjson.Result, lists []inner, names []string) string {
	if field := twiceIn(doc, "", names); field != "" {
		return field
	}
	for _, m := range lists {
		if !slices.Contains(names, m.key) {
			continue
		}
		if field := twiceBelow(gjson.ParseBytes(m.value), m.key, 1); field != "" {
			return field
		}
	}
	return ""
}

// maxNested bounds how deep members are looked at; nothing that is priced lies deeper.
const maxNested = 12

func twiceBelow(v gjson.Result, path string, depth int) (field string) {
	if depth > maxNested || !v.IsObject() && !v.IsArray() {
		return ""
	}
	if v.IsObject() {
		if field = twiceIn(v, path+".", nil); field != "" {
			return field
		}
	}
	v.ForEach(func(key, below gjson.Result) bool {
		if below.IsObject() || below.IsArray() {
			field = twiceBelow(below, path+"."+key.String(), depth+1)
		}
		return field == ""
	})
	return field
}

// twiceIn looks for names only, or for any if there are none.
func twiceIn(obj gjson.Result, path string, names []string) (field string) {
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
