package caddymodule

import (
	"net/http"
	"slices"
	"strings"
)

// Scripts of any origin may use a metered route: what pays is the Farebox key,
// which the script itself has to send, and no cookie. So the gateway answers
// preflights, and makes answers and refusals equally readable. Where something
// in front names the account (account <placeholder>) a cookie or an address may
// be what pays; then only the operator can say which origins may, with header.

const (
	allowOrigin      = "Access-Control-Allow-Origin"
	allowCredentials = "Access-Control-Allow-Credentials"
	exposeHeaders    = "Access-Control-Expose-Headers"
	preflightMaxAge  = "7200" // seconds; no browser keeps one longer than a day, Chromium two hours
)

// exposed are the headers of the gateway's that scripts may read.
var exposed = []string{
	"Credits-Charge", "Credits-Cost", "Credits-Held", "Credits-Remaining", "Credits-Unit", "Credits-Clamped",
	"Idempotency-Replayed", "Request-Id", "X-Request-Id", "Retry-After", "X-Should-Retry", "Link", "Concurrency-Limit", "Concurrency-Limit-Per",
}

// preflight reports whether a browser asks if it may ask.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// allow answers a preflight: whatever the request to come asks for, it may. It
// has no key, so nothing of it goes upstream, where it would get the provider's.
func (h *Handler) allow(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	h.readable(header, r, header[allowOrigin])
	for _, ask := range []string{"Method", "Headers"} {
		header.Add("Vary", "Access-Control-Request-"+ask)
		name := "Access-Control-Allow-" + ask
		if ask == "Method" {
			name += "s"
		}
		if v := r.Header.Values("Access-Control-Request-" + ask); len(v) > 0 && len(header[name]) == 0 {
			header.Set(name, strings.Join(v, ", "))
		}
	}
	if header.Get("Access-Control-Max-Age") == "" {
		header.Set("Access-Control-Max-Age", preflightMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}

// readable lets scripts of other origins read an answer, with the gateway's
// headers. set is what a header directive has said of origins before the
// upstream answered; it stays. What the upstream says was about its own
// callers, who sent its own key, and goes.
func (h *Handler) readable(header http.Header, r *http.Request, set []string) {
	if r.Header.Get("Origin") == "" {
		return
	}
	switch {
	case len(set) > 0:
		header[allowOrigin] = slices.Clone(set[:1]) // two would be none, to a browser
	case h.Account == "":
		header.Set(allowOrigin, "*")
		header.Del(allowCredentials) // has no meaning together with *
	}
	if list := strings.Join(exposed, ", "); !slices.Contains(header[exposeHeaders], list) {
		header.Add(exposeHeaders, list)
	}
}
