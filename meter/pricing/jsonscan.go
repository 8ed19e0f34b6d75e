package pricing

import (
	"bytes"
	"strconv"
	"sync"
)

// The scanner walks a JSON document once: it checks that it is exactly one
// document and finds the values of the paths it was made for. Parsers differ
// in which of two equal keys they take, and some ignore case, so a key on the
// way to a value that occurs twice, or in another case, makes the value
// ambiguous. Keys that lead nowhere are only skipped.

// maxJSONDepth bounds the recursion; deeper documents count as no JSON.
const maxJSONDepth = 2000

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
