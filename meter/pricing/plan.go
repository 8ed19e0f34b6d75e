package pricing

import (
	"encoding/json"
	"slices"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Plan is what accounts subscribe to.
type Plan struct {
	ID, Name       string
	Price          *Money // nil: none or custom
	Custom         bool   // price: custom
	PriceText      string // as written
	BillingPeriod  calendar.Unit
	Grants         []*Grant
	Allow, Deny    *selector.Selector // nil: none
	Discount       money.Decimal      // 0.05 for "5%"
	DiscountText   string
	Overage        *Overage // nil: when_empty is block
	Lasts          *calendar.Duration
	RenewsWhenPaid bool
	Proration      string // "none" or "time"
	Caps           []Cap
	MaxConcurrent  MaxConcurrent
	EstimateBytes  *bool           // of the plan's requests; nil: as Policies says
	Metadata       json.RawMessage // nil: none
	Line, Column   int

	keep Rate // 1 - Discount
}

// Rollover says what a renewed grant keeps at a renewal.
type Rollover uint8

// The ways of a rollover.
const (
	RolloverNone  Rollover = iota // an instance ends when the next starts
	RolloverAll                   // it never ends
	RolloverLimit                 // at most Grant.RolloverLimit is kept
)

// Expiry says when credits that are not renewed end.
type Expiry uint8

// The ways of an expiry.
const (
	ExpiresNever Expiry = iota
	ExpiresWithPlan
	ExpiresAfter // a duration
)

// Grant is one entry of a plan's credits.
type Grant struct {
	Type            string
	Amount          money.Amount
	Unlimited       bool
	Renewed         bool          // has every
	Every           calendar.Unit // if Renewed
	Rollover        Rollover
	RolloverLimit   money.Amount
	Expires         Expiry
	ExpiresAfter    calendar.Duration
	OnlyFor, NotFor *selector.Selector
}

// Overage is how a plan goes on when its credits are used up.
type Overage struct {
	Limited bool
	Limit   money.Amount
	Times   money.Decimal // default 1
}

// Cap limits what an account, a member or a key spends in a period.
type Cap struct {
	Per    string // account, member or key
	Amount money.Amount
	Every  calendar.Unit
}

// MaxConcurrent is how many requests an account, a member and a key may have under
// way at once; 0: no limit.
type MaxConcurrent struct{ Account, Member, Key int }

// Pack is credits that can be bought.
type Pack struct {
	ID, Name        string
	ByPrice         bool         // credits: by_price
	Credits         money.Amount // unless ByPrice
	Price           Money        // the only price, or the least
	MaxPrice        *Money       // nil: no range
	Expires         *calendar.Duration
	Type            string
	OnlyPlans       []string // empty: any
	OnlyFor, NotFor *selector.Selector
	Line, Column    int

	book *Book
}

// Amount is what the pack grants for a price; the price is only needed, and
// only looked at, for credits: by_price.
func (p *Pack) Amount(price *Money) (money.Amount, error) {
	if !p.ByPrice {
		return p.Credits, nil
	}
	worth := p.book.Credit.Worth
	if price == nil {
		return 0, ErrPriceNeeded
	}
	if price.Currency != worth.Currency {
		return 0, ErrCurrency
	}
	return money.Div(price.Amount, worth.Amount, p.book.Credit.Decimals)
}

// SellsTo reports whether an account on this plan ("" for none) may buy p.
func (p *Pack) SellsTo(plan string) bool {
	return len(p.OnlyPlans) == 0 || slices.Contains(p.OnlyPlans, plan)
}

// Permits reports whether the plan's allow and deny let a request pass.
func (p *Plan) Permits(s *selector.Subject) bool { return selector.Permits(p.Allow, p.Deny, s) }

// Permits reports whether credits of g may pay for a request.
func (g *Grant) Permits(s *selector.Subject) bool {
	return selector.Permits(g.OnlyFor, g.NotFor, s)
}

// Keeps is the share of a price that is left after the plan's discount; 1
// without a plan.
func (p *Plan) Keeps() money.Decimal {
	if p == nil || !p.keep.Set {
		return one
	}
	return p.keep.Value
}
