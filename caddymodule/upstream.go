package caddymodule

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// upstreamRequest is the request as it goes on: without the client's key and
// with the body that was priced; nil leaves the body that is there. If the
// answer will be read, a plain one is asked for.
func (h *Handler) upstreamRequest(r *http.Request, body []byte, read bool) *http.Request {
	out := new(http.Request)
	*out = *r
	out.Header = r.Header.Clone()
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
		out.Header.Set("Accept-Encoding", "identity")
	}
	if read && upgrades(r) {
		plainSocket(out.Header)
	}
	if body == nil {
		return out
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	out.ContentLength = int64(len(body))
	out.TransferEncoding = nil
	out.Header.Set("Content-Length", itoa(out.ContentLength))
	for _, name := range []string{"Content-Encoding", "Content-Md5", "Digest", "Content-Digest", "Expect"} {
		out.Header.Del(name)
	}
	return out
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
