package caddymodule

import (
	"net/http"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/pricing"
)

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
