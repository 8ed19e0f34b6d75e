package pricing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// largeBook has 3,000 models with the adjustments that resellers copy.
func largeBook(t testing.TB) *pricing.Book {
	t.Helper()
	book, problems := pricefile.Load("large.yaml", largeText())
	if book == nil {
		t.Fatal(problems)
	}
	return book
}

func largeText() []byte {
	var b strings.Builder
	b.WriteString(`version: 1
credit: {name: USD, plural: USD, worth: 1 USD, decimals: 6}
markup: 20%
operations:
  chat: {match: [POST /v1/chat/completions, POST /v1/responses], price: by_model}
  bot: {match: POST /v1/bot, model: response.body.model, price: by_model}
models:
`)
	for i := range 3000 {
		fmt.Fprintf(&b, "  vendor/model-%d:\n    per_1m_tokens: {input: %d.50, cached_input: 0.25, output: 15.00}\n    max_output_tokens: 128_000\n", i, i%20+1)
		if i%3 == 0 {
			b.WriteString("    adjust:\n      - when: {input_tokens: {above: 272_000}}\n        price: {per_1m_tokens: {input: 5.00, output: 22.50}}\n      - {when: {service_tier: flex}, times: 0.5}\n")
		}
	}
	b.WriteString("plans:\n  team: {credits: [{type: subscription, amount: 5, every: month}], discount: 5%}\n")
	return []byte(b.String())
}

func largeFacts(model string) *pricing.Facts {
	return &pricing.Facts{
		Method: "POST", URI: "/v1/chat/completions", ContentType: "application/json",
		Header: map[string][]string{"Content-Type": {"application/json"}, "Authorization": {"Bearer x"}},
		Body:   []byte(`{"model":"` + model + `","service_tier":"flex","max_tokens":1000,"messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"Write a haiku about a pier in the fog, \"please\"."}],"temperature":0.7,"stream":true}`),
		At:     time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC),
	}
}

func BenchmarkRead(b *testing.B) {
	book, facts := largeBook(b), largeFacts("vendor/model-2100")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := book.Read(facts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead100KB(b *testing.B) {
	book, facts := largeBook(b), largeFacts("vendor/model-2100")
	facts.Body = []byte(strings.Replace(string(facts.Body), "a haiku", strings.Repeat("a long haiku ", 8000), 1))
	b.SetBytes(int64(len(facts.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := book.Read(facts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHold(b *testing.B) {
	book := largeBook(b)
	r, err := book.Read(largeFacts("vendor/model-2100"))
	if err != nil {
		b.Fatal(err)
	}
	plan := book.Plan("team")
	est := pricing.Usage{}
	est.Tokens[pricing.Input] = 1000
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Estimate(est, plan, pricing.FreeLeft{}).Hold(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCost(b *testing.B) {
	book := largeBook(b)
	r, err := book.Read(largeFacts("vendor/model-2100"))
	if err != nil {
		b.Fatal(err)
	}
	plan := book.Plan("team")
	u := pricing.Usage{}
	u.Tokens[pricing.Input], u.Tokens[pricing.CachedInput], u.Tokens[pricing.Output] = 600, 400, 500
	answer := &pricing.Answer{Status: 200, Usage: &u, Body: []byte(`{"id":"x","model":"vendor/model-2100-2026-01-01","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1000},"service_tier":"default"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Cost(answer, plan, pricing.FreeLeft{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHoldDearest(b *testing.B) {
	book, facts := largeBook(b), largeFacts("x")
	facts.URI = "/v1/bot"
	r, err := book.Read(facts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Estimate(pricing.Usage{}, nil, pricing.FreeLeft{}).Hold(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	text := largeText()
	b.ReportAllocs()
	for b.Loop() {
		if book, _ := pricefile.Load("large.yaml", text); book == nil {
			b.Fatal("not loaded")
		}
	}
}
