//go:build !race

package pricing_test

import (
	"testing"

	"github.com/farebox-dev/farebox/internal/allocations"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// hotPaths are what each request does with a price book of 3,000 models.
func hotPaths(t testing.TB) []allocations.Path {
	t.Helper()
	book, facts := largeBook(t), largeFacts("vendor/model-2100")
	plan := book.Plan("team")
	estimate, used := pricing.Usage{}, pricing.Usage{}
	estimate.Tokens[pricing.Input] = 1000
	used.Tokens[pricing.Input], used.Tokens[pricing.Output] = 600, 500
	answer := &pricing.Answer{Status: 200, Usage: &used, Body: []byte(`{"id":"x","model":"vendor/model-2100-2026-01-01","choices":[],"usage":{"prompt_tokens":1000}}`)}
	return []allocations.Path{{Name: "read, hold and cost", Run: func() {
		r, err := book.Read(facts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = r.Estimate(estimate, plan, pricing.FreeLeft{}).Hold(); err != nil {
			t.Fatal(err)
		}
		if _, err = r.Cost(answer, plan, pricing.FreeLeft{}); err != nil {
			t.Fatal(err)
		}
	}}}
}

func TestAllocationsOfHotPaths(t *testing.T) { allocations.Check(t, "pricing", hotPaths(t)) }

func BenchmarkHotPaths(b *testing.B) { allocations.Bench(b, hotPaths(b)) }
