package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Wherever a key is accepted it is taken out of the request that goes upstream.
func TestKeysDoNotGoUpstream(t *testing.T) {
	const key = "fb_live_0123456789"
	for _, tt := range []struct{ uri, want string }{
		{"/v1/x?key=" + key, ""},
		{"/v1/x?k%65y=" + key, ""},
		{"/v1/x?%6b%65%79=" + key + "&alt=sse", "alt=sse"},
		{"/v1/x?a=1&key=" + key + "&b=2&key=other", "a=1&b=2"},
		{"/v1/x?monkey=1", "monkey=1"},
	} {
		r := httptest.NewRequest(http.MethodPost, tt.uri, nil)
		for _, name := range keyHeaders {
			r.Header.Set(name, "Bearer "+key)
		}
		stripKeys(r)
		if r.URL.RawQuery != tt.want || len(r.Header) > 0 {
			t.Errorf("%s: query %q, want %q; headers %v", tt.uri, r.URL.RawQuery, tt.want, r.Header)
		}
	}
}

// The same key of two accounts is two keys upstream, and stays one for each of them.
func TestIdempotencyKeysAreScoped(t *testing.T) {
	scoped := func(account string) string {
		h := http.Header{"Idempotency-Key": {"order-1"}}
		scopedIdempotency(h, account)
		return h.Get("Idempotency-Key")
	}
	if a, b := scoped("acme"), scoped("globex"); a == b || a != scoped("acme") || a == "order-1" {
		t.Errorf("%q and %q", a, b)
	}
}
