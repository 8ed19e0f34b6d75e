package caddymodule

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const (
	benchPrices = `version: 1
credit: {name: credit, decimals: 6}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
models:
  gpt-5-mini: {max_output_tokens: 128_000, per_1k_tokens: {input: 1, output: 8}}
plans:
  big: {credits: [{type: free, amount: 1_000_000_000, every: year}]}
default_plan: big
`
	benchQuestion = `{"model":"gpt-5-mini","max_tokens":100,"messages":[{"role":"system","content":"You keep the logbook of a small port."},{"role":"user","content":"Summarise the harbour log in two sentences."}]}`
	benchAnswer   = `{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-5-mini","choices":[{"index":0,"message":{"role":"assistant","content":"The ferry left at dawn while fog lay over the harbour and nobody on the pier minded the delay."},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":20,"total_tokens":45}}`
)

// benchStore is a store without a disk, for a benchmark of the gateway alone.
type benchStore struct{ address string }

func (m benchStore) Address() string                       { return m.address }
func (m benchStore) Open(*zap.Logger) (store.Store, error) { return memory.New(), nil }

// BenchmarkHandler is one metered chat request through the whole handler, with a stub
// in place of reverse_proxy. The difference to plain is what metering costs.
func BenchmarkHandler(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		benchRequests(b, []string{"fb_live_none"}, func(w http.ResponseWriter, r *http.Request) error { return benchUpstream(w, r) })
	})
	for _, accounts := range []int{1, 10_000} {
		b.Run("accounts="+strconv.Itoa(accounts), func(b *testing.B) {
			a, keys := benchApp(b, accounts)
			h := &Handler{app: a, MaxBody: defaultMaxBody, DrainMax: caddy.Duration(defaultDrainMax), RefusalFormat: "auto", refused: new(refusals)}
			benchRequests(b, keys, func(w http.ResponseWriter, r *http.Request) error {
				return h.ServeHTTP(w, r, caddyhttp.HandlerFunc(benchUpstream))
			})
		})
	}
}

// benchApp is an app with accounts, and a key of each.
func benchApp(b *testing.B, accounts int) (*App, []string) {
	b.Helper()
	dir := b.TempDir()
	file := filepath.Join(dir, "pricing.yaml")
	if err := os.WriteFile(file, []byte(benchPrices), 0o600); err != nil {
		b.Fatal(err)
	}
	a := &App{Store: json.RawMessage(`{"module":"badger","dir":` + strconv.Quote(dir) + `}`), Pricing: file, Watch: -1, Poll: -1}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: b.Context()})
	b.Cleanup(cancel)
	if err := a.prepare(ctx); err != nil {
		b.Fatal(err)
	}
	a.store = benchStore{"memory:" + dir}
	if err := begin(a); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Stop(); _ = a.Cleanup() })
	keys := make([]string, accounts)
	for i := range keys {
		id := "account-" + strconv.Itoa(i)
		if _, err := a.engine.Accounts.Create(b.Context(), id, "", ""); err != nil {
			b.Fatal(err)
		}
		var err error
		if keys[i], _, err = a.engine.Directory.Keys.Create(b.Context(), directory.Key{Account: id}); err != nil {
			b.Fatal(err)
		}
	}
	return a, keys
}

// benchUpstream answers as an AI API, with the copying of reverse_proxy.
func benchUpstream(w http.ResponseWriter, r *http.Request) error {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write([]byte(benchAnswer))
	return err
}

// benchRequests sends requests of many clients in turn.
func benchRequests(b *testing.B, keys []string, serve func(http.ResponseWriter, *http.Request) error) {
	b.Helper()
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := keys[int(next.Add(1))%len(keys)]
			ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(benchQuestion))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+key)
			w := httptest.NewRecorder()
			if err := serve(w, r); err != nil || w.Code != http.StatusOK || w.Body.String() != benchAnswer {
				b.Errorf("%d %s %v", w.Code, w.Body, err)
				return
			}
		}
	})
}
