package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/farebox-dev/farebox/internal/payload"
)

// The request that goes upstream has no key, and the one that came in keeps its URL.
func TestKeysDoNotGoUpstream(t *testing.T) {
	const key = "fb_live_0123456789"
	r := httptest.NewRequest(http.MethodPost, "/v1/x?k%65y="+key+"&alt=sse", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Sec-WebSocket-Protocol", "openai-insecure-api-key."+key) // without an Upgrade
	out := new(Handler).upstreamRequest(r.Context(), r, payload.Body{}, false)
	if out.URL.RawQuery != "alt=sse" || len(out.Header) > 0 {
		t.Errorf("query %q, headers %v", out.URL.RawQuery, out.Header)
	}
	if r.URL.RawQuery == out.URL.RawQuery || len(r.Header) != 2 {
		t.Error("the request of the client was changed")
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
