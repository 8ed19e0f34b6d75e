package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
	"github.com/farebox-dev/farebox/meter/money"
)

// outcome says how the request ended, from what the rest of the chain did.
func (t *tap) outcome(finished bool, err error) meter.Outcome {
	clientGone := t.r.Context().Err() != nil
	ownEnd := t.h.drains() && t.upstream.Err() == nil // nobody but the upstream has ended its answer, whether the client was there or not
	var status caddyhttp.HandlerError
	switch {
	case t.socket != nil: // whoever ended it, that was no failure
		return meter.Answered
	case t.stopped:
		return meter.Stopped
	case !finished && (clientGone || t.gone) && !ownEnd: // reverse_proxy panics when a copy is cut short
		return meter.ClientLeft
	case !finished:
		return meter.UpstreamBroke
	case err == nil && t.wrote && t.status == 499, clientGone && !t.wrote && (!ownEnd || proxyFailed(err) == 0):
		t.status, t.wrote = 0, false
		t.c.Begin(0, nil) // there was no answer; the 499 is Caddy's own
		return t.left()
	case err == nil:
		return meter.Answered
	case !errors.As(err, &status):
		t.begin(http.StatusInternalServerError)
	case !t.wrote && (!reached(err) || clientGone && !t.sent.Load()):
		return meter.NotReached
	case status.StatusCode == http.StatusGatewayTimeout:
		return meter.TimedOut
	case status.StatusCode == 499:
		return t.left()
	default:
		t.begin(status.StatusCode)
	}
	return meter.Answered
}

// left: a client who is gone before the upstream has the whole of his request owes nothing.
func (t *tap) left() meter.Outcome {
	if !t.sent.Load() {
		return meter.NotReached
	}
	return meter.ClientLeft
}

// traced notes when an upstream has the whole request.
func (t *tap) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(w httptrace.WroteRequestInfo) {
		if w.Err == nil {
			t.sent.Store(true)
		}
	}})
}

// begin tells the charge which status Caddy will answer with.
func (t *tap) begin(status int) {
	if !t.wrote {
		t.c.Begin(status, nil)
	}
}

// settle ends the charge and completes the answer: what was held back goes out
// with its cost, a stream gets its trailers.
func (t *tap) settle(o meter.Outcome, err error) {
	if t.settled {
		return
	}
	t.settled = true
	if t.socket != nil {
		if t.socket.end(); t.stopped {
			o = meter.Stopped
		}
	}
	if t.wrote && t.buffered == nil {
		dropForged(t.Header()) // the upstream's trailers
	}
	if !t.metered() {
		if t.encoded != nil {
			t.encoded.close()
		}
		if o == meter.Answered {
			t.c.End() // the status of a job is known when it is whole
		}
		t.c.Settle(t.r.Context(), o, nil)
		return
	}
	t.finishReading(o)
	whole := t.buffered != nil && o == meter.Answered
	if t.keep != nil && whole {
		if t.buffered.Len() <= maxKept {
			t.keep.Write(t.buffered.Bytes())
		} else {
			t.keep = nil
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.r.Context()), bookedWithin)
	defer cancel()
	if t.free() { // waits for no disk
		cancel()
	}
	f := t.c.Settle(ctx, o, t.kept(o))
	t.keep, t.receipt = nil, f
	if whole {
		t.sendBuffered(&f, t.complete(&f))
	}
	if !f.Pending {
		t.h.app.metrics.settled(t.info.Operation, f)
	}
	if f.Quota {
		t.h.app.log.Error("the upstream says that its own account, not the customer's, is out of quota", zap.String("charge", t.info.ID))
	}
	if err != nil && !t.wrote && t.h.DenialFormat != "none" && proxyFailed(err) > 0 && !t.gone && o != meter.ClientLeft {
		t.failed(&f, proxyFailed(err))
		return
	}
	if o == meter.UpstreamBroke && t.buffered != nil && !t.gone {
		t.failed(&f, http.StatusBadGateway)
		return
	}
	if err != nil && !t.wrote { // Caddy writes the error; the customer sees that it cost nothing
		t.h.readable(t.Header(), t.r, t.before[allowOrigin])
		t.set("Credits-Charge", t.info.ID)
		t.tell(&f)
		t.set("Credits-Unit", t.unit)
	}
	if t.wrote && t.buffered == nil {
		t.trailers(&f)
	}
}

// finishReading feeds the last bytes to the reader.
func (t *tap) finishReading(o meter.Outcome) {
	if t.encoded != nil {
		if t.encoded.close(); t.encoded.unknown {
			t.unreadable()
		}
	}
	if t.buffered != nil && o != meter.UpstreamBroke { // of a torn answer nothing was delivered
		plain := plainBody(t.Header(), t.buffered.Bytes())
		if plain == nil && t.buffered.Len() > 0 {
			t.unreadable()
		}
		_, _ = t.c.Observe(t.r.Context(), plain)
	}
	if o == meter.Answered && t.buffered == nil && t.encoded == nil {
		_ = t.forward(t.c.End())
		return
	}
	if o == meter.Answered {
		t.c.End()
	}
}

// plainBody is a body without its content encoding; nil: the encoding is unknown.
func plainBody(header http.Header, body []byte) []byte {
	e := strings.ToLower(header.Get("Content-Encoding"))
	if e == "" || e == "identity" {
		return body
	}
	d, err := decode(e, bytes.NewReader(body))
	if errors.Is(err, errEncoding) {
		return nil
	}
	if err != nil {
		return body
	}
	plain, _ := io.ReadAll(io.LimitReader(d, 16*maxBuffered))
	return plain
}

func (t *tap) unreadable() {
	if c, ok := t.c.(meter.Metered); ok {
		c.Unreadable()
	}
}

// bookedWithin is how long an answer waits for its charge to be durable. It is
// a few milliseconds; a disk that fails must not keep answers.
const bookedWithin = time.Second

// complete is the body of an answer that was held back.
func (t *tap) complete(f *meter.Receipt) []byte {
	if t.h.billingFailure(f, t.status) {
		t.status = http.StatusBadGateway
		return t.h.upstreamBilling(t.Header(), t.r)
	}
	return t.buffered.Bytes()
}

// tell sets what the request cost and what is left, as far as the ledger has said it: nothing is better than something wrong.
func (t *tap) tell(f *meter.Receipt) {
	for _, name := range []string{"Credits-Cost", "Credits-Remaining"} {
		t.Header().Del(name)
	}
	switch {
	case f.Booked:
		t.set("Credits-Cost", t.credits(f.Cost))
		t.set("Credits-Remaining", t.remaining(f.Remaining, f.Unlimited))
	case t.free():
		t.set("Credits-Cost", "0")
	case f.Pending:
		t.set("Credits-Cost", t.credits(f.Cost))
		t.set("Credits-Remaining", t.remaining(f.Remaining, f.Unlimited))
	}
}

func (t *tap) sendBuffered(f *meter.Receipt, body []byte) {
	t.tell(f)
	if f.Pending { // a job: what it comes to is known when it has ended
		t.set("Credits-Held", t.credits(t.c.Info().Held))
		if t.info.TokenPriced {
			t.Header().Del("Credits-Cost")
		}
	}
	late := t.takeTrailers()
	switch {
	case t.bodyless(), len(late) > 0 && t.r.ProtoAtLeast(1, 1):
		if t.r.Method != http.MethodHead {
			t.Header().Del("Content-Length")
		}
	default:
		t.set("Content-Length", itoa(int64(len(body))))
	}
	t.ResponseWriter.WriteHeader(t.status)
	_ = t.forward(body)
	maps.Copy(t.Header(), late)
}

// takeTrailers takes the upstream's trailers out of the header, where
// reverse_proxy has put them behind the body, and announces them again.
func (t *tap) takeTrailers() http.Header {
	late := http.Header{}
	if t.bodyless() {
		return late
	}
	for _, line := range t.announced {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if v, ok := t.Header()[name]; ok && name != "" {
				late[name] = v
				delete(t.Header(), name)
				t.Header().Add("Trailer", name)
			}
		}
	}
	for name, v := range t.Header() {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			late[name] = v
			delete(t.Header(), name)
		}
	}
	return late
}

// billingFailure: the operator's own account with the provider is empty. That is
// no 402 of the customer's.
func (h *Handler) billingFailure(f *meter.Receipt, status int) bool {
	return f.Quota || status == http.StatusPaymentRequired
}

func (h *Handler) upstreamBilling(header http.Header, r *http.Request) []byte {
	for _, name := range []string{"Content-Encoding", "Retry-After"} {
		header.Del(name)
	}
	charge := header.Get("Credits-Charge")
	body := h.denialHeader(header, r, &meter.Denial{
		Reason: upstreamBilling, Message: "The AI provider refused to serve this gateway; its operator has been told. Nothing was charged (" + charge + ").",
	}, http.StatusBadGateway)
	return body
}

func (t *tap) trailers(f *meter.Receipt) {
	if t.h.StreamComment && f.Booked && t.takesComment() && !t.gone {
		_, _ = t.ResponseWriter.Write([]byte(": credits cost=" + t.credits(f.Cost) + " remaining=" + t.remaining(f.Remaining, f.Unlimited) + "\n\n"))
	}
	t.tell(f)
}

// takesComment reports whether a line can follow what was sent: not in compressed
// bytes, and not in the middle of a line, which would become part of an event.
func (t *tap) takesComment() bool {
	encoding := strings.ToLower(t.Header().Get("Content-Encoding"))
	return frame.FormatOf(t.Header().Get("Content-Type")) == frame.SSE && (encoding == "" || encoding == "identity") &&
		(t.last == '\n' || t.last == '\r' || t.last == 0)
}

// stored is an answer as an idempotency key keeps it.
type stored struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

func (t *tap) kept(o meter.Outcome) []byte {
	if t.keep == nil || o != meter.Answered || t.status == 0 {
		return nil
	}
	s := stored{Status: t.status, Header: http.Header{}, Body: t.keep.Bytes()}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Credits-Clamped"} {
		if v := t.Header().Values(name); len(v) > 0 {
			s.Header[name] = v
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return b
}

// replay answers a repeated idempotency key with the first answer.
func (h *Handler) replay(w http.ResponseWriter, r *http.Request, e *engine, again *meter.Replay) error {
	var s stored
	charge := again.Charge
	if len(again.Answer) == 0 || json.Unmarshal(again.Answer, &s) != nil {
		why := "its answer was not kept (a stream that broke off, or too large)"
		if charge.SettledAt.IsZero() {
			why = "it is still running"
		}
		return h.deny(w, r, &meter.Denial{
			Reason: meter.IdempotencyConflict, Field: "header.Idempotency-Key",
			Message: "A request with this Idempotency-Key was already charged as " + string(charge.ID) + "; " + why + ". Nothing was charged again; use a new key to run it again.",
		})
	}
	book, _ := e.Book()
	credits := func(a money.Amount) string { return a.Text(book.Credit.Decimals) }
	header := w.Header()
	maps.Copy(header, s.Header)
	header.Set("Idempotency-Replayed", "true")
	header.Set("Credits-Charge", string(charge.ID))
	if charge.SettledAt.IsZero() { // of a job that goes on
		header.Set("Credits-Held", credits(charge.HeldTotal()))
	} else {
		header.Set("Credits-Cost", credits(charge.Cost))
	}
	header.Set("Credits-Unit", book.Credit.Name)
	header.Set("Credits-Remaining", credits(again.Remaining))
	if again.Unlimited {
		header.Set("Credits-Remaining", "unlimited")
	}
	h.readable(header, r, header[allowOrigin])
	w.WriteHeader(s.Status)
	_, err := w.Write(s.Body)
	return err
}

// decoding reads a compressed answer beside its way to the client. Metered
// requests ask for plain ones, so this is for upstreams that do not listen.
type decoding struct {
	pipe *io.PipeWriter
	done sync.WaitGroup

	unknown bool // nobody here knows the encoding; to be read after close
}

func newDecoding(encoding string, observe func([]byte)) *decoding {
	r, w := io.Pipe()
	d := &decoding{pipe: w}
	d.done.Go(func() {
		defer io.Copy(io.Discard, r) //nolint:errcheck // whatever is wrong with the encoding, the client gets his bytes
		plain, err := decode(encoding, r)
		if err != nil {
			d.unknown = errors.Is(err, errEncoding)
			return
		}
		buf := make([]byte, 32<<10)
		for {
			n, err := plain.Read(buf)
			observe(buf[:n])
			if err != nil {
				return
			}
		}
	})
	return d
}

func (d *decoding) write(p []byte) { _, _ = d.pipe.Write(p) }

func (d *decoding) close() {
	_ = d.pipe.Close()
	d.done.Wait()
}
