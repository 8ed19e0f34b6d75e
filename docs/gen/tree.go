package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// tree is a JSON value that keeps the order of its keys and the text of its
// numbers.
type tree struct {
	members []member // of an object
	items   []*tree  // of an array
	object  bool
	scalar  any // string, json.Number, bool or nil
}

type member struct {
	name  string
	value *tree
}

func parse(text []byte) (*tree, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return read(d)
}

func read(d *json.Decoder) (*tree, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return &tree{scalar: token}, nil
	}
	t := &tree{object: delim == '{'}
	for d.More() {
		name := ""
		if t.object {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name = fmt.Sprint(key)
		}
		value, err := read(d)
		if err != nil {
			return nil, err
		}
		if t.object {
			t.members = append(t.members, member{name, value})
		} else {
			t.items = append(t.items, value)
		}
	}
	_, err = d.Token()
	return t, err
}

func (t *tree) get(name string) *tree {
	if t == nil {
		return nil
	}
	for _, m := range t.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (t *tree) text(name string) string {
	if v := t.get(name); v != nil {
		s, _ := v.scalar.(string)
		return s
	}
	return ""
}

// plainText needs no quotes in flow YAML: it is no number, no word of YAML, and
// has none of its signs.
var plainText = regexp.MustCompile(`^[A-Za-z0-9/.$_][A-Za-z0-9 /.$_%*-]*$`)

var notText = regexp.MustCompile(`^([0-9._+-]+|true|false|null|~|[0-9]{4}-[0-9]{2}-[0-9]{2})$`)

// yaml is the value in YAML's flow style.
func (t *tree) yaml() string {
	var parts []string
	switch {
	case t.object:
		for _, m := range t.members {
			parts = append(parts, m.name+": "+m.value.yaml())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case t.items != nil:
		for _, x := range t.items {
			parts = append(parts, x.yaml())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	s, text := t.scalar.(string)
	switch {
	case t.scalar == nil && !text:
		return "[]"
	case !text:
		return fmt.Sprint(t.scalar)
	case plainText.MatchString(s) && !notText.MatchString(s):
		return s
	}
	return `"` + s + `"`
}
