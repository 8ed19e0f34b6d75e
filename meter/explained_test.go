package meter

import (
	"slices"
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/report"
)

// share counts settled charges, and those of them that can be explained to
// exactly what they cost.
type share struct {
	charges, explained int
	ratios             []int64 // charged ÷ held, in per cent, of charges that held anything
}

// explained looks at all charges of the story that the price file has priced.
func (p *teller) explained(s *share) {
	err := p.m.Reports.Charges(p.Context(), storyAccount, report.ChargeFilter{}, func(c *ledger.Charge) bool {
		if c.State != ledger.Settled || c.Book == "" || c.Operation == "" {
			return true
		}
		if op := p.book.Operation(c.Operation); op != nil && c.Cost == 0 && c.Asked == 0 && len(c.Usage.Quantities) == 0 && len(c.Usage.Marks) == 0 && len(p.m.Reports.ExplainCharge(p.Context(), c)) == 0 {
			return true // free: there is nothing to explain
		}
		s.charges++
		if c.HeldTotal() > 0 {
			s.ratios = append(s.ratios, int64((c.Cost+c.Absorbed)*100/c.HeldTotal()))
		}
		lines := p.m.Reports.ExplainCharge(p.Context(), c)
		if len(lines) == 0 {
			p.Logf("%s %s: %s cannot be explained from %q", c.Operation, c.Model, c.Cost.Text(p.book.Credit.Decimals), c.Usage)
			return true
		}
		s.explained++
		p.sameCost(c, lines[len(lines)-1].Total)
		return true
	})
	if err != nil {
		p.Error(err)
	}
}

func (s *share) enough(t *testing.T) {
	t.Helper()
	t.Logf("explained: %d of %d settled charges, to exactly what they cost", s.explained, s.charges)
	slices.Sort(s.ratios)
	at := func(percent int) int64 { return s.ratios[(len(s.ratios)-1)*percent/100] }
	t.Logf("charged ÷ held of %d charges, in %%: least %d, p10 %d, p25 %d, p50 %d, p75 %d, p90 %d, p99 %d, most %d",
		len(s.ratios), at(0), at(10), at(25), at(50), at(75), at(90), at(99), at(100))
	if s.charges < 100 || s.explained*100 < s.charges*95 {
		t.Errorf("%d of %d settled charges can be explained, want 95 %% of at least 100", s.explained, s.charges)
	}
}

// sameCost: the last step of an explanation, rounded up once, is what was
// charged, before what overage makes of it.
func (p *teller) sameCost(c *ledger.Charge, total interface {
	Ceil(int) (money.Amount, error)
},
) {
	p.Helper()
	want := c.Absorbed
	for _, x := range c.Captures {
		want += x.Base
	}
	if got, err := total.Ceil(p.book.Credit.Decimals); err != nil || got != want {
		p.Errorf("charge %s: explained as %d (%v), cost %d", c.ID, got, err, want)
	}
}
