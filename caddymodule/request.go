package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/semaphore"

	"github.com/farebox-dev/farebox/internal/coding"
	"github.com/farebox-dev/farebox/internal/payload"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/concurrency"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// incoming is a request as it is read.
type incoming struct {
	meter.Request
	body payload.Body // of Request

	h      *Handler
	e      *engine // nil: there is none
	w      http.ResponseWriter
	r      *http.Request
	route  pricing.Route
	slow   bool              // the body did not come at once
	passed bool              // early has no objection
	place  concurrency.Place // among the requests under way
	room   int64             // of the memory that large bodies share; 0: none is taken
}

// release frees what the request takes: memory of its body, its place among those under way. in may be nil: nothing was read.
func (in *incoming) release() {
	if in == nil {
		return
	}
	in.body.Release()
	in.place.Leave()
	if in.room > 0 {
		bodyRoom.Release(in.room)
	}
}

// read gathers what Admit has to know. Who calls, and whether the operation is
// refused anyway, is decided before a byte of the body is read.
func (h *Handler) read(e *engine, w http.ResponseWriter, r *http.Request) (*incoming, error) {
	caller, err := h.identify(e, r)
	if err != nil {
		return nil, err
	}
	uri := r.URL.RequestURI()
	in := &incoming{h: h, e: e, w: w, r: r, route: e.Route(r.Method, uri)}
	route := &in.route
	if route.Refusal != nil {
		return nil, e.Refused(r.Context(), &meter.Request{Method: r.Method, URI: uri, Caller: caller, UnknownIDs: h.UnknownIDs}, route.Refusal)
	}
	if upgrades(r) && !route.Free && !h.metersUpgrade(r) {
		return nil, &meter.Refusal{Reason: upgradeNotMetered, Message: "This connection would leave HTTP, where it is not metered; use plain HTTP requests."}
	}
	in.Request = meter.Request{Method: r.Method, URI: uri, Header: r.Header, Caller: caller, ContentType: r.Header.Get("Content-Type"), Idempotency: r.Header.Get("Idempotency-Key"), UnknownIDs: h.UnknownIDs, Overlap: h.Hold == "overlap" && r.Header.Get("Upgrade") == ""}
	in.Origin, in.Place = requestOrigin{r}, &in.place
	if err = e.Concurrency.Enter(r.Context(), &in.Caller, route, &in.place); err != nil {
		return in, err
	}
	if route.Free && !route.NeedsBody || !route.NeedsBody && in.Idempotency == "" {
		return in, nil // the body flows through unread
	}
	if len(r.Header["Content-Type"]) > 1 { // servers differ in which one they take
		return nil, &meter.Refusal{Reason: pricing.AmbiguousRequest, Field: "header.Content-Type", Message: "The request has more than one Content-Type; send one."}
	}
	in.body, err = in.readBody()
	in.Body = in.body.Bytes
	return in, err
}

// readBody reads and decodes the body, at most MaxBody of either.
func (in *incoming) readBody() (none payload.Body, err error) {
	h, r := in.h, in.r
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		return none, nil
	case r.ContentLength > h.MaxBody:
		return none, h.tooLarge()
	case r.ContentLength > payload.Small:
		if err = in.early(); err != nil {
			return none, err
		}
	}
	reader := r.Body
	if r.ContentLength < 0 {
		reader = http.MaxBytesReader(in.w, r.Body, h.MaxBody)
	}
	sent, err := payload.Read(reader, r.ContentLength, h.MaxBody, in)
	if err != nil {
		return none, h.notRead(err)
	}
	if in.slow {
		in.deadline(time.Time{})
	}
	encoding := coding.Of(r.Header)
	if encoding == "" {
		return sent, nil
	}
	defer sent.Release()
	decoder, err := coding.Decode(encoding, bytes.NewReader(sent.Bytes))
	if errors.Is(err, coding.ErrUnknown) || strings.Contains(encoding, ",") { // one is what clients need; more is a way to make a small body huge
		return none, &meter.Refusal{Reason: encodingUnknown, Field: "header.Content-Encoding", Message: fmt.Sprintf("The body's encoding %q can't be read; send it plain, or as gzip, deflate, br or zstd.", encoding)}
	}
	var plain payload.Body
	if err == nil {
		plain, err = payload.Read(decoder, -1, h.MaxBody, in)
	}
	if err != nil {
		return none, h.notDecoded(encoding, err)
	}
	return plain, nil
}

// early refuses what is refused whatever the body says.
func (in *incoming) early() error {
	if in.passed || in.e == nil {
		return nil
	}
	in.passed = true
	return in.e.Early(in.r.Context(), &in.Request, &in.route)
}

// Slow implements payload.Growth: a client that sends a byte now and then must not keep its memory.
func (in *incoming) Slow() {
	if !in.slow {
		in.slow = true
		in.deadline(time.Now().Add(time.Duration(in.h.BodyTimeout)))
	}
}

// deadline sets until when the client must have sent its body.
func (in *incoming) deadline(at time.Time) {
	_ = http.NewResponseController(in.w).SetReadDeadline(at) // a server that has none has limits of its own
}

// Large implements payload.Growth.
func (in *incoming) Large() error {
	if err := in.early(); err != nil || in.room > 0 {
		return err
	}
	return in.takeRoom()
}

// Large bodies share a budget of memory, so that many at once wait instead of filling the machine.
const (
	bodyBudget = 256 << 20
	roomWithin = 30 * time.Second
)

var bodyRoom = semaphore.NewWeighted(bodyBudget)

// takeRoom waits until there is memory for a large body. It is kept until the request
// to the upstream has ended, which may be long after the client has left.
func (in *incoming) takeRoom() error {
	r, size := in.r, in.r.ContentLength
	if size < 0 || r.Header.Get("Content-Encoding") != "" {
		size = in.h.MaxBody // how much will come is not known
	}
	size = min(size, bodyBudget)
	ctx, cancel := context.WithTimeout(r.Context(), roomWithin)
	defer cancel()
	if err := bodyRoom.Acquire(ctx, size); err != nil {
		return &meter.Refusal{Reason: gatewayBusy, Message: "Too many large requests are under way. Nothing was charged. Try again in a moment.", Facts: &meter.Facts{Reason: gatewayBusy, RetryAfter: 5 * time.Second}, Err: err}
	}
	in.room = size
	return nil
}

// notRead is why a body was not read to its end.
func (h *Handler) notRead(err error) error {
	var mine *meter.Refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &mine):
		return mine
	case errors.As(err, &large):
		return h.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &meter.Refusal{Reason: bodyTimeout, Message: "The request body did not arrive in time. Nothing was charged.", Err: err}
	}
	return &meter.Refusal{Reason: bodyUnreadable, Message: "The request body could not be read to its end.", Err: err}
}

// notDecoded is why a body that was read could not be decoded.
func (h *Handler) notDecoded(encoding string, err error) error {
	var mine *meter.Refusal
	var large *http.MaxBytesError
	if errors.As(err, &mine) || errors.As(err, &large) {
		return h.notRead(err)
	}
	return &meter.Refusal{Reason: bodyUnreadable, Message: "The request body is not valid " + encoding + ".", Err: err}
}

func (h *Handler) tooLarge() error {
	return &meter.Refusal{Reason: bodyTooLarge, Message: fmt.Sprintf("The request body is larger than %d bytes. Nothing was charged.", h.MaxBody)}
}

// identify says who calls: the account that a placeholder names, or the one
// that the key belongs to.
func (h *Handler) identify(e *engine, r *http.Request) (meter.Caller, error) {
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	var c meter.Caller
	if h.Account == "" {
		var err error
		if c, err = e.Identify(directory.SecretOf(r.Header, r.URL.RawQuery)); err != nil {
			return c, err
		}
	} else {
		c = meter.Caller{Account: repl.ReplaceAll(h.Account, ""), Trusted: true}
		if c.Account == "" {
			return c, &meter.Refusal{Reason: meter.NoKey, Message: "This request does not say which account it belongs to; sign in first."}
		}
		if err := directory.ValidID(c.Account); err != nil { // a name that no account can have
			return c, &meter.Refusal{Reason: meter.UnknownAccount, Message: "This request names an account that can't exist.", Err: err}
		}
	}
	if h.Member != "" {
		c.Member = repl.ReplaceAll(h.Member, "")
	}
	return c, nil
}
