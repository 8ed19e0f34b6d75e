package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
	"github.com/farebox-dev/farebox/meter/money"
)

// maxBuffered is the largest answer that is read whole, so that its cost can
// stand in a header.
const maxBuffered = 1 << 20

// maxKept is the largest answer that is kept for a replay of its idempotency key.
const maxKept = 256 << 10

// tap is the response writer that reads as the bytes pass. Small JSON answers
// are held back until their cost is known; everything else passes at once.
type tap struct {
	*caddyhttp.ResponseWriterWrapper
	r        *http.Request
	h        *Handler
	c        meter.Call
	info     meter.Info      // as it was admitted
	upstream context.Context //nolint:containedctx // of the request to the upstream, which may outlive the client's
	cancel   context.CancelFunc

	decimals int
	unit     string

	status    int
	wrote     bool // the header has been decided
	buffered  *bytes.Buffer
	announced []string      // the upstream's trailers, of an answer that is held back
	first     *attempt      // can be sent again without what the gateway wrote into it
	keep      *bytes.Buffer // for a replay
	encoded   *decoding     // the answer came compressed all the same
	sent      atomic.Bool   // an upstream has the whole request
	turns     *meter.Socket // of a connection that has left HTTP
	socket    *socket       // the connection, once it has left HTTP
	stopped   bool
	answered  bool        // by the gateway, in place of an upstream that failed
	before    http.Header // of the answer, before the rest of the chain
	last      byte        // that was sent of the body
	gone      bool        // the client does not read any more
	settled   bool
	receipt   meter.Receipt
}

func newTap(ctx context.Context, w http.ResponseWriter, r *http.Request, h *Handler, e *engine, c meter.Call, cancel context.CancelFunc) *tap {
	book, _ := e.Book()
	t := &tap{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, r: r, h: h, c: c, info: c.Info(), upstream: ctx, cancel: cancel,
		decimals: book.Credit.Decimals, unit: book.Credit.Name, before: w.Header().Clone(),
	}
	if t.metered() && r.Header.Get("Idempotency-Key") != "" {
		t.keep = new(bytes.Buffer)
	}
	return t
}

func (t *tap) credits(a money.Amount) string { return a.Text(t.decimals) }

func (t *tap) metered() bool {
	_, metered := t.c.(meter.Metered)
	return metered
}

func (t *tap) free() bool {
	_, free := t.c.(*meter.Free)
	return free
}

func (t *tap) remaining(a money.Amount, unlimited bool) string {
	if unlimited {
		return "unlimited"
	}
	return t.credits(a)
}

// WriteHeader implements http.ResponseWriter. 1xx pass through.
func (t *tap) WriteHeader(status int) {
	if t.wrote {
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		t.ResponseWriter.WriteHeader(status)
		return
	}
	t.wrote, t.status = true, status
	header := t.Header()
	dropForged(header)
	if status == http.StatusSwitchingProtocols && t.metered() {
		t.switched()
		return
	}
	t.h.readable(header, t.r, t.before[allowOrigin])
	t.c.Begin(status, header)
	if !t.metered() {
		if encoding := strings.ToLower(header.Get("Content-Encoding")); encoding != "" && encoding != "identity" {
			t.encoded = newDecoding(encoding, t.observeBeside)
		}
		t.ResponseWriter.WriteHeader(status)
		return
	}
	t.set("Credits-Charge", t.info.ID)
	t.set("Credits-Unit", t.unit)
	if n := t.c.Outgoing().OutputLimit(); n > 0 {
		t.set("Credits-Clamped", "max_tokens="+itoa(n))
	}
	if t.holdsBack() {
		t.announced = header["Trailer"]
		delete(header, "Trailer")
		t.buffered = new(bytes.Buffer)
		return
	}
	if encoding := strings.ToLower(header.Get("Content-Encoding")); encoding != "" && encoding != "identity" {
		t.encoded = newDecoding(encoding, t.observeBeside)
	}
	t.sendHeader()
}

// holdsBack decides by the request and by the header of the answer whether the
// answer waits until its cost is known: one without a body, a redirect, and one
// JSON document. What a client asked for as a stream waits for nothing, whatever
// the upstream labels it; if its length is known, it is a document all the same.
func (t *tap) holdsBack() bool {
	header := t.Header()
	switch {
	case t.bodyless(), t.status >= 300 && t.status < 400, t.retries(), t.short():
		return true
	case frame.FormatOf(header.Get("Content-Type")) != frame.JSON:
		return false
	}
	return t.status >= 300 || !t.info.Stream || header.Get("Content-Length") != ""
}

// short is an answer whose length is known, such as a transcription or speech: no trailer can follow it, so its cost has to be in front.
func (t *tap) short() bool {
	n, err := strconv.Atoi(t.Header().Get("Content-Length"))
	return err == nil && n <= maxBuffered && frame.FormatOf(t.Header().Get("Content-Type")) != frame.SSE
}

// bodyless answers have no body and so no trailer (RFC 9110, 6.4.1).
func (t *tap) bodyless() bool {
	return t.r.Method == http.MethodHead || t.status == http.StatusNoContent || t.status == http.StatusNotModified
}

// dropForged removes what only the gateway may say. Upstreams say it in headers,
// and reverse_proxy adds their trailers after the body, announced or not.
func dropForged(header http.Header) {
	ours := func(name string) bool {
		name = http.CanonicalHeaderKey(strings.TrimSpace(strings.TrimPrefix(name, http.TrailerPrefix)))
		return strings.HasPrefix(name, "Credits-") || name == "Idempotency-Replayed"
	}
	for name := range header {
		if ours(name) {
			delete(header, name)
		}
	}
	for i, names := range header["Trailer"] {
		header["Trailer"][i] = strings.Join(slices.DeleteFunc(strings.Split(names, ","), ours), ",")
	}
}

func (t *tap) set(name, value string) { t.Header()[name] = []string{value} }

// observeBeside reads what passes to the client in another encoding.
func (t *tap) observeBeside(p []byte) { _, _ = t.c.Observe(context.Background(), p) }

// sendHeader begins an answer whose cost comes in trailers.
func (t *tap) sendHeader() {
	info := t.c.Info()
	t.set("Credits-Held", t.credits(info.Held))
	if !t.free() {
		t.set("Credits-Remaining", t.remaining(info.Remaining, info.Unlimited))
	}
	// Of HTTP/1 only an answer without a declared length can have trailers.
	if t.Header().Get("Content-Length") == "" || t.status == http.StatusOK && (t.info.Stream || !t.free()) {
		t.Header().Del("Content-Length")
		if t.r.ProtoAtLeast(1, 1) && !t.bodyless() {
			t.Header().Add("Trailer", "Credits-Cost, Credits-Remaining")
		}
	}
	t.ResponseWriter.WriteHeader(t.status)
}

// Write implements io.Writer. It never fails for what it reads, only for what
// the client does.
func (t *tap) Write(p []byte) (int, error) {
	if !t.wrote {
		t.WriteHeader(http.StatusOK)
	}
	if t.stopped {
		return len(p), nil
	}
	if !t.metered() {
		if t.encoded != nil { // the status of a job
			t.encoded.write(p)
		} else {
			_, _ = t.c.Observe(t.r.Context(), p)
		}
		return t.ResponseWriter.Write(p)
	}
	if t.buffered != nil {
		if t.buffered.Len()+len(p) <= maxBuffered {
			n, _ := t.buffered.Write(p)
			if t.status < 300 && !t.bodyless() && frame.LooksStreamed(t.buffered.Bytes()) {
				return n, t.spill()
			}
			return n, nil
		}
		if err := t.spill(); err != nil {
			return 0, err
		}
	}
	if err := t.pass(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// spill gives up holding back an answer that is too large for it.
func (t *tap) spill() error {
	held := t.buffered.Bytes()
	t.buffered = nil
	if len(t.announced) > 0 {
		t.Header()["Trailer"], t.announced = t.announced, nil
	}
	if encoding := strings.ToLower(t.Header().Get("Content-Encoding")); encoding != "" && encoding != "identity" {
		t.encoded = newDecoding(encoding, t.observeBeside)
	}
	t.sendHeader()
	return t.pass(held)
}

// pass reads bytes and forwards them.
func (t *tap) pass(p []byte) error {
	if t.encoded != nil {
		t.encoded.write(p)
		return t.forward(p)
	}
	out, err := t.c.Observe(t.r.Context(), p)
	failed := t.forward(out)
	if errors.Is(err, meter.ErrExhausted) {
		t.stopped = true
		_ = http.NewResponseController(t.ResponseWriter).Flush()
		t.cancel()
	}
	return failed
}

func (t *tap) forward(p []byte) error {
	if len(p) == 0 || t.gone {
		return nil
	}
	if t.keep != nil {
		if t.keep.Len()+len(p) > maxKept {
			t.keep = nil
		} else {
			t.keep.Write(p)
		}
	}
	t.last = p[len(p)-1]
	_, err := t.ResponseWriter.Write(p)
	if err != nil && t.h.drains() {
		t.gone = true // read on without him
		return nil
	}
	return err
}

// ReadFrom implements io.ReaderFrom: the promoted one would hand the bytes to
// the writer below and pass Write by.
func (t *tap) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{t}, r)
}

// FlushError implements the interface of http.ResponseController.
func (t *tap) FlushError() error {
	if !t.wrote {
		t.WriteHeader(http.StatusOK)
	}
	if t.buffered != nil || t.gone || t.stopped {
		return nil
	}
	err := http.NewResponseController(t.ResponseWriter).Flush()
	if err != nil && t.h.drains() {
		t.gone = true
		return nil
	}
	return err
}

var (
	_ http.ResponseWriter             = (*tap)(nil)
	_ io.ReaderFrom                   = (*tap)(nil)
	_ interface{ FlushError() error } = (*tap)(nil)
)
