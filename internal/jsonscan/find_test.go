package jsonscan

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The scanner takes the same documents for JSON as the standard library, finds
// the same values in them, and says so where another reader could find others.
func FuzzFind(f *testing.F) {
	for _, s := range []string{
		`{"model":"a","n":2,"images":[1,{"x":[]},"y"],"clip":{"seconds":2.5}}`, `{"model":"a","model":"b"}`, `{"mod\u0065l":"\ud83d\ude00","Model":1}`,
		` {"n":1e400,"model":null} `, `[]`, `{"n":-0.0e-1}`, "{\"n\":\"\\u00\"}", `{"images":"x","clip":[]}`, `{"MODEL":true}`, "\ufeff{}", `{"a":1}{"b":2}`,
	} {
		f.Add([]byte(s))
	}
	names := []string{"model", "n", "images.#", "clip.seconds"}
	tree := NewPaths()
	for i, n := range names {
		tree.Add(strings.Split(n, "."), i)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		values := make([]Value, len(names))
		ok := tree.Find(data, values)
		if valid := json.Valid(data); ok != valid && (ok || bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) < maxDepth) {
			t.Fatalf("%q: scanned %v, valid %v", data, ok, valid)
		}
		if !ok || !utf8.Valid(data) {
			return
		}
		members, ambiguous := topMembers(t, data, "model")
		if v := &values[0]; v.Ambiguous != ambiguous {
			t.Fatalf("%q: ambiguous %v, want %v", data, v.Ambiguous, ambiguous)
		} else if !ambiguous {
			sameValue(t, data, v, members["model"])
		}
		if images, bad := members["images"], values[2]; !bad.Ambiguous {
			sameCount(t, data, &bad, images)
		}
	})
}

// topMembers are the members of an object as the standard library reads them,
// and whether a name is there twice or in another case.
func topMembers(t *testing.T, data []byte, name string) (members map[string]json.RawMessage, ambiguous bool) {
	t.Helper()
	members = map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return members, false
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := key.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		_, again := members[text]
		ambiguous = ambiguous || text == name && again || text != name && strings.EqualFold(text, name) && len(text) < 4*len(name)+1
		members[text] = raw
	}
	return members, ambiguous
}

func sameValue(t *testing.T, data []byte, v *Value, raw json.RawMessage) {
	t.Helper()
	kind, text := Absent, ""
	switch {
	case len(raw) == 0 || raw[0] == 'n':
	case raw[0] == '"':
		kind = String
		if err := json.Unmarshal(raw, &text); err != nil {
			t.Fatal(err)
		}
	case raw[0] == '{' || raw[0] == '[':
		kind = Other
	case raw[0] == 't' || raw[0] == 'f':
		kind, text = Bool, string(raw)
	default:
		kind, text = Number, string(raw)
	}
	if v.Kind != kind || kind != Other && kind != Absent && v.Text != text {
		t.Fatalf("%q: found %d %q, want %d %q", data, v.Kind, v.Text, kind, text)
	}
}

func sameCount(t *testing.T, data []byte, v *Value, raw json.RawMessage) {
	t.Helper()
	var list []json.RawMessage
	array := len(raw) > 0 && raw[0] == '[' && json.Unmarshal(raw, &list) == nil
	if array != (v.Kind == Number) || array && v.Text != strconv.Itoa(len(list)) {
		t.Fatalf("%q: counted %d %q, want %d elements", data, v.Kind, v.Text, len(list))
	}
}

// Parsers take the first or the last of two equal keys, and some ignore case.
func TestAKeyThatParsersReadInTwoWaysIsAmbiguous(t *testing.T) {
	tree := NewPaths()
	tree.Add([]string{"model"}, 0)
	tree.Add([]string{"clip", "seconds"}, 1)
	for text, want := range map[string][2]bool{
		`{"model":"a","clip":{"seconds":1}}`:                         {},
		`{"model":"a","model":"b"}`:                                  {true, false},
		`{"model":"a","mod\u0065l":"b"}`:                             {true, false},
		`{"model":"a","Model":"b"}`:                                  {true, false},
		`{"MODEL":"a"}`:                                              {true, false},
		`{"model":"a","clip":{"seconds":1,"seconds":2}}`:             {false, true},
		`{"clip":{"seconds":1},"clip":{}}`:                           {false, true},
		`{"clip":{"Seconds":1}}`:                                     {false, true},
		`{"models":"a","x":{"model":1,"model":2},"y":{"seconds":1}}`: {},
	} {
		values := make([]Value, 2)
		if !tree.Find([]byte(text), values) {
			t.Errorf("%s: not read", text)
		}
		if got := [2]bool{values[0].Ambiguous, values[1].Ambiguous}; got != want {
			t.Errorf("%s: ambiguous %v, want %v", text, got, want)
		}
	}
}
