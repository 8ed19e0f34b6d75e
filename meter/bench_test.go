package meter

import (
	"context"
	"fmt"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const benchPrices = `version: 1
credit: {name: credit, decimals: 6}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
models:
  gpt-5-mini: {per_1k_tokens: {input: 1, output: 8}}
plans:
  big: {credits: [{type: free, amount: 1_000_000_000, every: year}]}
default_plan: big
`

var (
	benchRequest       = []byte(`{"model":"gpt-5-mini","max_tokens":100,"messages":[{"role":"system","content":"You keep the logbook of a small port."},{"role":"user","content":"Summarise the harbour log in two sentences."}]}`)
	benchStreamRequest = []byte(`{"model":"gpt-5-mini","max_tokens":100,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Summarise the harbour log in two sentences."}]}`)
	benchAnswer        = []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-5-mini","choices":[{"index":0,"message":{"role":"assistant","content":"The ferry left at dawn while fog lay over the harbour."},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":20,"total_tokens":45}}`)
	benchHeader        = map[string][]string{"Content-Type": {"application/json"}}
)

// charge is the work of one metered chat request. Its answer arrives in pieces.
func charge(m *Gateway, request []byte, contentType string, answer ...[]byte) error {
	ctx := context.Background()
	c, err := m.Admit(ctx, &Request{Method: "POST", URI: "/v1/chat/completions", Header: benchHeader, Body: request, ContentType: "application/json", Caller: Caller{Account: "acme", Key: "key_1", Trusted: true}})
	if err != nil {
		return err
	}
	c.Begin(200, map[string][]string{"Content-Type": {contentType}})
	for _, piece := range answer {
		if _, err := c.Observe(ctx, piece); err != nil {
			return err
		}
	}
	c.End()
	if f := c.Settle(ctx, Answered, nil); f.Refunded || fmt.Sprint(f.Cost) != "185000" {
		return fmt.Errorf("settled as %+v", f)
	}
	return nil
}

// BenchmarkCharge is the work of one metered chat request, from pricing to
// settling, without HTTP and without a disk.
func BenchmarkCharge(b *testing.B) {
	book, problems := pricefile.Load("pricing.yaml", []byte(benchPrices))
	if book == nil {
		b.Fatal(problems)
	}
	m, err := Open(context.Background(), Options{Store: memory.New(), Book: book})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := charge(m, benchRequest, "application/json", benchAnswer); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
