package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/semaphore"

	"github.com/farebox-dev/farebox/internal/coding"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// read gathers what Admit has to know. Who calls, and whether the operation is
// refused anyway, is decided before a byte of the body is read.
func (h *Handler) read(e *engine, w http.ResponseWriter, r *http.Request) (*meter.Request, error) {
	caller, err := h.identify(e, r)
	if err != nil {
		return nil, err
	}
	uri := r.URL.RequestURI()
	route := e.Route(r.Method, uri)
	if route.Refusal != nil {
		return nil, e.Refused(r.Context(), &meter.Request{Method: r.Method, URI: uri, Caller: caller, UnknownIDs: h.UnknownIDs}, route.Refusal)
	}
	if upgrades(r) && !route.Free && !h.metersUpgrade(r) {
		return nil, &meter.Refusal{Reason: upgradeNotMetered, Message: "This connection would leave HTTP, where it is not metered; use plain HTTP requests."}
	}
	req := &meter.Request{Method: r.Method, URI: uri, Header: r.Header, Caller: caller, ContentType: r.Header.Get("Content-Type"), Idempotency: r.Header.Get("Idempotency-Key"), UnknownIDs: h.UnknownIDs, Overlap: h.Hold == "overlap" && r.Header.Get("Upgrade") == ""}
	if len(req.Idempotency) > 255 {
		return nil, &meter.Refusal{Reason: bodyUnreadable, Field: "header.Idempotency-Key", Message: "Idempotency-Key has at most 255 characters."}
	}
	req.Origin = requestOrigin{r}
	if route.Free && !route.NeedsBody || !route.NeedsBody && req.Idempotency == "" {
		return req, nil // the body flows through unread
	}
	if len(r.Header["Content-Type"]) > 1 { // servers differ in which one they take
		return nil, &meter.Refusal{Reason: pricing.AmbiguousRequest, Field: "header.Content-Type", Message: "The request has more than one Content-Type; send one."}
	}
	req.Body, err = h.readBody(w, r)
	return req, err
}

// readBody reads and decodes the body, at most MaxBody of either.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > h.MaxBody {
		return nil, h.tooLarge()
	}
	if err := h.room(r); err != nil {
		return nil, err
	}
	body := r.Body
	if r.ContentLength < 0 {
		body = http.MaxBytesReader(w, r.Body, h.MaxBody)
	}
	raw, err := readAll(body, r.ContentLength, h.MaxBody)
	if err != nil {
		return nil, h.notRead(err)
	}
	encoding := coding.Of(r.Header)
	if encoding == "" {
		return raw, nil
	}
	decoder, err := coding.Decode(encoding, bytes.NewReader(raw))
	if errors.Is(err, coding.ErrUnknown) || strings.Contains(encoding, ",") { // one is what clients need; more is a way to make a small body huge
		return nil, &meter.Refusal{Reason: encodingUnknown, Field: "header.Content-Encoding", Message: fmt.Sprintf("The body's encoding %q can't be read; send it plain, or as gzip, deflate, br or zstd.", encoding)}
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(io.LimitReader(decoder, h.MaxBody+1))
	}
	if err != nil {
		return nil, &meter.Refusal{Reason: bodyUnreadable, Message: "The request body is not valid " + encoding + ".", Err: err}
	}
	if int64(len(plain)) > h.MaxBody {
		return nil, h.tooLarge()
	}
	return plain, nil
}

// Large bodies share a budget of memory, so that many at once wait instead of filling the machine.
const (
	bodyBudget = 256 << 20
	smallBody  = 1 << 20 // does not count
	roomWithin = 30 * time.Second
)

var bodyRoom = semaphore.NewWeighted(bodyBudget)

// room waits until there is memory for the body; it is released when the request ends.
func (h *Handler) room(r *http.Request) error {
	size := r.ContentLength
	if size < 0 || r.Header.Get("Content-Encoding") != "" {
		size = h.MaxBody // how much will come is not known
	}
	if size = min(size, bodyBudget); size <= smallBody {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), roomWithin)
	defer cancel()
	if err := bodyRoom.Acquire(ctx, size); err != nil {
		return &meter.Refusal{Reason: gatewayBusy, Message: "Too many large requests are under way. Nothing was charged. Try again in a moment.", Facts: &meter.Facts{Reason: gatewayBusy, RetryAfter: 5 * time.Second}, Err: err}
	}
	context.AfterFunc(r.Context(), func() { bodyRoom.Release(size) }) // net/http ends the context with the request
	return nil
}

func (h *Handler) notRead(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return h.tooLarge()
	}
	return &meter.Refusal{Reason: bodyUnreadable, Message: "The request body could not be read to its end.", Err: err}
}

func (h *Handler) tooLarge() error {
	return &meter.Refusal{Reason: bodyTooLarge, Message: fmt.Sprintf("The request body is larger than %d bytes. Nothing was charged.", h.MaxBody)}
}

// firstRead is how much room a body gets before its bytes are there.
const firstRead = 1 << 20

// readAll reads a body of at most limit bytes; size is what it declares, or less than 0. A declared length costs the client nothing, so
// it gets its memory when the first of it is there: then in one piece, since growing step by step leaves three times as much behind.
func readAll(r io.Reader, size, limit int64) ([]byte, error) {
	if size < 0 {
		size = bytes.MinRead
	}
	b := make([]byte, 0, min(size, firstRead)+1) // one more byte finds the end
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return b, &http.MaxBytesError{Limit: limit}
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, err
		case len(b) < cap(b):
		case int64(len(b)) <= size:
			b = slices.Grow(b, int(size)+1-len(b))
		default:
			b = slices.Grow(b, len(b))
		}
	}
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
