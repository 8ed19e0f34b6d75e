package pricing_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// What an answer may make dearer is held: whatever the answer says, no
// adjustment that looks at it brings the cost above the hold.
func TestAdjustmentsOfTheAnswerAreHeld(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 1)) //nolint:gosec // repeatable
	dearer := 0
	for round := range 400 {
		n := 1 + random.IntN(7)
		var adjusts []string
		for i := range n {
			change := []string{"price: 7", "times: 3", "price: {per_request: 4}", "price: {per_image: 2}", "times: 0.5", "price: free"}[random.IntN(6)]
			more := []string{"", ", body.size: large"}[random.IntN(2)]
			adjusts = append(adjusts, fmt.Sprintf("{when: {response.body.a%d: yes%s}, %s}", i, more, change))
		}
		book, problems := pricefile.Load("pricing.yaml", fmt.Appendf(nil, `version: 1
credit: {name: credit, decimals: 3}
operations:
  op: {match: POST /op, measure: {image: body.n}, price: {per_request: %d, per_image: %d}, adjust: [%s]}
`, random.IntN(2), random.IntN(3), strings.Join(adjusts, ", ")))
		if book == nil {
			t.Fatal(problems)
		}
		request := []string{`{"n":2}`, `{"n":3,"size":"large"}`}[random.IntN(2)]
		r, err := book.Read(&pricing.Facts{Method: "POST", URI: "/op", Body: []byte(request), ContentType: "application/json"})
		if err != nil {
			t.Fatal(err)
		}
		hold, err := r.Estimate(pricing.Usage{}, nil, pricing.FreeLeft{}).Hold()
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			var fields []string
			for i := range n {
				if random.IntN(2) == 0 {
					fields = append(fields, fmt.Sprintf(`"a%d":"yes"`, i))
				}
			}
			cost, err := r.Cost(&pricing.Answer{Status: 200, Body: []byte("{" + strings.Join(fields, ",") + "}")}, nil, pricing.FreeLeft{})
			if err != nil {
				t.Fatal(err)
			}
			if cost.Amount > hold.Amount {
				t.Errorf("round %d: %s held %d, the answer %v costs %d\n%v", round, request, hold.Amount, fields, cost.Amount, adjusts)
			}
			if cost.Amount > 0 {
				dearer++
			}
		}
		e, err := r.Estimate(pricing.Usage{}, nil, pricing.FreeLeft{}).Explain()
		if err != nil || e.Quote.Amount != hold.Amount {
			t.Errorf("explained as %d (%v), held %d", e.Quote.Amount, err, hold.Amount)
		}
	}
	if dearer < 100 {
		t.Errorf("only %d answers cost something", dearer)
	}
}
