package caddymodule

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
	"github.com/farebox-dev/farebox/meter/money"
)

// response is the response writer that reads the bytes as it forwards them. The
// header decides how it forwards them: see body.
type response struct {
	caddyhttp.ResponseWriterWrapper
	r        *http.Request
	h        *Handler
	caller   *meter.Caller
	call     meter.Call
	info     meter.Info      // as it was admitted
	parent   upstreamParent  // of upstream
	upstream context.Context //nolint:containedctx // of the request to the upstream, which may outlive the client's
	cancel   context.CancelFunc
	trace    httptrace.ClientTrace

	stopDrain func() bool // the client's leaving ends nothing any more

	decimals int
	unit     string

	before   fields        // of the answer, before the rest of the chain
	first    *attempt      // can be repeated without what the gateway wrote into it
	sent     atomic.Bool   // an upstream has the whole request
	status   int           // 0: the header has not been decided
	body     body          // nil: see status
	turns    *meter.Socket // of a WebSocket
	socket   *socket       // the connection itself
	stopped  bool          // the credits are used up
	gone     bool          // the client has disconnected
	answered bool          // by the gateway, in place of an upstream that failed
	settled  bool
	receipt  meter.Receipt

	beforeRoom [4]field // for before
	values     values   // that the gateway sets in the header
}

// body is how the bytes of an answer reach the client.
type body interface {
	write(p []byte) error
	// held reports whether nothing has been sent yet.
	held() bool
	// end reads the rest of an answer that ended with o.
	end(o meter.Outcome)
	// kept is the answer for replays; nil if it is too large.
	kept() []byte
	// settled completes the answer with what it cost.
	settled(o meter.Outcome, f *meter.Receipt)
}

func newResponse(w http.ResponseWriter, r *http.Request, h *Handler, e *engine, call meter.Call, caller *meter.Caller) *response {
	book, _ := e.Book()
	t := &response{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, r: r, h: h, caller: caller, call: call, info: call.Info(),
		decimals: book.Credit.Decimals, unit: book.Credit.Name,
	}
	t.before = fieldsOf(w.Header(), t.beforeRoom[:0])
	return t
}

func (t *response) metered() bool {
	_, metered := t.call.(meter.Metered)
	return metered
}

func (t *response) free() bool {
	_, free := t.call.(*meter.Free)
	return free
}

func (t *response) credits(a money.Amount) string { return a.Text(t.decimals) }

func (t *response) remaining(a money.Amount, unlimited bool) string {
	if unlimited {
		return "unlimited"
	}
	return t.credits(a)
}

func (t *response) set(name, value string) { t.Header()[name] = t.values.of(value) }

func (t *response) setCharge() {
	t.set("Credits-Charge", t.info.ID)
	t.set("Credits-Unit", t.unit)
}

// setHeld sets the headers of the hold and of the remaining credits.
func (t *response) setHeld() {
	info := t.call.Info()
	t.set("Credits-Held", t.credits(info.Held))
	if !t.free() {
		t.set("Credits-Remaining", t.remaining(info.Remaining, info.Unlimited))
	}
}

// setCost sets the headers of the cost and of the remaining credits. It sets them
// only if they are booked: no header is better than a wrong one.
func (t *response) setCost(f *meter.Receipt) {
	for _, name := range []string{"Credits-Cost", "Credits-Remaining"} {
		t.Header().Del(name)
	}
	switch {
	case f.Booked, f.Pending:
		t.set("Credits-Cost", t.credits(f.Cost))
		t.set("Credits-Remaining", t.remaining(f.Remaining, f.Unlimited))
	case t.free():
		t.set("Credits-Cost", "0")
	}
}

// WriteHeader implements http.ResponseWriter. 1xx pass through.
func (t *response) WriteHeader(status int) {
	if t.status != 0 {
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		t.ResponseWriter.WriteHeader(status)
		return
	}
	t.status = status
	header := t.Header()
	dropForged(header)
	c, metered := t.call.(meter.Metered)
	if metered && status == http.StatusSwitchingProtocols {
		t.switched(c)
		return
	}
	t.h.readable(header, t.r, t.before.get(allowOrigin))
	t.call.Begin(status, header)
	if !metered {
		t.body = &passed{t: t, encoded: t.decoding()}
		t.ResponseWriter.WriteHeader(status)
		return
	}
	t.setCharge()
	if n := t.call.Outgoing().OutputLimit(); n > 0 {
		t.set("Credits-Clamped", "max_tokens="+itoa(n))
	}
	if t.holdsBack() {
		t.body = t.buffer()
		return
	}
	if t.durable() != nil {
		t.body = lost{}
		return
	}
	t.body = t.stream()
}

// holdsBack reports whether the answer waits until its cost is known: an answer
// without a body, a redirect, or one JSON document. A stream that the client asked
// for does not wait, whatever its Content-Type, unless its length is known.
func (t *response) holdsBack() bool {
	header := t.Header()
	switch {
	case t.bodyless(), t.status >= 300 && t.status < 400, t.retries(), t.short():
		return true
	case frame.FormatOf(header.Get("Content-Type")) != frame.JSON:
		return false
	}
	return t.status >= 300 || !t.info.Stream || header.Get("Content-Length") != ""
}

// short is an answer whose length is known, such as a transcription or speech: no
// trailer can follow it, so its cost has to be in front.
func (t *response) short() bool {
	n, err := strconv.Atoi(t.Header().Get("Content-Length"))
	return err == nil && n <= maxBuffered && frame.FormatOf(t.Header().Get("Content-Type")) != frame.SSE
}

// bodyless answers have no body and so no trailer (RFC 9110, 6.4.1).
func (t *response) bodyless() bool {
	return t.r.Method == http.MethodHead || t.status == http.StatusNoContent || t.status == http.StatusNotModified
}

// dropForged removes headers that only the gateway may set. Upstreams may send them
// as headers, and reverse_proxy adds trailers after the body, announced or not.
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

// Write implements io.Writer. It fails only if the client does.
func (t *response) Write(p []byte) (int, error) {
	if t.status == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if t.stopped {
		return len(p), nil
	}
	if err := t.body.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// forward sends bytes to the client. A disconnected client is not an error if the
// rest of the answer is still read.
func (t *response) forward(p []byte) error {
	if len(p) == 0 || t.gone {
		return nil
	}
	_, err := t.ResponseWriter.Write(p)
	return t.unlessGone(err)
}

func (t *response) unlessGone(err error) error {
	if err != nil && t.h.drains() {
		t.gone = true
		return nil
	}
	return err
}

// ReadFrom implements io.ReaderFrom: the promoted one would hand the bytes to
// the writer below and pass Write by.
func (t *response) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{t}, r)
}

// FlushError implements the interface of http.ResponseController.
func (t *response) FlushError() error {
	if t.status == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if t.body.held() || t.gone || t.stopped {
		return nil
	}
	return t.unlessGone(http.NewResponseController(t.ResponseWriter).Flush())
}

var (
	_ http.ResponseWriter             = (*response)(nil)
	_ io.ReaderFrom                   = (*response)(nil)
	_ interface{ FlushError() error } = (*response)(nil)
)
