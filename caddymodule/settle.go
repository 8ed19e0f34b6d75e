package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/money"
)

// outcome is how the request ended, judged by what the rest of the chain did.
func (t *response) outcome(finished bool, err error) meter.Outcome {
	clientGone := t.r.Context().Err() != nil
	ownEnd := t.h.drains() && t.upstream.Err() == nil // only the upstream has ended its answer, whether or not the client was there
	switch {
	case t.socket != nil: // either side may close a socket; that is not a failure
		return meter.Answered
	case t.stopped:
		return meter.Stopped
	case !finished && (clientGone || t.gone) && !ownEnd: // reverse_proxy panics when a copy is cut short
		return meter.ClientLeft
	case !finished:
		return meter.UpstreamBroke
	case err == nil && t.status == 499, clientGone && t.status == 0 && (!ownEnd || proxyFailed(err) == 0):
		t.status, t.body = 0, nil
		t.call.Begin(0, nil) // there was no answer; the 499 is Caddy's own
		return t.left()
	case err == nil:
		return meter.Answered
	}
	return t.failedOutcome(err, clientGone)
}

// failedOutcome is how a request ended with which the rest of the chain had an error.
func (t *response) failedOutcome(err error, clientGone bool) meter.Outcome {
	var status caddyhttp.HandlerError
	switch {
	case !errors.As(err, &status):
		t.begin(http.StatusInternalServerError)
	case t.status == 0 && (!reached(err) || clientGone && !t.sent.Load()):
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

// left is the outcome of a client that left: before the upstream has the whole request,
// it owes nothing.
func (t *response) left() meter.Outcome {
	if !t.sent.Load() {
		return meter.NotReached
	}
	return meter.ClientLeft
}

// begin begins the answer with the status that Caddy will send.
func (t *response) begin(status int) {
	if t.status == 0 {
		t.call.Begin(status, nil)
	}
}

// bookedWithin is how long an answer waits for its charge to be durable. This takes
// a few milliseconds; a failing disk must not delay answers.
const bookedWithin = time.Second

// deadlines hands out contexts that end in bookedWithin, or up to a tenth later: all
// requests of a moment share one, instead of a timer for each.
type deadlines struct{ current atomic.Pointer[deadline] }

var booked deadlines

// ended is the context of who does not wait.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

type deadline struct {
	context.Context //nolint:containedctx // that is what it is
	cancel          context.CancelFunc
	made            time.Time
}

func (d *deadlines) next() context.Context {
	now := time.Now()
	c := d.current.Load()
	if c == nil || now.Sub(c.made) >= bookedWithin/10 {
		ctx, cancel := context.WithDeadline(context.Background(), now.Add(bookedWithin+bookedWithin/10))
		c = &deadline{ctx, cancel, now} // it is not cancelled: other requests wait with it
		d.current.Store(c)
	}
	return c
}

// settle ends the call and completes the answer: it sends what was held back, with
// the cost, or the trailers of a stream.
func (t *response) settle(o meter.Outcome, err error) {
	if t.settled {
		return
	}
	t.settled = true
	if t.socket != nil {
		if t.socket.end(); t.stopped {
			o = meter.Stopped
		}
	}
	if t.body != nil {
		t.body.end(o)
	}
	ctx := ended // a free call does not wait for the disk
	if !t.free() {
		ctx = booked.next()
	}
	t.receipt = t.call.Settle(ctx, o, t.kept(o))
	if !t.metered() {
		return
	}
	f := &t.receipt
	if !f.Pending {
		t.h.app.metrics.settled(t.info.Operation, *f)
	}
	if f.Quota {
		t.h.app.log.Error("the upstream says that its own account, not the customer's, is out of quota", zap.String("charge", t.info.ID))
	}
	switch status := proxyFailed(err); {
	case t.body != nil:
		t.body.settled(o, f)
	case err == nil:
	case status > 0 && t.h.RefusalFormat != "none" && !t.gone && o != meter.ClientLeft:
		t.failed(f, status)
	default: // Caddy writes the error; the headers show the cost
		t.h.readable(t.Header(), t.r, t.before.get(allowOrigin))
		t.setCharge()
		t.setCost(f)
	}
}

// unreadable says that the answer came in an unknown encoding.
func (t *response) unreadable() {
	if c, ok := t.call.(meter.Metered); ok {
		c.Unreadable()
	}
}

// proxyFailed is the status of an error with which the proxy itself ended the
// request, because it got no answer of an upstream: 502, 503 or 504; else 0.
func proxyFailed(err error) int {
	if err == nil {
		return 0
	}
	var e caddyhttp.HandlerError
	if !errors.As(err, &e) {
		return 0
	}
	switch e.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return e.StatusCode
	}
	return 0
}

// failed responds in place of an upstream that sent no answer, or broke it off
// before any of it reached the client. It says what was charged.
func (t *response) failed(f *meter.Receipt, status int) {
	t.answered = true
	reason, message := upstreamFailed, "The upstream could not be reached, or broke its response off."
	if status == http.StatusGatewayTimeout {
		reason, message = upstreamTimeout, "The upstream did not respond in time."
	}
	if f.Cost == 0 {
		message += " Nothing was charged (" + t.info.ID + ")."
	} else {
		message += " " + t.credits(f.Cost) + " were charged (" + t.info.ID + ")."
	}
	header := t.Header()
	if t.body != nil {
		t.reset()
	}
	t.status = status
	t.h.app.metrics.refused.WithLabelValues(reason).Inc()
	body := t.h.refusalHeader(header, t.r, &meter.Refusal{
		Reason: reason, Message: message, Facts: &meter.Facts{Reason: reason, Charged: t.credits(f.Cost), Unit: t.unit},
	}, status)
	t.setCharge()
	t.setCost(f)
	t.ResponseWriter.WriteHeader(status)
	if t.r.Method != http.MethodHead {
		_ = t.forward(body)
	}
}

// reset removes the headers of the upstream's answer, which do not apply to another one.
func (t *response) reset() {
	header := t.Header()
	for name := range header {
		if !t.before.has(name) {
			delete(header, name)
		}
	}
}

// stored is an answer as an idempotency key keeps it.
type stored struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// kept is the answer for replays of the request's key; nil if there is none to
// keep.
func (t *response) kept(o meter.Outcome) []byte {
	if t.body == nil || o != meter.Answered || t.r.Header.Get("Idempotency-Key") == "" {
		return nil
	}
	body := t.body.kept()
	if body == nil {
		return nil
	}
	s := stored{Status: t.status, Header: http.Header{}, Body: body}
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
		return h.deny(w, r, &meter.Refusal{
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
