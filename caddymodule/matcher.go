package caddymodule

import (
	"bytes"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/selector"
)

func init() { caddy.RegisterModule(MatchModel{}) }

// MatchModel matches requests by the model that they ask for, so that models can
// be sent to different upstreams. Behind meter it is the model that was priced;
// elsewhere the field "model" of a JSON body of up to 1 MB.
//
//	@local meter_model llama* qwen*
//	reverse_proxy @local 127.0.0.1:11434
type MatchModel []string

// CaddyModule implements caddy.Module.
func (MatchModel) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.meter_model", New: func() caddy.Module { return new(MatchModel) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (m *MatchModel) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		models := d.RemainingArgs()
		if len(models) == 0 {
			return d.Err("meter_model takes names of models, with * for any characters: meter_model llama* qwen*")
		}
		*m = append(*m, models...)
		if d.NextBlock(0) {
			return d.Err("meter_model takes no block")
		}
	}
	return nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m MatchModel) MatchWithError(r *http.Request) (bool, error) {
	model := modelOf(r)
	for _, pattern := range m {
		if model != "" && selector.Glob(pattern, model) {
			return true, nil
		}
	}
	return false, nil
}

// Match implements caddyhttp.RequestMatcher.
func (m MatchModel) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r)
	return ok
}

func modelOf(r *http.Request) string {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		if model, known := repl.GetString("http.meter.model"); known && model != "" {
			return model
		}
	}
	if r.Body == nil || r.Body == http.NoBody {
		return ""
	}
	const most = 1_000_000
	head, err := io.ReadAll(io.LimitReader(r.Body, most))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
	if err != nil || len(head) == most {
		return ""
	}
	return gjson.GetBytes(head, "model").String()
}

var (
	_ caddyhttp.RequestMatcherWithError = MatchModel{}
	_ caddyfile.Unmarshaler             = (*MatchModel)(nil)
)
