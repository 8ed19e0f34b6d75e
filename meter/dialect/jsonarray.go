package dialect

import "bytes"

// writeArray splits a JSON array that is streamed (Gemini without alt=sse) into its elements, each an event.
func (r *Reader) writeArray(p []byte) {
	for len(p) > 0 {
		if r.doc.InString() {
			n := len(p)
			if i := bytes.IndexByte(p, '"'); i >= 0 {
				n = i + 1
			}
			r.doc.Write(p[:n])
			p = p[n:]
			continue
		}
		i := bytes.IndexAny(p, `"{}`)
		if i < 0 {
			r.outside(p)
			return
		}
		r.outside(p[:i])
		switch p[i] {
		case '{':
			r.depth++
		case '}':
			r.depth--
		}
		if r.depth > 0 || p[i] == '}' {
			r.doc.Write(p[i : i+1])
		}
		if r.depth == 0 && p[i] == '}' {
			r.document()
		}
		r.depth = max(r.depth, 0)
		p = p[i+1:]
	}
}

// outside keeps bytes between strings, if they are inside an element.
func (r *Reader) outside(p []byte) {
	if r.depth > 0 {
		r.doc.Write(p)
	}
}
