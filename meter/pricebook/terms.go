package pricebook

import (
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Terms is what the ledger has to know of a price book: plans and the order in
// which credits are drawn, not prices.
func Terms(b *pricing.Book) *ledger.Terms {
	t := &ledger.Terms{
		Decimals: b.Credit.Decimals, Zone: b.Policies.Timezone, DrawOrder: b.DrawOrder, Overdraft: b.Policies.Overdraft,
		Plans: make(map[string]*ledger.Plan, len(b.Plans)),
	}
	if b.DefaultPlan != nil {
		t.DefaultPlan = b.DefaultPlan.ID
	}
	for _, a := range b.Alerts {
		switch {
		case a.Below != nil:
			t.Alerts = append(t.Alerts, Threshold(*a.Below))
		case a.OverageAbove != nil:
			text := "overage_above " + a.OverageAbove.Text(b.Credit.Decimals)
			t.Alerts = append(t.Alerts, ledger.Threshold{Text: text, Amount: *a.OverageAbove, Overage: true})
		}
	}
	for _, p := range b.Plans {
		t.Plans[p.ID] = planTerms(p)
	}
	return t
}

// Threshold is a level of the price file as the ledger checks it.
func Threshold(t pricing.Threshold) ledger.Threshold {
	return ledger.Threshold{Text: t.Text, Percent: t.Percent, Share: t.Share, Amount: t.Amount}
}

func planTerms(p *pricing.Plan) *ledger.Plan {
	t := &ledger.Plan{ID: p.ID, Billing: p.BillingPeriod, WhenPaid: p.RenewsWhenPaid, Prorate: p.Proration == "time", OverageLimit: ledger.NoLimit}
	if p.Lasts != nil {
		t.Lasts = *p.Lasts
	}
	if o := p.Overage; o != nil {
		t.Overage = true
		if o.Limited {
			t.OverageLimit = o.Limit
		}
		if o.Times.Cmp(money.FromInt(1)) != 0 {
			t.OverageTimes = o.Times
		}
	}
	for _, c := range p.Caps {
		t.Caps = append(t.Caps, ledger.Cap{Per: c.Per, Amount: c.Amount, Every: c.Every})
	}
	for _, g := range p.Grants {
		t.Credits = append(t.Credits, schedule(g))
	}
	return t
}

func schedule(g *pricing.Grant) ledger.Schedule {
	s := ledger.Schedule{Type: g.Type, Amount: g.Amount, Unlimited: g.Unlimited, OnlyFor: OrNone(g.OnlyFor), NotFor: OrNone(g.NotFor)}
	if g.Renewed {
		s.Every = g.Every
		switch g.Rollover {
		case pricing.RolloverAll:
			s.Rollover = ledger.NoLimit
		case pricing.RolloverLimit:
			s.Rollover = g.RolloverLimit
		case pricing.RolloverNone:
		}
		return s
	}
	switch g.Expires {
	case pricing.ExpiresWithPlan:
		s.EndOfPlan = true
	case pricing.ExpiresAfter:
		s.Expires = g.ExpiresAfter
	case pricing.ExpiresNever:
	}
	return s
}

// OrNone is a selector, or the one that selects nothing for nil.
func OrNone(s *selector.Selector) selector.Selector {
	if s == nil {
		return selector.Selector{}
	}
	return *s
}
