package jsonscan

import "bytes"

// MaxString is how much a [Truncator] keeps of one string.
const MaxString = 4 << 10

const (
	maxShort  = 32       // what it keeps of one string once the document is larger than crowdedAt
	crowdedAt = 64 << 10 // bytes kept of one document
	maxKept   = 4 << 20  // a document is given up beyond
	maxCuts   = 16       // recorded
)

// Truncator collects one JSON document from pieces and cuts its long strings: of a
// 3 MB document with an image it keeps 10 KB. Only the inside of strings is
// dropped, so what remains is the same document with shorter strings.
type Truncator struct {
	buf      []byte
	inString bool
	escaped  bool // after a backslash inside a string
	length   int  // kept bytes of the current string
	dropped  int64
	overflow bool
	cuts     []cut
}

// cut remembers how much of a string was dropped. end is the index of its closing quote in buf.
type cut struct {
	end int
	n   int64
}

// Reset begins another document.
func (t *Truncator) Reset() {
	if cap(t.buf) > 4*crowdedAt {
		t.buf = nil // one huge document must not pin memory for the rest of a long stream
	}
	t.buf, t.cuts = t.buf[:0], t.cuts[:0]
	t.inString, t.escaped, t.overflow, t.length, t.dropped = false, false, false, 0, 0
}

// Bytes is what is kept so far. It is valid until the next Reset.
func (t *Truncator) Bytes() []byte { return t.buf }

// Overflow reports whether the document was given up because it is too large.
func (t *Truncator) Overflow() bool { return t.overflow }

// InString reports whether the next byte belongs to a string.
func (t *Truncator) InString() bool { return t.inString }

// Complete reports whether what is kept is one valid document.
func (t *Truncator) Complete() bool { return !t.inString && !t.overflow && Valid(t.buf) }

// Dropped is how many bytes are missing at the end of a string. content is the
// part of Bytes between its quotes.
func (t *Truncator) Dropped(content []byte) int64 {
	if len(t.cuts) == 0 {
		return 0
	}
	end := cap(t.buf) - cap(content) + len(content) // content is a slice of buf: its capacity says where it ends there
	for _, c := range t.cuts {
		if c.end == end {
			return c.n
		}
	}
	return 0
}

// Write takes the next piece of the document.
func (t *Truncator) Write(p []byte) {
	if len(t.buf) > maxKept {
		t.overflow = true
		t.buf = t.buf[:0]
	}
	if t.overflow {
		return
	}
	for len(p) > 0 {
		if !t.inString {
			i := bytes.IndexByte(p, '"')
			if i < 0 {
				t.buf = append(t.buf, p...)
				return
			}
			t.buf = append(t.buf, p[:i+1]...)
			p = p[i+1:]
			t.inString, t.length, t.dropped = true, 0, 0
			continue
		}
		p = t.inside(p)
	}
}

// inside consumes bytes of a string up to and including its closing quote.
func (t *Truncator) inside(p []byte) []byte {
	if t.escaped {
		t.escaped = false
		t.keepEscape(p[0])
		return p[1:]
	}
	end := bytes.IndexByte(p, '"')
	run := p
	if end >= 0 {
		run = p[:end]
	}
	if i := bytes.IndexByte(run, '\\'); i >= 0 {
		t.keep(run[:i])
		t.escaped = true
		return p[i+1:]
	}
	t.keep(run)
	if end < 0 {
		return nil
	}
	t.inString = false
	if t.dropped > 0 && len(t.cuts) < maxCuts {
		t.cuts = append(t.cuts, cut{len(t.buf), t.dropped})
	}
	t.buf = append(t.buf, '"')
	return p[end+1:]
}

func (t *Truncator) room() int {
	limit := MaxString
	if len(t.buf) > crowdedAt {
		limit = maxShort
	}
	return max(limit-t.length, 0)
}

func (t *Truncator) keep(run []byte) {
	n := min(len(run), t.room())
	if t.dropped > 0 {
		n = 0 // a string is cut once, so that no escape is torn
	}
	t.buf = append(t.buf, run[:n]...)
	t.length += n
	t.dropped += int64(len(run) - n)
}

func (t *Truncator) keepEscape(c byte) {
	// A \uXXXX whose digits would be cut must go as a whole: 6 bytes.
	if t.dropped > 0 || t.room() < 6 {
		t.dropped += 2
		return
	}
	t.buf = append(t.buf, '\\', c)
	t.length += 2
}

// Truncate is a copy of a document with its long strings cut. A long document is
// nil if it is not valid, or still longer than limit.
func Truncate(doc []byte, limit int) []byte {
	if len(doc) <= MaxString {
		return bytes.Clone(doc)
	}
	var t Truncator
	t.Write(doc)
	if !t.Complete() || len(t.buf) > limit {
		return nil
	}
	return t.buf
}
