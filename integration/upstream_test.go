package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// by lets one path of the upstream behave in its own way; the mock has the rest.
func by(path string, handler http.HandlerFunc) func(http.Handler) http.Handler {
	return func(mock http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				handler(w, r)
				return
			}
			mock.ServeHTTP(w, r)
		})
	}
}

// Credits-* headers and trailers of an upstream never reach the client.
func TestForgedCreditsHeaders(t *testing.T) {
	forge := func(mock http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Trailer", "Credits-Charge, Credits-Cost, Credits-Forged, X-Upstream")
			for _, name := range []string{"Credits-Remaining", "Credits-Held", "Credits-Clamped", "Credits-Bonus", "credits-lower", "Idempotency-Replayed"} {
				h[name] = []string{"forged"}
			}
			mock.ServeHTTP(w, r)
			for _, name := range []string{"Credits-Charge", "Credits-Cost", "Credits-Forged", http.TrailerPrefix + "Credits-Late"} {
				h.Set(name, "forged")
			}
			h.Set("X-Upstream", "kept")
		})
	}
	g := start(t, setup{upstream: forge})
	key := g.account("acme", "50")
	for _, tt := range []struct{ path, body string }{
		{chatPath, chatBody("demo-small")},
		{chatPath, chatBody("demo-small", `"stream":true`)},
		{"/v1/images", `{"prompt":"x"}`},
		{"/v1/models", ``},
	} {
		method := http.MethodPost
		if tt.body == "" {
			method = http.MethodGet
		}
		a := g.send(method, tt.path, tt.body, "X-Api-Key", key)
		for _, h := range []http.Header{a.Header, a.Trailer} {
			for name, values := range h {
				if strings.Contains(strings.Join(values, " "), "forged") {
					t.Errorf("%s %s: %s: %q", tt.path, tt.body, name, values)
				}
			}
		}
	}
}

// squeeze compresses the mock's answers, whatever the request said it accepts.
func squeeze(mock http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		mock.ServeHTTP(rec, r)
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(rec.Code)
		z := gzip.NewWriter(w)
		for event := range strings.SplitAfterSeq(rec.Body.String(), "\n\n") {
			_, _ = io.WriteString(z, event)
			_ = z.Flush()
			_ = http.NewResponseController(w).Flush()
		}
		_ = z.Close()
	})
}

func TestCompressedAnswersAreMetered(t *testing.T) {
	g := start(t, setup{upstream: squeeze})
	key := g.account("acme", "50")
	left, cost := 50_000, price("demo", helloTokens, usualTokens)
	for _, more := range []string{`"x":1`, `"stream":true`} {
		a := g.post(key, chatPath, chatBody("demo-small", more))
		z, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s %v: %q", more, err, a.body)
		}
		body, err := io.ReadAll(z)
		if err != nil || a.cost() != credits(cost) || !bytes.Contains(body, []byte("ferry")) {
			t.Errorf("%s: %v, cost %s, want %s\n%s", more, err, a.cost(), credits(cost), body)
		}
		left -= cost
	}
	g.has("acme", credits(left))
	if g.post(key, chatPath, chatBody("demo-fail-500")).cost() != "0" {
		t.Error("a compressed error costs something")
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	g := start(t, setup{upstream: by(chatPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })})
	key := g.account("acme", "50")
	a := g.post(key, chatPath, chatBody("demo-small"))
	if c := g.chargeOf("acme", a.Response); a.StatusCode != http.StatusNoContent {
		t.Errorf("204: %s %+v", a.Status, c)
	}
	for _, path := range []string{"/v1/models", "/v1/videos/video_9"} {
		if a := g.send(http.MethodHead, path, "", "X-Api-Key", key); a.StatusCode >= 500 || a.body != "" {
			t.Errorf("HEAD %s: %s", path, a.Status)
		}
	}
	if a := g.send(http.MethodHead, chatPath, "", "X-Api-Key", key); a.StatusCode >= 500 || a.body != "" {
		t.Errorf("HEAD: %s", a.Status)
	}
	g.settled("acme")
	if n := g.kinds("acme"); n["hold"] != n["settle"]+n["refund"]+n["release"] {
		t.Errorf("%v", n)
	}
}

// An empty account of the operator is not a 402 for the customer.
func TestUpstreamBilling(t *testing.T) {
	g := start(t, setup{upstream: by("/v1/embeddings", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = io.WriteString(w, `{"error":{"message":"Pay your bill of 99 USD, sk-of-the-provider","code":"billing"}}`)
	})})
	key := g.account("acme", "50")
	for _, tt := range []struct{ path, body string }{
		{chatPath, chatBody("demo-quota")},
		{chatPath, chatBody("demo-quota", `"stream":true`)},
		{"/v1/messages", chatBody("demo-quota", `"max_tokens":10`)},
		{"/v1/embeddings", `{"model":"text-embedding-3-small","input":"x"}`},
		{"/v1/images/generations", `{"model":"quota","prompt":"x"}`},
	} {
		a := g.post(key, tt.path, tt.body)
		if a.StatusCode != http.StatusBadGateway || reasonOf(a.body) != "upstream_billing" || a.cost() != "0" {
			t.Errorf("%s: %s %s", tt.path, a.Status, a.body)
		}
		if strings.Contains(a.body, "quota") || strings.Contains(a.body, "bill of") {
			t.Errorf("the upstream's own words reach the customer: %s", a.body)
		}
	}
	g.has("acme", "50")
	if n := g.kinds("acme"); n["refund"] != 5 || n["settle"] != 0 {
		t.Errorf("%v", n)
	}
}

func TestOtherOriginsMayReadTheHeaders(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "30")
	for _, a := range []answer{
		g.post(key, "/v1/images", `{"prompt":"x"}`, "Origin", "https://app.example.com"),
		g.post(key, chatPath, chatBody("demo-small", `"stream":true`), "Origin", "https://app.example.com"),
		g.post(key, "/v1/images", `{"prompt":"x"}`, "Origin", "https://app.example.com"), // 402
	} {
		exposed := strings.Join(a.Header.Values("Access-Control-Expose-Headers"), ", ")
		for _, name := range []string{"Credits-Charge", "Credits-Cost", "Credits-Remaining", "Credits-Held", "Credits-Unit"} {
			if !strings.Contains(exposed, name) {
				t.Errorf("%s: %s is not exposed: %q", a.Status, name, exposed)
			}
		}
	}
	if a := g.post(key, chatPath, chatBody("demo-small")); a.Header.Get("Access-Control-Expose-Headers") != "" {
		t.Error("exposed without an Origin")
	}
}

// Large answers pass as they come and are metered all the same.
func TestLargeAnswers(t *testing.T) {
	const size = 5 << 20
	g := start(t, setup{upstream: by(chatPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[{"message":{"content":"%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":6,"completion_tokens":1000}}`, strings.Repeat("x", size))
	})})
	key := g.account("acme", "50")
	a := g.post(key, chatPath, chatBody("demo-small"), "Idempotency-Key", "large")
	if a.StatusCode != 200 || len(a.body) < size || a.cost() != credits(price("demo", 6, 1000)) {
		t.Errorf("%s, %d bytes, cost %s, want %s", a.Status, len(a.body), a.cost(), credits(price("demo", 6, 1000)))
	}
	g.has("acme", credits(50_000-price("demo", 6, 1000)))
	if again := g.post(key, chatPath, chatBody("demo-small"), "Idempotency-Key", "large"); again.StatusCode != http.StatusConflict || !strings.Contains(again.body, "too large") {
		t.Errorf("%s %.200s", again.Status, again.body)
	}
}
