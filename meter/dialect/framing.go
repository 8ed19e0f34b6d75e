package dialect

import (
	"bytes"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

type framing uint8

const (
	framingJSON framing = iota
	framingSSE
	framingLines
	framingArray
	framingFrames
	framingOpaque // neither JSON nor a known stream: binary or text
	framingSniff  // the first bytes decide
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

// sniff finds the first byte of p that is not blank, and by the bytes from there what an answer is whose name leaves that open:
// events come under the names of JSON and of plain text too. It stays undecided while the answer is blank or could be either.
func (r *Reader) sniff(p []byte) (blank int) {
	if len(r.first) == 0 {
		// DeepSeek keeps a slow answer alive with blank lines before the JSON.
		for blank < len(p) && bytes.IndexByte([]byte("\xEF\xBB\xBF \t\r\n"), p[blank]) >= 0 {
			blank++
		}
	}
	if r.label != framingJSON {
		if blank < len(p) {
			r.framing = r.labelled(p[blank])
		}
		return blank
	}
	early := len(r.first)
	r.first = append(r.first, p[blank:min(len(p), blank+len("retry:"))]...)
	start := r.first
	if len(start) == 0 {
		return blank
	}
	if r.framing = framingOpaque; r.json || start[0] == '{' || start[0] == '[' {
		r.framing = framingJSON
	}
	if start[0] == '[' && r.api.profile.arrays && r.status < 400 {
		r.framing = framingArray
	}
	for _, field := range []string{":", "data:", "event:", "id:", "retry:"} {
		n := min(len(field), len(start))
		if r.json && r.status >= 400 || string(start[:n]) != field[:n] {
			continue
		}
		if r.framing = framingSSE; n < len(field) {
			r.framing = framingSniff // it could be
			return blank
		}
		break
	}
	r.first = r.first[:early]
	return blank
}

// labelled finds what an answer is that says it is a stream, by its first byte that is not blank: one JSON document comes under the
// name of events, too, and events under the name of lines. No line of JSON begins like a field of an event.
func (r *Reader) labelled(first byte) framing {
	document := first == '{' || first == '['
	switch {
	case r.label == framingSSE && first == '[' && r.api.profile.arrays && r.status < 400:
		return framingArray
	case r.label == framingSSE && document:
		return framingJSON
	case r.label == framingLines && bytes.IndexByte([]byte(":deir"), first) >= 0:
		return framingSSE
	}
	return r.label
}

// asLines reads a body that is several documents, one on each line, under a wrong name.
func (r *Reader) asLines(doc []byte) bool {
	if r.overflow || r.status >= 400 || bytes.IndexByte(bytes.TrimSpace(doc), '\n') < 0 {
		return false
	}
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) > 0 && !jsonscan.Valid(line) {
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

// IsDocument says whether a content type is that of one JSON document.
func IsDocument(contentType string) bool { return framingOf(contentType) == framingJSON }

// IsEventStream says whether a content type is that of server-sent events.
func IsEventStream(contentType string) bool { return framingOf(contentType) == framingSSE }

// LooksStreamed says whether the first bytes of an answer, labelled as one JSON document, are those of a stream: server-sent
// events, or a whole document on the first line and another one behind it.
func LooksStreamed(b []byte) bool {
	b = bytes.TrimLeft(b, "\xEF\xBB\xBF \t\r\n")
	for _, field := range []string{":", "data:", "event:", "id:", "retry:"} {
		if bytes.HasPrefix(b, []byte(field)) {
			return true
		}
	}
	line, rest, ok := bytes.Cut(b[:min(len(b), maxHeld)], []byte("\n"))
	return ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte("{")) && len(line) > 1 && jsonscan.Valid(line)
}
