// Package lenient reads request bodies as servers in use do, each with its own
// leniency: Node's body-parser, querystring and busboy, Python's json, urllib,
// Flask and Starlette, and Go's encoding/json. They are small emulations for
// tests: what a gateway priced must be what each of them reads.
package lenient

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf16"
)

// Server is one way to read a body. Read returns the fields, as text, and
// whether the server would go on with the request.
type Server struct {
	Name string
	Read func(contentTypes []string, body []byte) (map[string]string, bool)
}

// Servers are all of them.
var Servers = []Server{
	{"node", node},
	{"python, starlette", func(types []string, body []byte) (map[string]string, bool) { return python(types, body, true) }},
	{"python, flask", func(types []string, body []byte) (map[string]string, bool) { return python(types, body, false) }},
	{"go", golang},
	{"any type is JSON", func(_ []string, body []byte) (map[string]string, bool) {
		return object(decoded(body), dialect{rule: last})
	}},
	{"any type is JSON, the first key counts", func(_ []string, body []byte) (map[string]string, bool) {
		return object(decoded(body), dialect{rule: first})
	}},
}

// rule says which of two equal names counts.
type rule bool

const (
	first rule = false
	last  rule = true
)

// node keeps the first Content-Type, decodes the charset that it names, takes
// the last of equal names, and n[] for n.
func node(types []string, body []byte) (map[string]string, bool) {
	kind := ""
	if len(types) > 0 {
		kind = types[0]
	}
	lower := strings.ToLower(kind)
	switch {
	case strings.Contains(lower, "multipart"): // formidable looks no closer
		return multipart(kind, body, dialect{rule: last, brackets: true, bareLF: true, lastBoundary: false, extended: true, transfer: true})
	case strings.Contains(lower, "urlencoded"):
		return query(string(body), dialect{rule: last, brackets: true}), true
	case strings.Contains(lower, "utf-16"):
		return object(fromUTF16(body, true), dialect{rule: last})
	case strings.Contains(lower, "json"):
		return object(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), dialect{rule: last})
	}
	return nil, false
}

// python joins or keeps the last Content-Type; json.loads guesses the encoding
// and reads NaN. Starlette takes the last of equal names, Flask the first.
func python(types []string, body []byte, starlette bool) (map[string]string, bool) {
	kind := ""
	if len(types) > 0 {
		kind = types[len(types)-1]
	}
	lower := strings.ToLower(kind)
	switch {
	case strings.HasPrefix(lower, "multipart/form-data"):
		return multipart(kind, body, dialect{rule: rule(starlette), lastBoundary: true, extended: !starlette, bareLF: !starlette})
	case strings.HasPrefix(lower, "application/x-www-form-urlencoded"):
		return query(string(body), dialect{rule: rule(starlette), semicolons: !starlette}), true
	case strings.Contains(lower, "json") || starlette: // await request.json() asks for no type
		return object(decoded(body), dialect{rule: last, nan: true})
	}
	return nil, false
}

// golang takes keys in any case, and the last of equal ones.
func golang(types []string, body []byte) (map[string]string, bool) {
	if len(types) > 0 && strings.HasPrefix(strings.ToLower(types[0]), "multipart/form-data") {
		return multipart(types[0], body, dialect{rule: first, bareLF: true})
	}
	return object(body, dialect{rule: last, folded: true})
}

var notANumber = regexp.MustCompile(`\b(NaN|Infinity)\b`)

// object reads the members of a JSON object as text.
func object(body []byte, d dialect) (map[string]string, bool) {
	if d.nan {
		body = notANumber.ReplaceAll(body, []byte("0"))
	}
	if !json.Valid(body) {
		return nil, false
	}
	in := json.NewDecoder(bytes.NewReader(body))
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	values := map[string]string{}
	for in.More() {
		t, err := in.Token()
		key, ok := t.(string)
		var raw json.RawMessage
		if err != nil || !ok || in.Decode(&raw) != nil {
			return nil, false
		}
		if string(raw) == "null" {
			continue
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		if d.folded {
			key = strings.ToLower(key)
		}
		d.put(values, key, text)
	}
	return values, true
}

// decoded is a body in UTF-8, by its byte order mark or its zeros.
func decoded(body []byte) []byte {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return body[3:]
	case bytes.HasPrefix(body, []byte("\xff\xfe")), len(body) > 1 && body[0] != 0 && body[1] == 0:
		return fromUTF16(body, true)
	case bytes.HasPrefix(body, []byte("\xfe\xff")), len(body) > 1 && body[0] == 0:
		return fromUTF16(body, false)
	}
	return body
}

func fromUTF16(body []byte, little bool) []byte {
	var units []uint16
	for i := 0; i+1 < len(body); i += 2 {
		u := uint16(body[i])<<8 | uint16(body[i+1])
		if little {
			u = u>>8 | u<<8
		}
		if u != 0xfeff {
			units = append(units, u)
		}
	}
	return []byte(string(utf16.Decode(units)))
}
