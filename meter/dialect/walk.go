package dialect

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"
)

// members walks the direct members of a JSON object without allocating. It is lenient: on malformed input it ends early.
// Keys come raw, which is enough for the plain names that are looked for.
type members struct {
	b []byte
	i int
}

// object starts a walk over the members of the object in b.
func object(b []byte) members {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return members{}
	}
	return members{b: b, i: i + 1}
}

func (m *members) next() (key, value []byte, ok bool) {
	b := m.b
	i := skipSpace(b, m.i)
	if i < len(b) && b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	if i >= len(b) || b[i] != '"' {
		return nil, nil, false
	}
	end := skipString(b, i)
	if end < 0 {
		return nil, nil, false
	}
	key = b[i+1 : end-1]
	i = skipSpace(b, end)
	if i >= len(b) || b[i] != ':' {
		return nil, nil, false
	}
	i = skipSpace(b, i+1)
	end = skipValue(b, i)
	if end < 0 {
		return nil, nil, false
	}
	m.i = end
	return key, b[i:end], true
}

// plainKey is a key without its escapes.
func plainKey(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	return gjson.Parse(`"` + string(raw) + `"`).Str
}

// lookup follows a dotted path of plain member names. nil when absent.
func lookup(b []byte, path string) []byte {
	for path != "" {
		name, rest, _ := strings.Cut(path, ".")
		m := object(b)
		for {
			key, value, ok := m.next()
			if !ok {
				return nil
			}
			if string(key) == name {
				b = value
				break
			}
		}
		path = rest
	}
	return b
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipString returns the index after the closing quote of the string that starts at i, or -1.
func skipString(b []byte, i int) int {
	for i++; i < len(b); {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return -1
		}
		j += i
		k := j
		for k > i && b[k-1] == '\\' {
			k--
		}
		i = j + 1
		if (j-k)&1 == 0 {
			return i
		}
	}
	return -1
}

// skipValue returns the index after the value that starts at i, or -1 if it is cut off.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = skipString(b, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// isNull says whether a value is absent or null, which mean the same on these wires.
func isNull(v []byte) bool { return len(v) == 0 || v[0] == 'n' }

// inString strips the quotes of a plain JSON string; other values give "".
func inString(v []byte) []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil
	}
	return v[1 : len(v)-1]
}

// textKind says what a member below a text root is.
type textKind uint8

const (
	textString textKind = iota + 1 // a string: delivered text
	textJSON                       // any value: its JSON is delivered text (tool-call arguments as objects)
	textFinish                     // a string that ends the answer (finish_reason)
)

// textSpec says where an answer carries what the model generated: every member named in keys, anywhere below a top-level
// member named in roots. A root that is itself a string is text.
type textSpec struct {
	roots []string
	keys  map[string]textKind
}

// walkText finds the text members below v and tells r.
func (r *Reader) walkText(v []byte) {
	keys := r.api.profile.text.keys
	for i := 0; i < len(v); {
		if v[i] != '"' {
			i++
			continue
		}
		end := skipString(v, i)
		if end < 0 {
			return
		}
		colon := skipSpace(v, end)
		if colon >= len(v) || v[colon] != ':' {
			i = end
			continue
		}
		kind := keys[string(v[i+1:end-1])]
		i = skipSpace(v, colon+1)
		if kind == 0 || i >= len(v) {
			continue
		}
		if kind != textJSON && v[i] != '"' {
			continue // null, or an object below the same name: walk into it
		}
		if end = skipValue(v, i); end < 0 {
			return
		}
		switch {
		case kind == textFinish:
			r.stopReason(v[i:end])
		case v[i] == '"':
			r.addText(v[i+1 : end-1])
		case v[i] == '{' || v[i] == '[':
			r.addText(v[i:end])
		}
		i = end
	}
}
