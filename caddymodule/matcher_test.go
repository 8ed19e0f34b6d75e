package caddymodule

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestModelsAreMatchedByWhatWasPricedOrByTheBody(t *testing.T) {
	var m MatchModel
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("meter_model llama* qwen3")); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{
		`{"model":"llama-4"}`: true, `{"model":"qwen3"}`: true, `{"model":"qwen3-max"}`: false, `{"messages":[]}`: false, "": false, "model=llama": false,
		`{"model":"llama","x":"` + strings.Repeat("x", 1_000_000) + `"}`: false,
	} {
		r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(body))
		if got := m.Match(r); got != want {
			t.Errorf("%.40s: %v", body, got)
		}
		if rest, err := io.ReadAll(r.Body); err != nil || string(rest) != body {
			t.Errorf("%.40s: the body was changed to %.40s (%v)", body, rest, err)
		}
	}
	r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"model":"other"}`))
	repl := caddy.NewEmptyReplacer()
	repl.Set("http.meter.model", "llama-4")
	if !m.Match(r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))) {
		t.Error("the model that was priced does not match")
	}
	for _, wrong := range []string{"meter_model", "meter_model llama* {\n\tx\n}"} {
		if err := new(MatchModel).UnmarshalCaddyfile(caddyfile.NewTestDispenser(wrong)); err == nil {
			t.Errorf("%q passes", wrong)
		}
	}
}
