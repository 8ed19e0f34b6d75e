package integration

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/mockai"
)

const (
	geminiPath   = "/v1beta/models/demo-small:generateContent"
	geminiStream = "/v1beta/models/demo-small:streamGenerateContent"
	geminiBody   = `{"contents":[{"role":"user","parts":[{"text":"hello there"}]}]}`
)

func TestGemini(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	left, cost := 50_000, price("demo", helloTokens, usualTokens)
	for _, tt := range []struct{ path, header string }{
		{geminiPath, key}, {geminiPath + "?key=" + key, ""}, {geminiStream + "?alt=sse", key}, {geminiStream + "?alt=sse&key=" + key, ""},
	} {
		a := g.send(http.MethodPost, tt.path, geminiBody, "X-Goog-Api-Key", tt.header)
		if a.StatusCode != http.StatusOK || a.cost() != credits(cost) || !strings.Contains(a.body, "ferry") {
			t.Errorf("%s: %s cost %s\n%.300s", tt.path, a.Status, a.cost(), a.body)
		}
		if last := g.mock.Last(); strings.Contains(last.Query, key) || last.Header.Get("X-Goog-Api-Key") != "" || strings.Contains(tt.path, "alt=sse") != strings.Contains(last.Query, "alt=sse") {
			t.Errorf("the upstream got %s %v", last.Query, last.Header)
		}
		left -= cost
	}
	g.has("acme", credits(left))
	if a := g.send(http.MethodPost, geminiPath, geminiBody, "X-Goog-Api-Key", g.account("poor", "0.001")); a.StatusCode != http.StatusPaymentRequired || gjson.Get(a.body, "error.status").String() != "RESOURCE_EXHAUSTED" {
		t.Errorf("%s %s", a.Status, a.body)
	}
}

// Without alt=sse a stream is one JSON array.
func TestGeminiArrayStream(t *testing.T) {
	g := start(t, setup{upstream: by(geminiStream, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		for _, part := range []string{
			`[{"candidates":[{"content":{"parts":[{"text":"a]}[{"}]}}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":1,"totalTokenCount":7}}`,
			",\r\n" + `{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":9,"thoughtsTokenCount":20,"totalTokenCount":35}}`, "]",
		} {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
	})})
	a := g.send(http.MethodPost, geminiStream, geminiBody, "X-Goog-Api-Key", g.account("acme", "50"))
	if a.StatusCode != 200 || a.cost() != credits(price("demo", 6, 29)) || !gjson.Valid(a.body) {
		t.Errorf("%s cost %s: %s", a.Status, a.cost(), a.body)
	}
}

// Google's SDK fails on every line that does not begin with "data:".
func TestGeminiUsesUpTheCredits(t *testing.T) {
	g := start(t, setup{prices: func(p string) string { return smallHolds(p) }, mock: mockai.Options{Pace: time.Millisecond}})
	a := g.send(http.MethodPost, strings.Replace(geminiStream, "demo-small", "demo-long-stream", 1)+"?alt=sse", geminiBody, "X-Goog-Api-Key", g.account("acme", "1"))
	last := ""
	for lines := bufio.NewScanner(strings.NewReader(a.body)); lines.Scan(); {
		if line := lines.Text(); line != "" {
			if last = line; !strings.HasPrefix(line, "data: ") {
				t.Errorf("a line that is no data: %s", line)
			}
		}
	}
	if gjson.Get(strings.TrimPrefix(last, "data: "), "error.status").String() != "RESOURCE_EXHAUSTED" || !strings.Contains(last, "credits are used up") {
		t.Errorf("the stream ends with %s", last)
	}
	if left := thousandths(t, g.settled("acme").Available); left > 100 {
		t.Errorf("left %s", credits(left))
	}
}
