package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/farebox-dev/farebox/internal/coding"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
)

// maxKept is the largest answer that is kept for a replay of its idempotency key.
const maxKept = 256 << 10

// passed is the answer to a call without a charge. It is forwarded unchanged.
type passed struct {
	t       *response
	encoded *coding.Tee // nil: the answer came plain
}

func (b *passed) write(p []byte) error {
	if b.encoded != nil { // the status of a job
		b.encoded.Write(p)
	} else {
		_, _ = b.t.call.Observe(b.t.r.Context(), p)
	}
	_, err := b.t.ResponseWriter.Write(p)
	return err
}

func (b *passed) held() bool { return false }

func (b *passed) end(o meter.Outcome) {
	dropForged(b.t.Header()) // the upstream's trailers
	if b.encoded != nil {
		_ = b.encoded.Close()
	}
	if o == meter.Answered {
		b.t.call.End() // the status of a job is known when it is whole
	}
}

func (b *passed) kept() []byte { return nil }

func (b *passed) settled(meter.Outcome, *meter.Receipt) {}

// streamed is an answer that is forwarded as it is read. Its cost is in trailers.
type streamed struct {
	t       *response
	encoded *coding.Tee   // nil: the answer came plain
	keep    *bytes.Buffer // for a replay; nil: for none
	last    byte          // that was sent
}

// stream sends the header of an answer whose cost comes later.
func (t *response) stream() *streamed {
	b := &streamed{t: t, encoded: t.decoding()}
	if t.r.Header.Get("Idempotency-Key") != "" {
		b.keep = new(bytes.Buffer)
	}
	t.setHeld()
	// In HTTP/1 only an answer without a declared length can have trailers.
	header := t.Header()
	if header.Get("Content-Length") == "" || t.status == http.StatusOK && (t.info.Stream || !t.free()) {
		header.Del("Content-Length")
		if t.r.ProtoAtLeast(1, 1) && !t.bodyless() {
			header.Add("Trailer", "Credits-Cost, Credits-Remaining")
		}
	}
	t.ResponseWriter.WriteHeader(t.status)
	return b
}

// decoding reads a compressed answer while it passes to the client; nil: the
// answer is plain. The gateway asks for plain answers, so this is for upstreams that
// ignore that.
func (t *response) decoding() *coding.Tee {
	encoding := coding.Of(t.Header())
	if encoding == "" {
		return nil
	}
	return coding.NewTee(encoding, func(p []byte) { _, _ = t.call.Observe(context.Background(), p) })
}

func (b *streamed) write(p []byte) error {
	if b.encoded != nil {
		b.encoded.Write(p)
		return b.forward(p)
	}
	out, err := b.t.call.Observe(b.t.r.Context(), p)
	failed := b.forward(out)
	if errors.Is(err, meter.ErrExhausted) {
		b.t.stopped = true
		_ = http.NewResponseController(b.t.ResponseWriter).Flush()
		b.t.cancel()
	}
	return failed
}

func (b *streamed) forward(p []byte) error {
	if len(p) == 0 || b.t.gone {
		return nil
	}
	if b.keep != nil {
		if b.keep.Len()+len(p) > maxKept {
			b.keep = nil
		} else {
			b.keep.Write(p)
		}
	}
	b.last = p[len(p)-1]
	return b.t.forward(p)
}

func (b *streamed) held() bool { return false }

func (b *streamed) end(o meter.Outcome) {
	dropForged(b.t.Header()) // the upstream's trailers
	if b.encoded != nil {
		if err := b.encoded.Close(); errors.Is(err, coding.ErrUnknown) {
			b.t.unreadable()
		}
	}
	if o != meter.Answered {
		return
	}
	if rest := b.t.call.End(); b.encoded == nil {
		_ = b.forward(rest)
	}
}

func (b *streamed) kept() []byte {
	if b.keep == nil {
		return nil
	}
	return b.keep.Bytes()
}

func (b *streamed) settled(_ meter.Outcome, f *meter.Receipt) {
	if b.t.h.StreamComment && f.Booked && b.takesComment() {
		_ = b.t.forward([]byte(": credits cost=" + b.t.credits(f.Cost) + " remaining=" + b.t.remaining(f.Remaining, f.Unlimited) + "\n\n"))
	}
	b.t.setCost(f)
}

// takesComment reports whether a line can follow what was sent: not in compressed
// bytes, and not in the middle of a line, which would become part of an event.
func (b *streamed) takesComment() bool {
	header := b.t.Header()
	return frame.FormatOf(header.Get("Content-Type")) == frame.SSE && coding.Of(header) == "" && (b.last == '\n' || b.last == '\r' || b.last == 0)
}

// errLost ends the copying of an answer that has no hold.
var errLost = errors.New("the hold could not be written")

// lost is the body of an answer whose hold could not be written: nothing is sent.
type lost struct{}

func (lost) write([]byte) error                    { return errLost }
func (lost) held() bool                            { return true }
func (lost) end(meter.Outcome)                     {}
func (lost) kept() []byte                          { return nil }
func (lost) settled(meter.Outcome, *meter.Receipt) {}
