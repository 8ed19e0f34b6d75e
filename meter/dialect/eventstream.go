package dialect

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// maxFrame bounds one frame that is looked into. AWS allows 16 MB, but no usage comes in such frames: larger ones pass unread.
const maxFrame = 1 << 20

// frames collects application/vnd.amazon.eventstream messages:
// total length, headers length, prelude CRC, headers, payload, CRC (all big endian, 4 bytes each).
type frames struct {
	buf  []byte
	skip int64
	lost bool // not an event stream after all
}

func (r *Reader) writeFrames(p []byte) {
	f := &r.frames
	for len(p) > 0 && !f.lost {
		if f.skip > 0 {
			n := min(f.skip, int64(len(p)))
			f.skip -= n
			p = p[n:]
			continue
		}
		want := 12
		if len(f.buf) >= 12 {
			want = int(binary.BigEndian.Uint32(f.buf))
		}
		n := min(want-len(f.buf), len(p))
		f.buf = append(f.buf, p[:n]...)
		p = p[n:]
		if len(f.buf) < want {
			return
		}
		if want == 12 {
			total, headers := int64(binary.BigEndian.Uint32(f.buf)), int64(binary.BigEndian.Uint32(f.buf[4:]))
			switch {
			case total < 16 || headers > total-16 || total > 32<<20:
				f.lost = true
			case total > maxFrame:
				f.skip = total - 12
				f.buf = f.buf[:0]
			}
			continue
		}
		r.frame(f.buf)
		f.buf = f.buf[:0]
	}
}

// frame reads one complete message.
func (r *Reader) frame(b []byte) {
	headers := int(binary.BigEndian.Uint32(b[4:]))
	kind, event := frameHeaders(b[12 : 12+headers])
	payload := b[12+headers : len(b)-4]
	if kind == "exception" || kind == "error" {
		r.fail(payload)
		return
	}
	// InvokeModelWithResponseStream wraps the model's own events: {"bytes":"<base64>"}.
	if inner := jsonscan.Content(jsonscan.Get(payload, "bytes")); inner != nil && event == "chunk" {
		decoded := make([]byte, base64.StdEncoding.DecodedLen(len(inner)))
		n, err := base64.StdEncoding.Decode(decoded, inner)
		if err != nil {
			return
		}
		payload = decoded[:n]
	}
	r.event([]byte(event), payload)
	if event == "messageStop" {
		r.finish = true
	}
}

// frameHeaders reads :message-type and :event-type. Only string headers (type 7) are used by Bedrock; others end the walk.
func frameHeaders(h []byte) (kind, event string) {
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
		value := string(h[n+4 : n+4+v])
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
