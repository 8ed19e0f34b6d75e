package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/internal/payload"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/ownership"
)

// Handler meters the requests that pass it: it holds their credits before they
// go upstream and settles them by the answer. It must come before
// reverse_proxy, which is its place in the Caddyfile's order.
type Handler struct {
	// Account is a placeholder for the account, such as {http.auth.user.id}. Default:
	// the account of the Farebox key in Authorization, x-api-key, x-goog-api-key or api-key.
	Account string `json:"account,omitempty"`
	// Member is a placeholder for the member of the account. Default: the key's.
	Member string `json:"member,omitempty"`
	// MaxBody is the largest request body that is read, in bytes. Default: 64 MB.
	MaxBody int64 `json:"max_body,omitempty"`
	// BodyTimeout is how long a client may take to send a body that is read. Default: five minutes.
	BodyTimeout caddy.Duration `json:"body_timeout,omitempty"`
	// OnDisconnect is what happens when the client leaves: drain (the default)
	// reads the answer on, for DrainMax at most, and charges what it reports;
	// cancel ends the upstream request and charges what was delivered.
	OnDisconnect string `json:"on_disconnect,omitempty"`
	// DrainMax is how long drain reads on. Default: two minutes.
	DrainMax caddy.Duration `json:"drain_max,omitempty"`
	// Hold is when a request goes upstream: durable (the default) when its hold is on
	// disk, overlap while it is being written. With overlap, too, nothing of an
	// answer reaches the client before its hold is on disk.
	Hold string `json:"hold,omitempty"`
	// OnStoreError is what happens when the ledger can't be written: reject (the
	// default) answers 503, pass lets requests through unmetered.
	OnStoreError string `json:"on_store_error,omitempty"`
	// RefusalFormat is how refusals look: auto (the default: as the endpoint's API does
	// it), openai, anthropic, gemini, problem, or none for Caddy's own errors.
	RefusalFormat string `json:"refusal_format,omitempty"`
	// Upgrade is what happens to WebSockets on routes with a price: reject (the
	// default) answers 403, meter lets those of APIs pass that report what they use
	// (OpenAI Realtime), and charges it.
	Upgrade string `json:"upgrade,omitempty"`
	// UnknownIDs are the kinds of ids that pass although no account is known to have
	// got them from an answer, such as files that were uploaded before there was a
	// gateway: files, responses, …, the operation of a job, * for all, or none.
	// Default: all in bodies and queries, none in paths.
	UnknownIDs []string `json:"unknown_ids,omitempty"`
	// StreamComment ends event streams with a comment that says what they cost.
	StreamComment bool `json:"stream_comment,omitempty"`

	app     *App
	refused *refusals
	hide    func() // takes keys out of what the handlers of this server log
}

// CaddyModule implements caddy.Module.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.meter", New: func() caddy.Module { return new(Handler) }}
}

const (
	defaultMaxBody     = 64_000_000
	defaultBodyTimeout = 5 * time.Minute
	defaultDrainMax    = 2 * time.Minute
)

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("meter")
	if err != nil {
		return fmt.Errorf("loading the app meter: %w", err)
	}
	h.refused, h.hide = new(refusals), hideSecrets(ctx)
	h.app = app.(*App) //nolint:forcetypeassert // the id is ours
	if h.MaxBody == 0 {
		h.MaxBody = defaultMaxBody
	}
	if h.BodyTimeout == 0 {
		h.BodyTimeout = caddy.Duration(defaultBodyTimeout)
	}
	if h.DrainMax == 0 {
		h.DrainMax = caddy.Duration(defaultDrainMax)
	}
	if h.RefusalFormat == "" {
		h.RefusalFormat = "auto"
	}
	return nil
}

// Validate implements caddy.Validator.
func (h *Handler) Validate() error {
	return errors.Join(
		oneOf("on_disconnect", h.OnDisconnect, "", "cancel", "drain"),
		oneOf("hold", h.Hold, "", "durable", "overlap"),
		oneOf("on_store_error", h.OnStoreError, "", "reject", "pass"),
		h.knownKinds(),
		oneOf("upgrade", h.Upgrade, "", "reject", "meter"),
		oneOf("refusal_format", h.RefusalFormat, "auto", "openai", "anthropic", "gemini", "problem", "none"),
	)
}

// knownKinds checks unknown_ids: kinds of ids, and operations that have a job.
func (h *Handler) knownKinds() error {
	kinds := resource.Kinds()
	if h.app != nil && h.app.book != nil {
		for _, op := range h.app.book.Operations {
			if op.Job != nil {
				kinds = append(kinds, op.ID)
			}
		}
	}
	for _, k := range h.UnknownIDs {
		if k == "*" || k == ownership.NoUnknownIDs {
			continue
		}
		if err := oneOf("unknown_ids pass", k, kinds...); err != nil {
			return err
		}
	}
	return nil
}

func oneOf(option, have string, allowed ...string) error {
	if slices.Contains(allowed, have) {
		return nil
	}
	return fmt.Errorf("%s %q: write one of %q", option, have, allowed)
}

type contextKey struct{}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Context().Value(contextKey{}) != nil { // never charge twice for one request
		return next.ServeHTTP(w, r)
	}
	if q, ok := r.Context().Value(questionKey{}).(*question); ok { // the gateway's own
		return next.ServeHTTP(w, h.upstreamRequest(context.WithValue(r.Context(), contextKey{}, q), r, payload.Body{}, true))
	}
	if h.hide != nil {
		h.hide()
	}
	if preflight(r) { // browsers ask without a key; nothing runs
		h.allow(w, r)
		return nil
	}
	e, err := h.app.acquire()
	if err != nil {
		return h.unavailable(w, r, next, nil, payload.Body{}, err)
	}
	defer h.app.release()
	e.serving.Add(1)
	defer e.serving.Add(-1)
	if e.leaving.Load() { // the client's next request is the successor's
		w.Header().Set("Connection", "close")
	}
	if op, ok := e.Jobs.Webhook(r.Method, r.URL.RequestURI()); ok {
		return h.called(w, r, e, op)
	}
	began := time.Now()
	in, err := h.read(e, w, r)
	defer in.release()
	if err != nil {
		return h.deny(w, r, err)
	}
	c, err := e.Admit(r.Context(), &in.Request)
	h.app.metrics.admit.Observe(time.Since(began).Seconds())
	if err != nil {
		return h.notAdmitted(w, r, next, e, in.body, err)
	}
	return h.proxy(w, r, next, e, c, in)
}

// clientLeft is the reason of a request whose client left before it ran.
const (
	clientLeft       = "client_left"
	statusClientLeft = 499 // as Caddy has it
)

// notAdmitted answers a request that does not run.
func (h *Handler) notAdmitted(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, e *engine, sent payload.Body, err error) error {
	var d *meter.Refusal
	if errors.As(err, &d) && d.Reason == meter.Unavailable {
		if errors.Is(err, context.Canceled) && r.Context().Err() != nil { // the ledger is well; its caller did not wait for it
			h.app.metrics.refused.WithLabelValues(clientLeft).Inc()
			setPlaceholder(r, "outcome", clientLeft)
			return caddyhttp.Error(statusClientLeft, d)
		}
		return h.unavailable(w, r, next, e, sent, d)
	}
	var again *meter.Replay
	if errors.As(err, &again) {
		return h.replay(w, r, e, again)
	}
	return h.deny(w, r, err)
}

// unavailable answers while the ledger cannot be written: closed by default.
// Without a ledger it is not known whose what upstreams keep is, so a request
// that names any of that never passes.
func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, e *engine, sent payload.Body, err error) error {
	var d *meter.Refusal
	if errors.As(err, &d); h.OnStoreError == "pass" && (d == nil || !d.Strict) {
		in := incoming{h: h, w: w, r: r}
		defer in.release()
		if passed, passes := in.namesNothing(e, sent); passes {
			h.app.log.Error("request passes unmetered", zap.Error(err))
			return h.forward(next, w, h.upstreamRequest(r.Context(), r, passed, false))
		}
	}
	if d == nil {
		d = &meter.Refusal{Reason: meter.Unavailable, Message: "Credits cannot be booked right now, so nothing was charged. Try again in a moment.", Err: err}
	}
	return h.deny(w, r, d)
}

// namesNothing reads the body if that is needed to know what the request names.
func (in *incoming) namesNothing(e *engine, sent payload.Body) (read payload.Body, ok bool) {
	r, book := in.r, in.h.app.book
	if e != nil {
		book, _ = e.Book()
	}
	names := &ownership.Request{Method: r.Method, URI: r.URL.RequestURI(), ContentType: r.Header.Get("Content-Type"), Body: sent.Bytes}
	some, unread := ownership.Names(book, names)
	if some || !unread {
		return sent, !some
	}
	var err error
	if in.body, err = in.readBody(); err != nil {
		return in.body, false
	}
	names.Body = in.body.Bytes
	some, _ = ownership.Names(book, names)
	return in.body, !some
}

// proxy runs the rest of the chain and settles, whatever happens: return, error,
// panic, disconnect, reload, shutdown.
func (h *Handler) proxy(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, e *engine, c meter.Call, in *incoming) (err error) {
	defer c.KeepAlive()()
	t := newResponse(w, r, h, e, c, &in.Caller)
	t.beginUpstream()
	defer t.endUpstream()
	finished := false
	if t.metered() {
		spanEvent(r, "meter.hold", t.reported, "charge", "operation", "model", "held")
		h.app.metrics.open.Inc()
		defer h.app.metrics.open.Dec()
	}
	defer func() {
		if lost := t.durable(); lost != nil {
			_ = recover() // the request to the upstream was cancelled
			t.reset()
			err = h.deny(w, r, lost)
			return
		}
		outcome := t.outcome(finished, err)
		t.settle(outcome, err)
		switch {
		case t.stopped: // the answer was ended here, on purpose and with a word why
			_ = recover()
			err = nil
		case t.answered:
			if what := recover(); what != nil && what != http.ErrAbortHandler { //nolint:errorlint // as reverse_proxy panics
				panic(what)
			}
			err = nil
		}
		logged(t)
	}()
	out := c.Outgoing()
	h.refused.recall(r, t.info.Model, out)
	if len(out.Additions()) > 0 {
		t.first = newAttempt(r)
	}
	send := func() error {
		sent := in.body
		if in.Body != nil {
			sent = sent.With(out.Body())
		}
		up := h.upstreamRequest(t.upstream, r, sent, true)
		if kind := out.ContentType(); sent.Bytes != nil && kind != in.ContentType {
			up.Header.Set("Content-Type", kind)
		}
		scopedIdempotency(up.Header, in.Caller.Account)
		return h.forward(next, t, up)
	}
	err = send()
	for err == nil && t.refusedAddition(h.refused) {
		err = send()
	}
	finished = true
	return err
}

// forward runs the rest of the chain.
func (h *Handler) forward(next caddyhttp.Handler, w http.ResponseWriter, r *http.Request) error {
	if sent, ok := r.Body.(*sentBody); ok {
		defer sent.Close() //nolint:errcheck // it gives its memory back; a transport may have closed it already
	}
	return next.ServeHTTP(w, r)
}

// drains reports whether answers are read on after the client has left.
func (h *Handler) drains() bool { return h.OnDisconnect != "cancel" }

// reached tells an upstream that failed from one that never saw the request.
// reverse_proxy's own error of a failed dial does not unwrap to that of the net.
func reached(err error) bool {
	var dial reverseproxy.DialError
	var op *net.OpError
	return !errors.As(err, &dial) && (!errors.As(err, &op) || op.Op != "dial")
}

func setPlaceholder(r *http.Request, name, value string) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && repl != nil {
		repl.Set("http.meter."+name, value)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
