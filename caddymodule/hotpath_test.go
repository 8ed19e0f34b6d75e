//go:build !race

package caddymodule

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/internal/allocations"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// inMemory is a store that costs little.
type inMemory struct{}

func (inMemory) Address() string { return "memory:" }

func (inMemory) Open(*zap.Logger) (store.Store, error) { return memory.New(), nil }

// discard is a client that reads nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Flush()                      {}

// hotPaths are requests through the whole handler, without a server, a proxy and a
// disk.
func hotPaths(t *testing.T) []allocations.Path {
	t.Helper()
	a := provisioned(t, t.TempDir())
	a.store = inMemory{}
	key := started(t, a)
	h := &Handler{app: a, MaxBody: defaultMaxBody, DrainMax: caddy.Duration(defaultDrainMax), RefusalFormat: "auto"}
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + key}}
	run := func(body string, next caddyhttp.HandlerFunc) func() {
		return func() {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
			defer cancel()
			r := (&http.Request{
				Method: http.MethodPost, URL: &url.URL{Path: "/v1/chat/completions"}, Host: "ai.example.com", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				Header: header.Clone(), Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
			}).WithContext(ctx)
			w := discard{http.Header{}}
			if err := h.ServeHTTP(w, r, next); err != nil {
				t.Fatal(err)
			}
			if w.header.Get("Credits-Cost") == "" {
				t.Fatalf("it was not metered: %v", w.header)
			}
		}
	}
	return []allocations.Path{
		{Name: "a chat request", Run: run(`{"model":"demo-small","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}`, func(w http.ResponseWriter, _ *http.Request) error {
			return answered(w, "application/json", `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":1}}`)
		})},
		{Name: "a stream of 100 events", Run: run(`{"model":"demo-small","max_tokens":1,"stream":true,"messages":[{"role":"user","content":"hello"}]}`, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 100 {
				if _, err := io.WriteString(w, events); err != nil {
					return err
				}
			}
			_, err := io.WriteString(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n")
			return err
		})},
	}
}

func TestAllocationsOfHotPaths(t *testing.T) { allocations.Check(t, "caddymodule", hotPaths(t)) }
