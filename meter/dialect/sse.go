package dialect

import (
	"bytes"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// sse is an incremental parser of text/event-stream by the WHATWG rules: line ends LF, CR and CRLF split anywhere, a byte
// order mark, comments, several data lines. Field values are handed on in pieces; nothing but the current event is kept.
type sse struct {
	bom       int  // bytes of the byte order mark seen, -1 when past the start
	afterCR   bool // a following LF belongs to the last line end
	line      lineState
	name      [8]byte // the field name of the current line, as far as it matters
	nameLen   int
	eventName []byte
	hasData   bool
	data      *jsonscan.Truncator
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

var bomBytes = []byte("\xEF\xBB\xBF")

// next consumes p up to the end of an event. It returns the rest, and whether an event (or an empty block) ended.
func (s *sse) next(p []byte) (rest []byte, ended bool) {
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

func (s *sse) skipBOM(c byte) bool {
	if s.bom < len(bomBytes) && c == bomBytes[s.bom] {
		s.bom++
		return true
	}
	s.bom = -1
	return false
}

func (s *sse) piece(p []byte) {
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
		s.data.Write(p)
	case lineEvent:
		if len(s.eventName) < 128 {
			s.eventName = append(s.eventName, p[:min(len(p), 128)]...)
		}
	default:
	}
}

func (s *sse) startValue() {
	switch string(s.name[:s.nameLen]) {
	case "data":
		s.line = lineData
		if s.hasData {
			s.data.Write([]byte{'\n'})
		}
		s.hasData = true
	case "event":
		s.line = lineEvent
		s.eventName = s.eventName[:0]
	default:
		s.line = lineIgnored
	}
}

func (s *sse) endLine() {
	if s.line == lineName || s.line == lineSpace {
		s.startValue() // "data" and "data:" are a data line with an empty value
	}
	s.line = lineEmpty
}

// atEnd closes an unfinished last line at the end of the stream.
func (s *sse) atEnd() {
	if s.line != lineEmpty {
		s.endLine()
	}
}

func (s *sse) clear() {
	s.eventName, s.hasData = s.eventName[:0], false
	s.data.Reset()
}
