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

// BenchmarkCharge is the work of one metered chat request, from pricing to
// settling, without HTTP and without a disk.
func BenchmarkCharge(b *testing.B) {
	book, problems := pricefile.Load("pricing.yaml", []byte(benchPrices))
	if book == nil {
		b.Fatal(problems)
	}
	ctx := context.Background()
	m, err := Open(ctx, Options{Store: memory.New(), Book: book})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	body := []byte(`{"model":"gpt-5-mini","max_tokens":100,"messages":[{"role":"system","content":"You keep the logbook of a small port."},{"role":"user","content":"Summarise the harbour log in two sentences."}]}`)
	answer := []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-5-mini","choices":[{"index":0,"message":{"role":"assistant","content":"The ferry left at dawn while fog lay over the harbour."},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":20,"total_tokens":45}}`)
	header := map[string][]string{"Content-Type": {"application/json"}}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := m.Admit(ctx, &Request{Method: "POST", URI: "/v1/chat/completions", Header: header, Body: body, ContentType: "application/json", Caller: Caller{Account: "acme", Key: "key_1", Trusted: true}})
			if err != nil {
				b.Error(err)
				return
			}
			c.Begin(200, header)
			if _, err := c.Observe(ctx, answer); err != nil {
				b.Error(err)
			}
			c.End()
			if f := c.Settle(ctx, Answered, nil); f.Refunded || fmt.Sprint(f.Cost) != "185000" {
				b.Errorf("%+v", f)
			}
		}
	})
}
