package frame

import (
	"bytes"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// eventSource is an incremental parser of text/event-stream by the WHATWG rules: line ends LF, CR and CRLF split anywhere, a byte
// order mark, comments, several data lines. Field values are handed on in pieces; nothing but the current event is kept.
type eventSource struct {
	bom       int  // bytes of the byte order mark seen, -1 when past the start
	afterCR   bool // a following LF belongs to the last line end
	line      lineState
	name      [8]byte // the field name of the current line, as far as it matters
	nameLen   int
	eventName []byte
	hasData   bool
	whole     []byte // the data of an event that needs no copy; nil: it is in doc
	doc       *jsonscan.Truncator
}

type lineState uint8

const (
	lineEmpty lineState = iota // nothing of the line seen
	lineName                   // before the colon
	lineSpace                  // after the colon, one space may follow
	lineData
	lineEvent
	lineIgnored
)

var byteOrderMark = []byte("\xEF\xBB\xBF")

// Next consumes p up to the end of an event. It returns the rest, and whether an event (or an empty block) ended.
func (s *eventSource) Next(p []byte) (rest []byte, ended bool) {
	for len(p) > 0 {
		if s.bom >= 0 && s.skipBOM(p[0]) {
			p = p[1:]
			continue
		}
		if s.afterCR {
			s.afterCR = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		if size := s.short(p); size > 0 {
			return p[size:], true
		}
		line := p
		end := bytes.IndexByte(p, '\n')
		if end >= 0 {
			line = p[:end]
		}
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
			end, line = cr, p[:cr]
		}
		if len(line) > 0 {
			s.piece(line)
		}
		if end < 0 {
			return nil, false
		}
		s.afterCR = p[end] == '\r'
		p = p[end+1:]
		blank := s.line == lineEmpty
		s.endLine()
		if blank {
			return p, true
		}
	}
	return nil, false
}

var dataField = []byte("data:")

// maxShort is shorter than the strings that doc would cut.
const maxShort = jsonscan.MaxString / 2

// short takes an event whose only line of data, and the blank line behind it, are in p. Most events are like that, and their data
// need not be copied. size is 0 if this is none.
func (s *eventSource) short(p []byte) (size int) {
	if s.line != lineEmpty || s.hasData || !bytes.HasPrefix(p, dataField) {
		return 0
	}
	end := bytes.IndexByte(p[:min(len(p), maxShort)], '\n')
	if end < 0 || end+1 >= len(p) || p[end+1] != '\n' || bytes.IndexByte(p[:end], '\r') >= 0 {
		return 0
	}
	s.whole, s.hasData = p[len(dataField):end], true
	return end + 2
}

// takeLF reports whether a line feed is the second half of the last line end, and takes it as that.
func (s *eventSource) takeLF() bool {
	after := s.afterCR
	s.afterCR = false
	return after
}

func (s *eventSource) skipBOM(c byte) bool {
	if s.bom < len(byteOrderMark) && c == byteOrderMark[s.bom] {
		s.bom++
		return true
	}
	s.bom = -1
	return false
}

func (s *eventSource) piece(p []byte) {
	if s.line == lineEmpty {
		s.line, s.nameLen = lineName, 0
	}
	if s.line == lineName {
		colon := bytes.IndexByte(p, ':')
		part := p
		if colon >= 0 {
			part = p[:colon]
		}
		n := copy(s.name[s.nameLen:], part)
		s.nameLen += n
		if n < len(part) {
			s.line = lineIgnored
			return
		}
		if colon < 0 {
			return
		}
		p = p[colon+1:]
		s.line = lineSpace
	}
	if s.line == lineSpace && len(p) > 0 {
		if p[0] == ' ' {
			p = p[1:]
		}
		s.startValue()
	}
	switch s.line {
	case lineData:
		s.doc.Write(p)
	case lineEvent:
		if len(s.eventName) < 128 {
			s.eventName = append(s.eventName, p[:min(len(p), 128)]...)
		}
	default:
	}
}

func (s *eventSource) startValue() {
	switch string(s.name[:s.nameLen]) {
	case "data":
		s.line = lineData
		if s.hasData {
			s.doc.Write([]byte{'\n'})
		}
		s.hasData = true
	case "event":
		s.line = lineEvent
		s.eventName = s.eventName[:0]
	default:
		s.line = lineIgnored
	}
}

func (s *eventSource) endLine() {
	if s.line == lineName || s.line == lineSpace {
		s.startValue() // "data" and "data:" are a data line with an empty value
	}
	s.line = lineEmpty
}

// Done is the data of the event by which OpenAI's streams end.
const Done = "[DONE]"

func (s *eventSource) Event() (e Event, ok bool) {
	data := s.whole
	if data == nil {
		data = s.doc.Bytes()
	}
	return Event{Name: s.eventName, Data: bytes.TrimSpace(data)}, s.hasData && !s.doc.Overflow()
}

func (s *eventSource) Reset() {
	s.eventName, s.hasData, s.whole = s.eventName[:0], false, nil
	s.doc.Reset()
}

// End closes the last line. Without its blank line an event is not dispatched by the WHATWG rules, but some servers leave out
// the last one.
func (s *eventSource) End() bool {
	if s.line != lineEmpty {
		s.endLine()
	}
	return s.doc.Complete() || string(bytes.TrimSpace(s.doc.Bytes())) == Done
}
