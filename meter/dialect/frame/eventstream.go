package frame

import "encoding/binary"

// maxFrame bounds the frames that are read. AWS allows 16 MB, but usage comes in small frames; larger ones are skipped.
const maxFrame = 1 << 20

// Sizes in a frame of an AWS event stream: total length, headers length, CRC of both, headers, payload, CRC of all. The numbers
// are big endian.
const (
	preludeSize = 12
	crcSize     = 4
	minFrame    = preludeSize + crcSize
)

// eventStream splits application/vnd.amazon.eventstream.
type eventStream struct {
	buf  []byte
	skip int64 // bytes of a large frame that are still to pass
	lost bool  // not an event stream after all
}

func (s *eventStream) Next(p []byte) (rest []byte, ended bool) {
	for len(p) > 0 && !s.lost {
		if s.skip > 0 {
			n := min(s.skip, int64(len(p)))
			s.skip -= n
			p = p[n:]
			continue
		}
		want := preludeSize
		if len(s.buf) >= preludeSize {
			want = int(binary.BigEndian.Uint32(s.buf))
		}
		n := min(want-len(s.buf), len(p))
		s.buf = append(s.buf, p[:n]...)
		if p = p[n:]; len(s.buf) < want {
			return nil, false
		}
		if want > preludeSize {
			return p, true
		}
		s.prelude()
	}
	return nil, false
}

// prelude checks the sizes of the frame that begins.
func (s *eventStream) prelude() {
	total, headers := int64(binary.BigEndian.Uint32(s.buf)), int64(binary.BigEndian.Uint32(s.buf[4:]))
	switch {
	case total < minFrame || headers > total-minFrame || total > 32*maxFrame:
		s.lost = true
	case total > maxFrame:
		s.skip = total - preludeSize
		s.buf = s.buf[:0]
	}
}

func (s *eventStream) Event() (e Event, ok bool) {
	b := s.buf
	headers := int(binary.BigEndian.Uint32(b[4:]))
	kind, event := frameHeaders(b[preludeSize : preludeSize+headers])
	e.Data = b[preludeSize+headers : len(b)-crcSize]
	e.Name = event
	e.Failed = string(kind) == "exception" || string(kind) == "error"
	return e, true
}

func (s *eventStream) Reset() { s.buf = s.buf[:0] }

func (s *eventStream) End() bool { return false }

// frameHeaders reads :message-type and :event-type. Only string headers (type 7) are used by Bedrock; others end the walk.
func frameHeaders(h []byte) (kind, event []byte) {
	for len(h) > 1 {
		n := int(h[0])
		if len(h) < n+4 || h[n+1] != 7 {
			return kind, event
		}
		name := string(h[1 : n+1])
		v := int(binary.BigEndian.Uint16(h[n+2:]))
		if len(h) < n+4+v {
			return kind, event
		}
		value := h[n+4 : n+4+v]
		switch name {
		case ":message-type":
			kind = value
		case ":event-type":
			event = value
		}
		h = h[n+4+v:]
	}
	return kind, event
}
