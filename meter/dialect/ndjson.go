package dialect

import "bytes"

// writeLines splits newline-delimited JSON (Ollama, Batch results) into events.
func (r *Reader) writeLines(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			r.doc.Write(p)
			return
		}
		r.doc.Write(p[:end])
		r.document()
		p = p[end+1:]
	}
}

// document treats what was collected as one event.
func (r *Reader) document() {
	if len(bytes.TrimSpace(r.doc.Bytes())) > 0 && !r.doc.Overflow() {
		r.event(nil, r.doc.Bytes())
	}
	r.doc.Reset()
}
