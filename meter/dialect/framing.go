package dialect

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"
)

type framing uint8

const (
	framingJSON framing = iota
	framingSSE
	framingLines
	framingArray
	framingFrames
	framingOpaque // neither JSON nor a known stream: binary or text
	framingSniff  // no content type: the first bytes decide
	framingEvents // messages of a WebSocket
)

func framingOf(contentType string) framing {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case media == "text/event-stream":
		return framingSSE
	case strings.Contains(media, "ndjson"), strings.Contains(media, "jsonl"), media == "application/json-lines":
		return framingLines
	case media == "application/vnd.amazon.eventstream":
		return framingFrames
	case media == "application/json", strings.HasSuffix(media, "+json"), media == "text/json":
		return framingJSON
	case media == "", media == "text/plain", media == "application/octet-stream", media == "binary/octet-stream":
		return framingSniff
	}
	return framingOpaque
}

// sniff decides by the first bytes what an answer is that does not say so; it takes them back in when it knows. A blank start
// stays undecided.
func (r *Reader) sniff(p []byte) {
	r.first = append(r.first, p[:min(len(p), 16)]...)
	start := bytes.TrimLeft(r.first, "\xEF\xBB\xBF \t\r\n")
	if len(start) == 0 {
		r.first = r.first[:0]
		return
	}
	r.framing = framingOpaque
	if start[0] == '{' || start[0] == '[' {
		r.framing = framingJSON
	}
	for _, field := range []string{":", "data:", "event:", "id:", "retry:"} {
		n := min(len(field), len(start))
		if string(start[:n]) != field[:n] {
			continue
		}
		if r.framing = framingSSE; n < len(field) {
			r.framing = framingSniff // it could be
			return
		}
		break
	}
}

// asLines reads a body that is several documents, one on each line, under a wrong name.
func (r *Reader) asLines(doc []byte) bool {
	if r.overflow || r.status >= 400 || bytes.IndexByte(bytes.TrimSpace(doc), '\n') < 0 {
		return false
	}
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) > 0 && !gjson.ValidBytes(line) {
			return false
		}
	}
	r.framing = framingLines
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			r.event(nil, line)
		}
	}
	return true
}
