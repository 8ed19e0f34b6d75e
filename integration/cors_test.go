package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const appOrigin = "https://app.example.com"

// A browser asks before it asks. The gateway answers: neither a body nor the
// provider's key goes upstream for a request that has no key.
func TestPreflightsAreAnsweredByTheGateway(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, path := range []string{chatPath, "/v1/models", "/v1/nothing-has-this-price"} {
		a := g.send(http.MethodOptions, path, `{"model":"demo-small"}`, "Origin", appOrigin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,x-stainless-os")
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": "7200",
			"Access-Control-Allow-Headers": "authorization,content-type,x-stainless-os", "Access-Control-Allow-Credentials": "",
		} {
			if got := a.Header.Get(name); got != want || a.StatusCode != http.StatusNoContent || a.body != "" {
				t.Errorf("%s: %s: %s: %q, want %q", path, a.Status, name, got, want)
			}
		}
	}
	if a := g.send(http.MethodOptions, chatPath, "", "Origin", appOrigin); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("OPTIONS that is no preflight: %s", a.Status)
	}
	if n := g.mock.Requests(); n != 0 {
		t.Errorf("%d requests went upstream", n)
	}
}

// A refusal is as readable as an answer, whatever the upstream says about the
// origins of its own callers.
func TestAnswersAndRefusalsAreReadableForBrowsers(t *testing.T) {
	t.Parallel()
	opinions := func(mock http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Opinion") != "" {
				w.Header().Set("Access-Control-Allow-Origin", "https://platform.example")
				w.Header().Set("Access-Control-Allow-Credentials", "true")
				w.Header().Set("Access-Control-Expose-Headers", "x-upstream")
			}
			if r.Header.Get("X-Break") != "" {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, `{"id":`)
				return
			}
			mock.ServeHTTP(w, r)
		})
	}
	g := start(t, setup{upstream: opinions})
	key, poor := g.account("acme", "500"), g.account("poor", "0")
	for name, a := range map[string]answer{
		"401":          g.post("fb_live_nobody", chatPath, chatBody("demo-small"), "Origin", appOrigin),
		"402":          g.post(poor, "/v1/images", `{"prompt":"x"}`, "Origin", appOrigin),
		"403":          g.post(key, "/v1/nothing", `{}`, "Origin", appOrigin),
		"answer":       g.post(key, chatPath, chatBody("demo-small"), "Origin", appOrigin),
		"stream":       g.post(key, chatPath, chatBody("demo-small", `"stream":true`), "Origin", appOrigin),
		"first":        g.post(key, chatPath, chatBody("demo-small"), "Origin", appOrigin, "Idempotency-Key", "k"),
		"replay":       g.post(key, chatPath, chatBody("demo-small"), "Origin", appOrigin, "Idempotency-Key", "k"),
		"opinion":      g.post(key, chatPath, chatBody("demo-small"), "Origin", appOrigin, "X-Opinion", "1"),
		"opinion, sse": g.post(key, chatPath, chatBody("demo-small", `"stream":true`), "Origin", appOrigin, "X-Opinion", "1"),
		"free":         g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+key, "Origin", appOrigin, "X-Opinion", "1"),
		"broken":       g.post(key, chatPath, chatBody("demo-small"), "Origin", appOrigin, "X-Opinion", "1", "X-Break", "1"),
		"failing":      g.post(key, chatPath, chatBody("demo-fail-500"), "Origin", appOrigin),
	} {
		origins, exposed := a.Header.Values("Access-Control-Allow-Origin"), strings.Join(a.Header.Values("Access-Control-Expose-Headers"), ", ")
		if len(origins) != 1 || origins[0] != "*" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %s: origins %q, credentials %q", name, a.Status, origins, a.Header.Get("Access-Control-Allow-Credentials"))
		}
		if !strings.Contains(exposed, "Credits-Cost") || strings.Count(exposed, "Credits-Cost") != 1 {
			t.Errorf("%s: exposed %q", name, exposed)
		}
		if strings.HasPrefix(name, "opinion") && !strings.Contains(exposed, "x-upstream") {
			t.Errorf("%s: the upstream's own headers are hidden: %q", name, exposed)
		}
	}
	if a := g.post(key, chatPath, chatBody("demo-small")); len(a.Header.Values("Access-Control-Allow-Origin")) > 0 {
		t.Errorf("without an origin: %v", a.Header)
	}
}

// What the operator says of origins stays, and is said once. Where the account
// is not named by a key of the script's own, nothing else is said.
func TestTheOperatorSaysWhichOrigins(t *testing.T) {
	t.Parallel()
	shipped := read(t, "../Caddyfile")
	set := strings.Replace(shipped, "\tmeter\n\n", "\theader Access-Control-Allow-Origin "+appOrigin+"\n\theader Access-Control-Allow-Credentials true\n\tmeter\n\n", 1)
	named := strings.Replace(shipped, "\tmeter\n\n", "\tmeter {\n\t\taccount {header.X-Account}\n\t}\n\n", 1)
	if set == shipped || named == shipped {
		t.Fatal("the Caddyfile has another shape")
	}
	own := func(mock http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "https://platform.example")
			mock.ServeHTTP(w, r)
		})
	}
	asks := func(g *gateway, key string) map[string]answer {
		return map[string]answer{
			"preflight": g.send(http.MethodOptions, chatPath, "", "Origin", appOrigin, "Access-Control-Request-Method", "POST"),
			"answer":    g.post(key, chatPath, chatBody("demo-small"), "Origin", appOrigin, "X-Account", "acme"),
			"refusal":   g.post(key, "/v1/nothing", `{}`, "Origin", appOrigin, "X-Account", "acme"),
		}
	}
	g := start(t, setup{caddyfile: set, upstream: own})
	for name, a := range asks(g, g.account("acme", "50")) {
		if got := a.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != appOrigin || a.Header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: %s: %q", name, a.Status, got)
		}
	}
	g = start(t, setup{caddyfile: named})
	for name, a := range asks(g, g.account("acme", "50")) {
		if got := a.Header.Values("Access-Control-Allow-Origin"); len(got) != 0 {
			t.Errorf("%s, account named in front: %s: %q", name, a.Status, got)
		}
	}
}
