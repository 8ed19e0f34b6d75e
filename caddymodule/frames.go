package caddymodule

import (
	"encoding/binary"
	"errors"
)

// WebSocket frames, RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8

	closeProtocol = 1002
	closePolicy   = 1008
)

// maxMessage bounds a message that is looked into; usage comes in small ones.
const maxMessage = 4 << 20

var errFrame = errors.New("a WebSocket frame with extensions or a length beyond reason")

// frames reads one direction of a WebSocket as its bytes pass, however they are
// cut, and puts fragmented messages together. The zero value is ready.
type frames struct {
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
	large   bool // and is longer than maxMessage
	bad     bool
}

// read takes bytes and calls on with each whole text or binary message. If on
// fails, n is how many bytes there are up to the end of that message's frame;
// what is behind it is not read.
func (f *frames) read(p []byte, on func(message []byte) error) (n int, err error) {
	for n < len(p) {
		if f.bad {
			return n, errFrame
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
				return n, errFrame
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
func (f *frames) headLength() int {
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
func (f *frames) begin() bool {
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
	case f.opcode == opText, f.opcode == opBinary:
		if f.open {
			return false
		}
		f.open, f.large, f.message = true, false, f.message[:0]
		return true
	}
	return f.opcode == opContinuation && f.open
}

func (f *frames) control() bool { return f.opcode >= opClose }

// take reads a part of the payload.
func (f *frames) take(p []byte) {
	f.left -= uint64(len(p))
	if f.control() || f.large {
		f.at += len(p)
		return
	}
	if len(f.message)+len(p) > maxMessage {
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
func (f *frames) end(on func([]byte) error) error {
	if f.control() || !f.fin {
		return nil
	}
	f.open = false
	if f.large {
		return nil
	}
	return on(f.message)
}

// frame is a whole message of a server.
func frame(opcode byte, payload []byte) []byte {
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

// closeFrame ends a WebSocket; the reason has at most 123 bytes.
func closeFrame(code uint16, reason string) []byte {
	return frame(opClose, append(binary.BigEndian.AppendUint16(nil, code), reason[:min(len(reason), 123)]...))
}
