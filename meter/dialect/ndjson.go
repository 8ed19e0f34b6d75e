package dialect

import "bytes"

// writeLines splits newline-delimited JSON (Ollama, Batch results) into events.
func (r *Reader) writeLines(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			r.doc.write(p)
			return
		}
		r.doc.write(p[:end])
		r.document()
		p = p[end+1:]
	}
}

// document treats what was collected as one event.
func (r *Reader) document() {
	if len(bytes.TrimSpace(r.doc.buf)) > 0 && !r.doc.broken {
		r.event(nil, r.doc.buf)
	}
	r.doc.reset()
}
