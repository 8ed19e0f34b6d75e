package frame

import (
	"bytes"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Format is how the body of an answer is framed.
type Format uint8

// The formats.
const (
	JSON      Format = iota // one document
	SSE                     // server-sent events
	Lines                   // a document on each line
	Array                   // the elements of a JSON array
	AWS                     // application/vnd.amazon.eventstream
	Opaque                  // neither JSON nor a known stream: binary or text
	Undecided               // the first bytes decide
	Socket                  // messages of a WebSocket
)

// FormatOf is the format that a content type names.
func FormatOf(contentType string) Format {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case media == "text/event-stream":
		return SSE
	case strings.Contains(media, "ndjson"), strings.Contains(media, "jsonl"), media == "application/json-lines":
		return Lines
	case media == "application/vnd.amazon.eventstream":
		return AWS
	case media == "application/json", strings.HasSuffix(media, "+json"), media == "text/json":
		return JSON
	case media == "", media == "text/plain", media == "application/octet-stream", media == "binary/octet-stream":
		return Undecided
	}
	return Opaque
}

// sseFields are the beginnings of the lines of server-sent events.
var sseFields = []string{":", "data:", "event:", "id:", "retry:"}

// blank are the bytes that may come before an answer: a byte order mark, and the
// blank lines by which DeepSeek keeps a slow answer alive.
const blank = "\xEF\xBB\xBF \t\r\n"

// Sniffer finds the format of an answer by its first bytes: events come under the
// names of JSON and of plain text, and one JSON document under the name of events.
type Sniffer struct {
	label  Format // by the content type
	arrays bool   // a JSON array is a stream
	failed bool   // the answer is an error
	early  [8]byte
	n      int // of early: bytes by which the format is not known yet
}

// NewSniffer begins with the format of the content type. arrays: the API streams
// JSON arrays. failed: the answer has the status of an error.
func NewSniffer(label Format, arrays, failed bool) Sniffer {
	return Sniffer{label: label, arrays: arrays && !failed, failed: failed}
}

// Start is the format before the first byte.
func (s *Sniffer) Start() Format {
	switch s.label {
	case JSON, SSE, Lines:
		return Undecided
	}
	return s.label
}

// JSON reports whether the content type is that of one JSON document.
func (s *Sniffer) JSON() bool { return s.label == JSON }

// Early are the bytes that passed before the format was known: too few for an event.
func (s *Sniffer) Early() []byte { return s.early[:s.n] }

// Write takes the next bytes of an answer and returns its format, Undecided while
// the answer is blank or could have either, and how many bytes of p are blank.
func (s *Sniffer) Write(p []byte) (f Format, skip int) {
	if s.n == 0 {
		for skip < len(p) && strings.IndexByte(blank, p[skip]) >= 0 {
			skip++
		}
	}
	if skip == len(p) {
		return Undecided, skip
	}
	if s.label == SSE || s.label == Lines {
		return s.labelled(p[skip]), skip
	}
	before := s.n
	s.n += copy(s.early[s.n:], p[skip:])
	if f = s.unlabelled(s.Early()); f != Undecided {
		s.n = before
	}
	return f, skip
}

// labelled is the format of an answer that says it is a stream. No line of JSON
// begins like a field of an event.
func (s *Sniffer) labelled(first byte) Format {
	switch {
	case s.label == SSE && first == '[' && s.arrays:
		return Array
	case s.label == SSE && (first == '{' || first == '['):
		return JSON
	case s.label == Lines && bytes.IndexByte([]byte(":deir"), first) >= 0:
		return SSE
	}
	return s.label
}

// unlabelled is the format of an answer that may be anything.
func (s *Sniffer) unlabelled(start []byte) Format {
	if s.label != JSON || !s.failed {
		for _, field := range sseFields {
			switch n := min(len(field), len(start)); {
			case string(start[:n]) != field[:n]:
			case n < len(field):
				return Undecided // it could be
			default:
				return SSE
			}
		}
	}
	switch {
	case start[0] == '[' && s.arrays:
		return Array
	case s.label == JSON, start[0] == '{', start[0] == '[':
		return JSON
	}
	return Opaque
}

// IsLines reports whether a body is several JSON documents, one on each line.
func IsLines(body []byte) bool {
	if bytes.IndexByte(bytes.TrimSpace(body), '\n') < 0 {
		return false
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 && !jsonscan.Valid(line) {
			return false
		}
	}
	return true
}

// LooksStreamed reports whether the first bytes of an answer, labelled as one JSON
// document, are those of a stream: server-sent events, or a whole document on the
// first line and another one behind it.
func LooksStreamed(b []byte) bool {
	b = bytes.TrimLeft(b, blank)
	if slices.ContainsFunc(sseFields, func(field string) bool { return bytes.HasPrefix(b, []byte(field)) }) {
		return true
	}
	line, rest, ok := bytes.Cut(b[:min(len(b), maxHeld)], []byte("\n"))
	return ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte("{")) && len(line) > 1 && jsonscan.Valid(line)
}
