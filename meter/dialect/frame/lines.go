package frame

import (
	"bytes"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// lines splits newline-delimited JSON (Ollama, batch results).
type lines struct{ doc *jsonscan.Truncator }

func (l *lines) Next(p []byte) (rest []byte, ended bool) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		l.doc.Write(p)
		return nil, false
	}
	l.doc.Write(p[:end])
	return p[end+1:], true
}

func (l *lines) Event() (e Event, ok bool) {
	e.Data = l.doc.Bytes()
	return e, len(bytes.TrimSpace(e.Data)) > 0 && !l.doc.Overflow()
}

func (l *lines) Reset() { l.doc.Reset() }

func (l *lines) End() bool { return l.doc.Complete() }

// array splits a JSON array into its elements (Gemini without alt=sse).
type array struct {
	doc   *jsonscan.Truncator
	depth int // of objects
}

func (a *array) Next(p []byte) (rest []byte, ended bool) {
	for len(p) > 0 {
		if a.doc.InString() {
			n := len(p)
			if i := bytes.IndexByte(p, '"'); i >= 0 {
				n = i + 1
			}
			a.doc.Write(p[:n])
			p = p[n:]
			continue
		}
		i := bytes.IndexAny(p, `"{}`)
		if i < 0 {
			a.outsideStrings(p)
			return nil, false
		}
		a.outsideStrings(p[:i])
		switch p[i] {
		case '{':
			a.depth++
		case '}':
			a.depth--
		}
		closed := p[i] == '}'
		if a.depth > 0 || closed {
			a.doc.Write(p[i : i+1])
		}
		ended = closed && a.depth == 0
		a.depth = max(a.depth, 0)
		if p = p[i+1:]; ended {
			return p, true
		}
	}
	return nil, false
}

// outsideStrings keeps bytes that are inside an element.
func (a *array) outsideStrings(p []byte) {
	if a.depth > 0 {
		a.doc.Write(p)
	}
}

func (a *array) Event() (e Event, ok bool) {
	e.Data = a.doc.Bytes()
	return e, !a.doc.Overflow()
}

func (a *array) Reset() { a.doc.Reset() }

func (a *array) End() bool { return false }
