package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// member is a key of a JSON object with its value as it was written.
type member struct {
	key   string
	value json.RawMessage
}

// text is the value without the quotes of a string.
func (m member) text() string {
	var s string
	if json.Unmarshal(m.value, &s) == nil {
		return s
	}
	return string(m.value)
}

func (m member) null() bool { return string(m.value) == "null" }

var errNotObject = errors.New("not a JSON object")

// members are those of an object, in its order. A key that is there twice is an
// error: which of the two counts would be a guess.
func members(text []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject
	}
	var list []member
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: t.(string)} //nolint:forcetypeassert // keys are strings
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("%q: %w", m.key, err)
		}
		if seen[m.key] {
			return nil, fmt.Errorf("%q is there twice", m.key)
		}
		seen[m.key] = true
		list = append(list, m)
	}
	_, err := d.Token()
	return list, err
}

// find is the member with this key; the zero member if there is none.
func find(list []member, key string) member {
	for _, m := range list {
		if m.key == key {
			return m
		}
	}
	return member{}
}
