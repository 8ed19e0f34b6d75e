package caddymodule

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/payload"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// What goes on has the path that was priced, in its plain form, and nothing that could replace it.
func TestWhatWasMatchedGoesOn(t *testing.T) {
	for sent, want := range map[string]string{
		"/v1/chat":                           "/v1/chat",
		"/v1/%63hat?x=%63":                   "/v1/chat?x=%63",
		"//v1///chat":                        "/v1/chat",
		"/v1/./x/../chat/":                   "/v1/chat/",
		"/v1/x/%2e%2E/chat":                  "/v1/chat",
		"/":                                  "/",
		"/v1/a%20b/%C3%A4":                   "/v1/a%20b/%C3%A4",
		"/v1/models/gemini-x:generate?alt=x": "/v1/models/gemini-x:generate?alt=x",
		"/v1/model/claude-v2%3A1/invoke":     "/v1/model/claude-v2:1/invoke",
		"http://other/v1/%63hat":             "/v1/chat",
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + sent + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		h := &Handler{Account: "{x}"}
		if got := h.upstreamRequest(r.Context(), r, payload.Body{}, false).URL.RequestURI(); got != want {
			t.Errorf("%s goes on as %s, want %s", sent, got, want)
		}
		if got := r.URL.RequestURI(); got != want {
			t.Errorf("%s: placeholders have %s", sent, got)
		}
		priced, _ := pricing.CleanPath(sent)
		if on, ok := pricing.CleanPath(want); !ok || on != priced {
			t.Errorf("%s is priced as %s, and what goes on as %s", sent, priced, on)
		}
	}
	r, _ := http.NewRequest(http.MethodPost, "/v1/chat", http.NoBody)
	for _, name := range []string{"X-Original-URL", "X_Original_URL", "x_http-method_override", "X-Rewrite-Uri", "Content_Type", "content_length", "Transfer_Encoding"} {
		r.Header[name] = []string{"x"}
	}
	r.Header["X_Mine"], r.Header["Content-Type"] = []string{"x"}, []string{"application/json"}
	if got := (&Handler{}).upstreamRequest(r.Context(), r, payload.Body{}, false).Header; len(got) != 2 {
		t.Errorf("%v", got)
	}
}
