package dialect

import "bytes"

// Shorten is a JSON document with its long strings cut, so that it can be kept: everything that a price reads is still there. It
// is nil if the document is no JSON or still longer than limit.
func Shorten(body []byte, limit int) []byte {
	if len(body) <= keepString {
		return bytes.Clone(body)
	}
	var e elider
	e.write(body)
	if !e.whole() || len(e.buf) > limit {
		return nil
	}
	return e.buf
}
