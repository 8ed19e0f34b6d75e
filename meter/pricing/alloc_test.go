//go:build !race

package pricing_test

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// TestAllocations: the request path costs two allocations, all of them in Read.
// (With the race detector, pools forget on purpose.)
func TestAllocations(t *testing.T) {
	book, facts := largeBook(t), largeFacts("vendor/model-2100")
	r, err := book.Read(facts)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(200, func() { _, _ = book.Read(facts) }); n > 2 {
		t.Errorf("Read allocates %v times", n)
	}
	plan := book.Plan("team")
	if n := testing.AllocsPerRun(200, func() { _, _ = r.Estimate(pricing.Usage{}, plan, pricing.FreeLeft{}).Hold() }); n > 0 {
		t.Errorf("Hold allocates %v times", n)
	}
	u := pricing.Usage{}
	u.Tokens[pricing.Output] = 10
	a := &pricing.Answer{Status: 200, Usage: &u}
	if n := testing.AllocsPerRun(200, func() { _, _ = r.Cost(a, plan, pricing.FreeLeft{}) }); n > 0 {
		t.Errorf("Cost allocates %v times", n)
	}
}
