package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// The span of Caddy's tracing records what the meter does to a request.
func TestSpansTellWhatWasHeldAndCharged(t *testing.T) {
	a, key := running(t)
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	h := &Handler{app: a, MaxBody: defaultMaxBody, RefusalFormat: "auto"}
	asks := func(key, placeholders string) {
		t.Helper()
		ctx, span := provider.Tracer("test").Start(context.Background(), "request")
		repl := caddy.NewReplacer()
		ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, repl)
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"demo-small","max_tokens":50,"messages":[]}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Api-Key", key)
		if err := h.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "application/json")
			_, err := w.Write([]byte(`{"model":"demo-small","usage":{"prompt_tokens":100,"completion_tokens":50}}`))
			return err
		})); err != nil {
			t.Fatal(err)
		}
		span.End()
		got := repl.ReplaceAll("{http.meter.account} {http.meter.operation} {http.meter.model} {http.meter.cost} {http.meter.outcome} {http.meter.usage} {http.meter.usage.output} {http.meter.usage.image}", "")
		if got != placeholders {
			t.Errorf("placeholders: %q, want %q", got, placeholders)
		}
	}
	asks(key, "acme chat demo-small 0.5 answered input=100 output=50 50 0")
	asks("unknown", "    unknown_key   ")
	want := [][]string{
		{"meter.hold charge held model operation", "meter.settle charge cost model outcome remaining usage"},
		{"meter.refused reason"},
	}
	for i, s := range spans.Ended() {
		var got []string
		for _, e := range s.Events() {
			names := []string{}
			for _, x := range e.Attributes {
				names = append(names, strings.TrimPrefix(string(x.Key), "meter."))
				if x.Value.AsString() == "" {
					t.Errorf("%s: %s is empty", e.Name, x.Key)
				}
			}
			slices.Sort(names)
			got = append(got, e.Name+" "+strings.Join(names, " "))
		}
		if !slices.Equal(got, want[i]) {
			t.Errorf("request %d: %q, want %q", i, got, want[i])
		}
	}
	if n := len(spans.Ended()); n != 2 {
		t.Error(fmt.Sprint(n, " spans"))
	}
}
