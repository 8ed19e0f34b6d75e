// Package wsframe reads the frames of a WebSocket as its bytes pass, RFC 6455
// section 5.2. It knows no connection.
package wsframe

import (
	"encoding/binary"
	"errors"
)

// Opcodes of messages, and codes of their end.
const (
	continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	closing      = 0x8

	ProtocolError   = 1002
	PolicyViolation = 1008
)

// MaxMessage bounds a message that is looked into; usage comes in small ones.
const MaxMessage = 4 << 20

// ErrFrame: what comes is not WebSocket as it was agreed to.
var ErrFrame = errors.New("a WebSocket frame with extensions or a length beyond reason")

// Reader reads one direction of a WebSocket as its bytes pass, however they are
// cut, and puts fragmented messages together. The zero value is ready.
type Reader struct {
	head   [14]byte
	have   int    // bytes of head
	left   uint64 // of the payload
	in     bool   // inside a payload
	mask   [4]byte
	masked bool
	at     int // position in the mask
	fin    bool
	opcode byte

	message []byte
	open    bool // a message has begun
	large   bool // and is longer than MaxMessage
	bad     bool
}

// Read takes bytes and calls on with each whole text or binary message. If on
// fails, n is how many bytes there are up to the end of that message's frame;
// what is behind it is not read.
func (f *Reader) Read(p []byte, on func(message []byte) error) (n int, err error) {
	for n < len(p) {
		if f.bad {
			return n, ErrFrame
		}
		if !f.in {
			f.head[f.have] = p[n]
			f.have++
			n++
			if f.have < f.headLength() {
				continue
			}
			if !f.begin() {
				f.bad = true
				return n, ErrFrame
			}
		} else {
			size := int(min(f.left, uint64(len(p)-n))) //nolint:gosec // at most len(p)
			f.take(p[n : n+size])
			n += size
		}
		if f.in && f.left == 0 {
			f.in = false
			if err := f.end(on); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// headLength is how long the head is, as far as it is known.
func (f *Reader) headLength() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin reads a whole head.
func (f *Reader) begin() bool {
	h := f.head[:f.have]
	f.have = 0
	f.fin, f.opcode = h[0]&0x80 != 0, h[0]&0x0f
	f.masked, f.at, f.in = h[1]&0x80 != 0, 0, true
	rest := h[2:]
	switch n := h[1] & 0x7f; n {
	case 126:
		f.left, rest = uint64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		f.left, rest = binary.BigEndian.Uint64(rest), rest[8:]
	default:
		f.left = uint64(n)
	}
	copy(f.mask[:], rest)
	switch {
	case h[0]&0x70 != 0, f.left > 1<<62: // extensions, which were not agreed to
		return false
	case f.control():
		return f.fin && f.left < 126
	case f.opcode == Text, f.opcode == Binary:
		if f.open {
			return false
		}
		f.open, f.large, f.message = true, false, f.message[:0]
		return true
	}
	return f.opcode == continuation && f.open
}

func (f *Reader) control() bool { return f.opcode >= closing }

// take reads a part of the payload.
func (f *Reader) take(p []byte) {
	f.left -= uint64(len(p))
	if f.control() || f.large {
		f.at += len(p)
		return
	}
	if len(f.message)+len(p) > MaxMessage {
		f.large, f.message = true, nil
		f.at += len(p)
		return
	}
	start := len(f.message)
	f.message = append(f.message, p...)
	if f.masked {
		for i := range p {
			f.message[start+i] ^= f.mask[(f.at+i)&3]
		}
	}
	f.at += len(p)
}

// end is called behind each frame.
func (f *Reader) end(on func([]byte) error) error {
	if f.control() || !f.fin {
		return nil
	}
	f.open = false
	if f.large {
		return nil
	}
	return on(f.message)
}

// Frame is a whole message of a server.
func Frame(opcode byte, payload []byte) []byte {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n)) //nolint:gosec // less than 65536
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n)) //nolint:gosec // a length
	}
	return append(b, payload...)
}

// Close ends a WebSocket; the reason has at most 123 bytes.
func Close(code uint16, reason string) []byte {
	return Frame(closing, append(binary.BigEndian.AppendUint16(nil, code), reason[:min(len(reason), 123)]...))
}
