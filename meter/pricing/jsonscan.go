package pricing

import (
	"bytes"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// The scanner walks a JSON document once: it checks that it is exactly one
// document and finds the values of the paths it was made for. Parsers differ
// in which of two equal keys they take, and some ignore case, so a key on the
// way to a value that occurs twice, or in another case, makes the value
// ambiguous. Keys that lead nowhere are only skipped.

// maxJSONDepth bounds the recursion; deeper documents count as no JSON.
const maxJSONDepth = 2000

// jsonPath is a node of the tree of all paths that are looked for.
type jsonPath struct {
	name     string
	index    int // as an array index, -1 if name is none
	children []*jsonPath
	value    int // slot of the value here, -1 if none
	count    int // slot of the number of elements, -1 if none
	slots    []int
}

func newJSONPath() *jsonPath { return &jsonPath{index: -1, value: -1, count: -1} }

// add makes the tree find the value at path for a slot.
func (p *jsonPath) add(parts []string, slot int) {
	p.slots = append(p.slots, slot)
	switch {
	case len(parts) == 0:
		p.value = slot
		return
	case parts[0] == "#":
		p.count = slot
		return
	}
	for _, c := range p.children {
		if c.name == parts[0] {
			c.add(parts[1:], slot)
			return
		}
	}
	c := newJSONPath()
	c.name = parts[0]
	if n, err := strconv.Atoi(c.name); err == nil && n >= 0 && strconv.Itoa(n) == c.name {
		c.index = n
	}
	p.children = append(p.children, c)
	c.add(parts[1:], slot)
}

// jsonScan is one walk. Found texts are collected in buf, so that the document
// itself need not be kept.
type jsonScan struct {
	data   []byte
	values []value
	spans  []span
	buf    []byte
}

// span is the text of a slot in buf.
type span struct{ slot, start, end int }

var scans = sync.Pool{New: func() any { return new(jsonScan) }}

// scanJSON fills the values of the paths in a tree and reports whether data is
// one JSON document.
func scanJSON(data []byte, root *jsonPath, values []value) bool {
	s := scans.Get().(*jsonScan)
	s.data, s.values, s.spans, s.buf = data, values, s.spans[:0], s.buf[:0]
	ok := s.scan(root)
	s.data, s.values = nil, nil
	if cap(s.buf) < 64<<10 {
		scans.Put(s)
	}
	return ok
}

// scan fills s.values and reports whether data is one JSON document.
func (s *jsonScan) scan(root *jsonPath) bool {
	i := s.space(0)
	i, ok := s.document(i, root, 0)
	if !ok || s.space(i) != len(s.data) {
		return false
	}
	if len(s.spans) > 0 {
		text := string(s.buf)
		for _, sp := range s.spans {
			s.values[sp.slot].text = text[sp.start:sp.end]
		}
	}
	return true
}

func (s *jsonScan) space(i int) int {
	for i < len(s.data) {
		switch s.data[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// document reads one value; path is nil where nothing is looked for.
func (s *jsonScan) document(i int, path *jsonPath, depth int) (int, bool) {
	if i >= len(s.data) || depth > maxJSONDepth {
		return i, false
	}
	switch s.data[i] {
	case '{':
		s.found(path, otherValue, -1)
		return s.object(i+1, path, depth+1)
	case '[':
		s.found(path, otherValue, -1)
		return s.array(i+1, path, depth+1)
	case '"':
		end, escaped, ok := s.str(i + 1)
		if ok && path != nil && path.value >= 0 {
			s.keep(path.value, textValue, s.data[i+1:end-1], escaped)
		}
		s.notArray(path)
		return end, ok
	case 't':
		return s.word(i, "true", path, boolValue)
	case 'f':
		return s.word(i, "false", path, boolValue)
	case 'n':
		return s.word(i, "null", path, absent)
	}
	end, ok := s.number(i)
	if ok && path != nil && path.value >= 0 {
		s.keep(path.value, numberValue, s.data[i:end], false)
	}
	s.notArray(path)
	return end, ok
}

func (s *jsonScan) word(i int, word string, path *jsonPath, kind valueKind) (int, bool) {
	if !bytes.HasPrefix(s.data[i:], []byte(word)) {
		return i, false
	}
	if path != nil && path.value >= 0 {
		s.values[path.value].kind, s.values[path.value].text = kind, word
	}
	if kind != absent {
		s.notArray(path)
	}
	return i + len(word), true
}

// found notes an object or array, elements counts an array.
func (s *jsonScan) found(path *jsonPath, kind valueKind, elements int) {
	if path == nil {
		return
	}
	if path.value >= 0 {
		s.values[path.value].kind = kind
	}
	if path.count >= 0 {
		if elements < 0 {
			s.values[path.count].kind = otherValue
			return
		}
		start := len(s.buf)
		s.buf = strconv.AppendInt(s.buf, int64(elements), 10)
		s.put(path.count, numberValue, start)
	}
}

func (s *jsonScan) notArray(path *jsonPath) {
	if path != nil && path.count >= 0 {
		s.values[path.count].kind = otherValue
	}
}

func (s *jsonScan) keep(slot int, kind valueKind, raw []byte, escaped bool) {
	start := len(s.buf)
	if escaped {
		s.buf = unescape(s.buf, raw)
	} else {
		s.buf = append(s.buf, raw...)
	}
	s.put(slot, kind, start)
}

func (s *jsonScan) put(slot int, kind valueKind, start int) {
	s.values[slot].kind = kind
	s.spans = append(s.spans, span{slot, start, len(s.buf)})
}

func (s *jsonScan) object(i int, path *jsonPath, depth int) (int, bool) {
	var first [8]*jsonPath // children met so far
	met := first[:0]
	i = s.space(i)
	if i < len(s.data) && s.data[i] == '}' {
		return i + 1, true
	}
	for {
		if i >= len(s.data) || s.data[i] != '"' {
			return i, false
		}
		end, escaped, ok := s.str(i + 1)
		if !ok {
			return i, false
		}
		var child *jsonPath
		if path != nil && len(path.children) > 0 {
			child = s.child(path, s.data[i+1:end-1], escaped, met)
			if child != nil {
				met = append(met, child)
			}
		}
		if i = s.space(end); i >= len(s.data) || s.data[i] != ':' {
			return i, false
		}
		if i, ok = s.document(s.space(i+1), child, depth); !ok {
			return i, false
		}
		if i = s.space(i); i >= len(s.data) {
			return i, false
		}
		switch s.data[i] {
		case '}':
			return i + 1, true
		case ',':
			i = s.space(i + 1)
		default:
			return i, false
		}
	}
}

// child is the path below a key, nil if the key leads nowhere. A key that
// names a child again, or in another case, marks all that lies below it.
func (s *jsonScan) child(path *jsonPath, key []byte, escaped bool, met []*jsonPath) *jsonPath {
	var room [64]byte
	if escaped {
		key = unescape(room[:0], key)
	}
	var hit *jsonPath
	for _, c := range path.children {
		if string(key) == c.name {
			again := false
			for _, m := range met {
				again = again || m == c
			}
			if again {
				s.mark(c)
			} else {
				hit = c
			}
		} else if len(key) < 4*len(c.name)+1 && bytes.EqualFold(key, []byte(c.name)) {
			s.mark(c)
		}
	}
	return hit
}

func (s *jsonScan) mark(p *jsonPath) {
	for _, slot := range p.slots {
		s.values[slot].ambiguous = true
	}
}

func (s *jsonScan) array(i int, path *jsonPath, depth int) (int, bool) {
	i = s.space(i)
	if i < len(s.data) && s.data[i] == ']' {
		s.found(path, otherValue, 0)
		return i + 1, true
	}
	for n := 0; ; n++ {
		var child *jsonPath
		if path != nil {
			for _, c := range path.children {
				if c.index == n {
					child = c
				}
			}
		}
		var ok bool
		if i, ok = s.document(i, child, depth); !ok {
			return i, false
		}
		if i = s.space(i); i >= len(s.data) {
			return i, false
		}
		switch s.data[i] {
		case ']':
			s.found(path, otherValue, n+1)
			return i + 1, true
		case ',':
			i = s.space(i + 1)
		default:
			return i, false
		}
	}
}

// str reads a string from behind its first quote to behind its last.
func (s *jsonScan) str(i int) (end int, escaped, ok bool) {
	for i < len(s.data) {
		switch c := s.data[i]; {
		case c == '"':
			return i + 1, escaped, true
		case c < ' ':
			return i, escaped, false
		case c == '\\':
			escaped = true
			if i++; i >= len(s.data) {
				return i, escaped, false
			}
			switch s.data[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hex4(s.data[i+1:]); !ok {
					return i, escaped, false
				}
				i += 4
			default:
				return i, escaped, false
			}
		}
		i++
	}
	return i, escaped, false
}

func (s *jsonScan) number(i int) (int, bool) {
	start := i
	if i < len(s.data) && s.data[i] == '-' {
		i++
	}
	whole := i
	i = s.digits(i)
	if i == whole || s.data[whole] == '0' && i > whole+1 {
		return start, false
	}
	if i < len(s.data) && s.data[i] == '.' {
		if i++; s.digits(i) == i {
			return start, false
		}
		i = s.digits(i)
	}
	if i < len(s.data) && (s.data[i] == 'e' || s.data[i] == 'E') {
		i++
		if i < len(s.data) && (s.data[i] == '+' || s.data[i] == '-') {
			i++
		}
		if s.digits(i) == i {
			return start, false
		}
		i = s.digits(i)
	}
	return i, true
}

func (s *jsonScan) digits(i int) int {
	for i < len(s.data) && s.data[i] >= '0' && s.data[i] <= '9' {
		i++
	}
	return i
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape appends the text of a valid JSON string without its quotes.
func unescape(to, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' || i+1 >= len(raw) {
			to = append(to, c)
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		case 'u':
			r, _ := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				if low, ok := hex4(raw[i+3:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
					r = utf16.DecodeRune(r, low)
					i += 6
				}
			}
			to = utf8.AppendRune(to, r)
		default:
			to = append(to, raw[i])
		}
	}
	return to
}
