package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/internal/payload"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// upstreamRequest is the request as it goes on: without the client's key and
// with the body that was priced; nil leaves the body that is there. If the
// answer will be read, a plain one is asked for.
func (h *Handler) upstreamRequest(ctx context.Context, r *http.Request, sent payload.Body, read bool) *http.Request {
	out := r.WithContext(ctx)
	out.Header = maps.Clone(r.Header)
	b := &sentBody{body: sent}
	if h.Account == "" {
		stripKeys(out)
	}
	asMatched(out)
	for name := range out.Header {
		if misleads(name) {
			delete(out.Header, name)
		}
	}
	if read {
		out.Header["Accept-Encoding"] = b.values.of("identity")
	}
	if read && upgrades(r) {
		plainSocket(out.Header)
	}
	if sent.Bytes == nil {
		return out
	}
	sent.Open(&b.Reader)
	out.Body, out.GetBody = b, b.again
	out.ContentLength = int64(len(sent.Bytes))
	out.TransferEncoding = nil
	out.Header["Content-Length"] = b.values.of(itoa(out.ContentLength))
	for _, name := range []string{"Content-Encoding", "Content-Md5", "Digest", "Content-Digest", "Expect"} {
		delete(out.Header, name)
	}
	return out
}

// sentBody is a body that was read, on its way to the upstream.
type sentBody struct {
	payload.Reader
	body   payload.Body
	values values // that the gateway sets in the header
}

// again is http.Request.GetBody.
func (b *sentBody) again() (io.ReadCloser, error) {
	r := new(payload.Reader)
	b.body.Open(r)
	return r, nil
}

// values are the values of header fields that have one each. They are allocated with
// what they are a part of.
type values struct {
	room [6]string
	n    int
}

// of is a list of one value.
func (v *values) of(value string) []string {
	if v.n == len(v.room) {
		return []string{value}
	}
	v.room[v.n] = value
	v.n++
	return v.room[v.n-1 : v.n : v.n]
}

// upstreamParent has the values of the client's context, and marks that the request
// is metered. It ends only if the client's may end the request to the upstream.
type upstreamParent struct {
	context.Context
	drains bool
}

// Value implements context.Context.
func (p *upstreamParent) Value(key any) any {
	if key == (contextKey{}) {
		return true
	}
	return p.Context.Value(key)
}

// Done implements context.Context.
func (p *upstreamParent) Done() <-chan struct{} {
	if p.drains {
		return nil
	}
	return p.Context.Done()
}

// Err implements context.Context.
func (p *upstreamParent) Err() error {
	if p.drains {
		return nil
	}
	return p.Context.Err()
}

// Deadline implements context.Context.
func (p *upstreamParent) Deadline() (time.Time, bool) {
	if p.drains {
		return time.Time{}, false
	}
	return p.Context.Deadline()
}

// beginUpstream makes the context of the request to the upstream. It ends when the
// client leaves or, with drain, some time after. It notes when an upstream has the
// whole request.
func (t *response) beginUpstream() {
	t.parent = upstreamParent{t.r.Context(), t.h.drains()}
	t.upstream, t.cancel = context.WithCancel(&t.parent)
	t.trace.WroteRequest = t.wroteRequest
	t.upstream = httptrace.WithClientTrace(t.upstream, &t.trace)
	t.cancelIfLost()
	if t.parent.drains {
		t.stopDrain = context.AfterFunc(t.r.Context(), t.clientLeft)
	}
}

func (t *response) endUpstream() {
	if t.stopDrain != nil {
		t.stopDrain()
	}
	t.cancel()
}

// clientLeft ends the request to the upstream if it takes much longer.
func (t *response) clientLeft() {
	timer := time.AfterFunc(time.Duration(t.h.DrainMax), t.cancel)
	context.AfterFunc(t.upstream, func() { timer.Stop() })
}

func (t *response) wroteRequest(w httptrace.WroteRequestInfo) {
	if w.Err == nil {
		t.sent.Store(true)
	}
}

// stripKeys takes the client's key out of a request that goes upstream; header_up
// of reverse_proxy puts the provider's there.
func stripKeys(r *http.Request) {
	if left := directory.StripKeys(r.Header, r.URL.RawQuery); left != r.URL.RawQuery {
		u := *r.URL
		u.RawQuery = left
		r.URL = &u
	}
}

// scopedIdempotency makes a client's Idempotency-Key one of its account: two accounts that use the same key must not get each
// other's answers from the upstream, which sees one caller.
func scopedIdempotency(h http.Header, account string) {
	if key := h.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte(account + "\x00" + key))
		h.Set("Idempotency-Key", "fb-"+hex.EncodeToString(sum[:16]))
	}
}

// overrides are headers by which some servers take another path or method than
// the one that was priced.
var overrides = []string{
	"x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url", "x-rewrite-uri", "x-override-url", "x-forwarded-uri", "x-forwarded-path",
	"x-forwarded-method", "x-http-method-override", "x-http-method", "x-method-override",
}

// framing says how the body is to be read. Servers that take _ for - would read it a second time.
var framing = []string{"content-type", "content-length", "content-encoding", "transfer-encoding"}

// misleads reports whether a header could make a server run something else than
// what was priced. WSGI, CGI and others take _ for -.
func misleads(name string) bool {
	if name == "" || name[0]|0x20 != 'x' && !strings.Contains(name, "_") { // most of them
		return false
	}
	dashed := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	return slices.Contains(overrides, dashed) || strings.Contains(name, "_") && slices.Contains(framing, dashed)
}

// asMatched writes the path as it was matched with the price file: decoded
// once, with empty and dot segments resolved. Servers differ in what they make
// of those; of a final slash they do not, it stays.
func asMatched(r *http.Request) {
	sent, _, _ := strings.Cut(r.URL.RequestURI(), "?")
	clean, ok := pricing.CleanPath(sent)
	if !ok || !strings.HasPrefix(sent, "/") && r.URL.Opaque != "" {
		return // was refused, or is not priced: OPTIONS *
	}
	if strings.HasSuffix(sent, "/") && clean != "/" {
		clean += "/"
	}
	r.URL.Path, r.URL.RawPath = clean, "" // in place, as Caddy's rewrite does: placeholders such as {uri} must not have the other one
}

// With `hold overlap` a request goes upstream while its hold is being written. Its
// answer waits for that: no byte of it is sent for a hold that may not exist.

// durable waits until the hold is on disk. After an error nothing is sent to the
// client but a refusal.
func (t *response) durable() error {
	if c, ok := t.call.(*meter.Charge); ok {
		return c.Durable()
	}
	return nil
}

// cancelIfLost ends the request to the upstream if its hold is not on disk after all.
func (t *response) cancelIfLost() {
	if c, ok := t.call.(*meter.Charge); ok {
		c.OnLost(t.cancel)
	}
}
