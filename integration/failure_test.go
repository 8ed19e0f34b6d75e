package integration

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// An upstream that can't be dialled, or does not answer in time, costs nothing;
// the client gets an error of its own API that says so.
func TestFailuresOfTheUpstreamAnswerInTheDialect(t *testing.T) {
	t.Parallel()
	slow := strings.Replace(read(t, "../Caddyfile"), "\t\tflush_interval -1", "\t\ttransport http {\n\t\t\tresponse_header_timeout 200ms\n\t\t}\n\t\tflush_interval -1", 1)
	if !strings.Contains(slow, "response_header_timeout") {
		t.Fatal("the Caddyfile has another shape")
	}
	end := make(chan struct{})
	hangs := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-end:
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
		})
	}
	late := start(t, setup{caddyfile: slow, upstream: hangs})
	t.Cleanup(func() { close(end) })
	gone := start(t, setup{})
	gone.upstream.Close()
	for _, tt := range []struct {
		name            string
		g               *gateway
		status          int
		reason, outcome string
	}{
		{name: "no answer in time", g: late, status: http.StatusGatewayTimeout, reason: "upstream_timeout", outcome: "upstream timeout"},
		{name: "refuses to be dialled", g: gone, status: http.StatusBadGateway, reason: "upstream_failed", outcome: "upstream not reached"},
	} {
		key := tt.g.account("acme", "500")
		for _, d := range []struct{ path, body, kind, facts string }{
			{chatPath, chatBody("demo-small"), "error.type:server_error", "error.credits.charged"},
			{chatPath, chatBody("demo-small", `"stream":true`), "error.type:server_error", "error.credits.charged"},
			{"/v1/messages", `{"model":"claude-haiku-4-5","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`, "error.type:api_error", "error.details.credits.charged"},
			{"/v1beta/models/demo-small:generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]}`, "error.code:" + strconv.Itoa(tt.status), "error.details.0.metadata.charged"},
		} {
			a := tt.g.post(key, d.path, d.body)
			at, want, _ := strings.Cut(d.kind, ":")
			if a.StatusCode != tt.status || gjson.Get(a.body, at).String() != want || gjson.Get(a.body, d.facts).String() != "0" || !gjson.Get(a.body, d.facts).Exists() {
				t.Errorf("%s: %s: %s %s", tt.name, d.path, a.Status, a.body)
			}
			if !strings.Contains(a.body, tt.reason) && !strings.Contains(a.body, strings.ToUpper(tt.reason)) {
				t.Errorf("%s: %s: no %s in %s", tt.name, d.path, tt.reason, a.body)
			}
			if a.cost() != "0" || a.Header.Get("Credits-Charge") == "" {
				t.Errorf("%s: %s: %v", tt.name, d.path, a.Header)
			}
			if c := tt.g.charge("acme", a.Header.Get("Credits-Charge")); c.Cost != "0" || c.State != "refunded" || c.Outcome != tt.outcome {
				t.Errorf("%s: %s: %+v", tt.name, d.path, c)
			}
		}
		tt.g.has("acme", "500")
	}
}
