package jsonscan

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

// maxDepth bounds the recursion; deeper documents count as no JSON.
const maxDepth = 2000

// finder is one walk. Found texts are collected in buf, so that the document
// itself need not be kept.
type finder struct {
	data   []byte
	values []Value
	spans  []span
	buf    []byte
}

// span is the text of a slot in buf.
type span struct{ slot, start, end int }

var finders = sync.Pool{New: func() any { return new(finder) }}

// Find fills the values at the paths of the tree, by slot, and reports whether
// data is exactly one valid document. Slots of what is absent stay as they are.
func (p *Paths) Find(data []byte, values []Value) bool {
	f := finders.Get().(*finder)
	f.data, f.values, f.spans, f.buf = data, values, f.spans[:0], f.buf[:0]
	ok := f.scan(p)
	f.data, f.values = nil, nil
	if cap(f.buf) < 64<<10 {
		finders.Put(f)
	}
	return ok
}

// Valid reports whether data is exactly one valid document.
func Valid(data []byte) bool {
	f := finder{data: data}
	return f.scan(nil)
}

// scan fills s.values and reports whether data is one JSON document.
func (s *finder) scan(root *Paths) bool {
	i := SkipSpace(s.data, 0)
	i, ok := s.document(i, root, 0)
	if !ok || SkipSpace(s.data, i) != len(s.data) {
		return false
	}
	if len(s.spans) > 0 {
		text := string(s.buf)
		for _, sp := range s.spans {
			s.values[sp.slot].Text = text[sp.start:sp.end]
		}
	}
	return true
}

// document reads one value; path is nil where nothing is looked for.
func (s *finder) document(i int, path *Paths, depth int) (int, bool) {
	if i >= len(s.data) || depth > maxDepth {
		return i, false
	}
	switch s.data[i] {
	case '{':
		s.found(path, Other, -1)
		return s.object(i+1, path, depth+1)
	case '[':
		s.found(path, Other, -1)
		return s.array(i+1, path, depth+1)
	case '"':
		end, escaped, ok := s.str(i + 1)
		if ok && path != nil && path.value >= 0 {
			s.keep(path.value, String, s.data[i+1:end-1], escaped)
		}
		s.notArray(path)
		return end, ok
	case 't':
		return s.word(i, "true", path, Bool)
	case 'f':
		return s.word(i, "false", path, Bool)
	case 'n':
		return s.word(i, "null", path, Absent)
	}
	end, ok := s.number(i)
	if ok && path != nil && path.value >= 0 {
		s.keep(path.value, Number, s.data[i:end], false)
	}
	s.notArray(path)
	return end, ok
}

func (s *finder) word(i int, word string, path *Paths, kind Kind) (int, bool) {
	if !bytes.HasPrefix(s.data[i:], []byte(word)) {
		return i, false
	}
	if path != nil && path.value >= 0 {
		s.values[path.value].Kind, s.values[path.value].Text = kind, word
	}
	if kind != Absent {
		s.notArray(path)
	}
	return i + len(word), true
}

// found notes an object or array, elements counts an array.
func (s *finder) found(path *Paths, kind Kind, elements int) {
	if path == nil {
		return
	}
	if path.value >= 0 {
		s.values[path.value].Kind = kind
	}
	if path.count >= 0 {
		if elements < 0 {
			s.values[path.count].Kind = Other
			return
		}
		start := len(s.buf)
		s.buf = strconv.AppendInt(s.buf, int64(elements), 10)
		s.put(path.count, Number, start)
	}
}

func (s *finder) notArray(path *Paths) {
	if path != nil && path.count >= 0 {
		s.values[path.count].Kind = Other
	}
}

func (s *finder) keep(slot int, kind Kind, raw []byte, escaped bool) {
	start := len(s.buf)
	if escaped {
		s.buf = AppendUnescaped(s.buf, raw)
	} else {
		s.buf = append(s.buf, raw...)
	}
	s.put(slot, kind, start)
}

func (s *finder) put(slot int, kind Kind, start int) {
	s.values[slot].Kind = kind
	s.spans = append(s.spans, span{slot, start, len(s.buf)})
}

func (s *finder) object(i int, path *Paths, depth int) (int, bool) {
	var first [8]*Paths // children met so far
	met := first[:0]
	i = SkipSpace(s.data, i)
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
		var child *Paths
		if path != nil && len(path.children) > 0 {
			child = s.child(path, s.data[i+1:end-1], escaped, met)
			if child != nil {
				met = append(met, child)
			}
		}
		if i = SkipSpace(s.data, end); i >= len(s.data) || s.data[i] != ':' {
			return i, false
		}
		if i, ok = s.document(SkipSpace(s.data, i+1), child, depth); !ok {
			return i, false
		}
		if i = SkipSpace(s.data, i); i >= len(s.data) {
			return i, false
		}
		switch s.data[i] {
		case '}':
			return i + 1, true
		case ',':
			i = SkipSpace(s.data, i+1)
		default:
			return i, false
		}
	}
}

// child is the path below a key, nil if the key leads nowhere. A key that
// names a child again, or in another case, marks all that lies below it.
func (s *finder) child(path *Paths, key []byte, escaped bool, met []*Paths) *Paths {
	var room [64]byte
	if escaped {
		key = AppendUnescaped(room[:0], key)
	}
	var hit *Paths
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

func (s *finder) mark(p *Paths) {
	for _, slot := range p.slots {
		s.values[slot].Ambiguous = true
	}
}

func (s *finder) array(i int, path *Paths, depth int) (int, bool) {
	i = SkipSpace(s.data, i)
	if i < len(s.data) && s.data[i] == ']' {
		s.found(path, Other, 0)
		return i + 1, true
	}
	for n := 0; ; n++ {
		var child *Paths
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
		if i = SkipSpace(s.data, i); i >= len(s.data) {
			return i, false
		}
		switch s.data[i] {
		case ']':
			s.found(path, Other, n+1)
			return i + 1, true
		case ',':
			i = SkipSpace(s.data, i+1)
		default:
			return i, false
		}
	}
}
