package dialect

import "bytes"

const (
	keepString  = 4 << 10  // of one JSON string
	keepShort   = 32       // of one JSON string once an event is larger than crowdedAt
	crowdedAt   = 64 << 10 // bytes kept of one event
	maxKept     = 4 << 20  // a single event is given up beyond: no usage has such a shape
	maxRecorded = 16
)

// elider collects one JSON document from pieces, but keeps at most keepString of any string in it: a 3 MB event with an image
// needs 10 KB. Only the inside of strings is dropped, so what remains is the same document with shorter strings.
type elider struct {
	buf     []byte
	in      bool // inside a string
	escaped bool // after a backslash inside a string
	length  int  // kept bytes of the current string
	dropped int64
	broken  bool // larger than maxKept
	cuts    []cut
}

// cut remembers how much of a string was dropped. end is the index of its closing quote in buf.
type cut struct {
	end int
	n   int64
}

func (e *elider) reset() {
	if cap(e.buf) > 4*crowdedAt {
		e.buf = nil // one huge event must not pin memory for the rest of a long stream
	}
	e.buf, e.cuts = e.buf[:0], e.cuts[:0]
	e.in, e.escaped, e.broken, e.length, e.dropped = false, false, false, 0, 0
}

// droppedAt returns how many bytes are missing from the string whose closing quote is at end.
func (e *elider) droppedAt(end int) int64 {
	for _, c := range e.cuts {
		if c.end == end {
			return c.n
		}
	}
	return 0
}

func (e *elider) write(p []byte) {
	if len(e.buf) > maxKept {
		e.broken = true
		e.buf = e.buf[:0]
	}
	if e.broken {
		return
	}
	for len(p) > 0 {
		if !e.in {
			i := bytes.IndexByte(p, '"')
			if i < 0 {
				e.buf = append(e.buf, p...)
				return
			}
			e.buf = append(e.buf, p[:i+1]...)
			p = p[i+1:]
			e.in, e.length, e.dropped = true, 0, 0
			continue
		}
		p = e.inside(p)
	}
}

// inside consumes bytes of a string up to and including its closing quote.
func (e *elider) inside(p []byte) []byte {
	if e.escaped {
		e.escaped = false
		e.keepEscape(p[0])
		return p[1:]
	}
	end := bytes.IndexByte(p, '"')
	run := p
	if end >= 0 {
		run = p[:end]
	}
	if i := bytes.IndexByte(run, '\\'); i >= 0 {
		e.keep(run[:i])
		e.escaped = true
		return p[i+1:]
	}
	e.keep(run)
	if end < 0 {
		return nil
	}
	e.in = false
	if e.dropped > 0 && len(e.cuts) < maxRecorded {
		e.cuts = append(e.cuts, cut{len(e.buf), e.dropped})
	}
	e.buf = append(e.buf, '"')
	return p[end+1:]
}

func (e *elider) room() int {
	limit := keepString
	if len(e.buf) > crowdedAt {
		limit = keepShort
	}
	return max(limit-e.length, 0)
}

func (e *elider) keep(run []byte) {
	n := min(len(run), e.room())
	if e.dropped > 0 {
		n = 0 // a string is cut once, so that no escape is torn
	}
	e.buf = append(e.buf, run[:n]...)
	e.length += n
	e.dropped += int64(len(run) - n)
}

func (e *elider) keepEscape(c byte) {
	// A \uXXXX whose digits would be cut must go as a whole: 6 bytes.
	if e.dropped > 0 || e.room() < 6 {
		e.dropped += 2
		return
	}
	e.buf = append(e.buf, '\\', c)
	e.length += 2
}
