package ledger

import (
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Charge is one request's claim on credits: a hold while it is open, then the record
// of its cost.
type Charge struct {
	ID        ChargeID
	Account   AccountID
	Member    string
	Key       string
	Operation string
	Model     string
	Book      string // digest of the price book it was admitted with
	Subject   selector.Subject
	Labels    []Label
	At        time.Time

	Asked       money.Amount  // what Reserve held
	Hold        money.Amount  // before overage.times
	Times       money.Decimal // overage.times of the plan that it was held under
	Allocations []Allocation  // what the hold took, in draw order
	Observed    money.Amount  // cost of what was delivered by the last Extend or Observe
	Counters    []CounterDelta
	FreeUsed    money.Amount // of its free tier, in FreeDecimals
	Idempotency string
	Hash        [32]byte // of the request, with Idempotency

	State     ChargeState
	Abandoned bool // resolved because its lease lapsed: the real end is still accepted, once
	SettledAt time.Time
	Period    uint64       // Account.Periods when it was settled
	Cost      money.Amount // without what was absorbed
	Captures  []Allocation // what was taken, in draw order
	Absorbed  money.Amount
	Refunded  money.Amount
	Outcome   string // "answered", "upstream 502", "client left", …
	Usage     Usage  // what it was priced by
	Estimated bool   // the cost was counted from what was delivered
	Status    int    // HTTP status that the client saw
}

// ChargeState is a step of a charge's life.
type ChargeState uint8

// A charge moves forward only.
const (
	Held ChargeState = iota + 1
	Settled
	Released
)

// String is "held", "settled" or "released".
func (s ChargeState) String() string {
	return [...]string{"", "held", "settled", "released"}[s]
}

// FreeDecimals is the precision in which free tiers count units.
const FreeDecimals = 9

// Types of allocations without a grant.
const (
	TypeOverage  = "overage"
	TypeDebt     = "debt"
	TypeAbsorbed = "absorbed"
)

// Allocation is a part of a charge, from one source.
type Allocation struct {
	Grant    GrantID  // "" for overage and debt
	Instance Instance // of the grant, if it is one of a plan
	Type     string   // of the grant, or TypeOverage, TypeDebt
	Amount   money.Amount
	Base     money.Amount // overage: before overage.times; else Amount
}

// CounterDelta changes a counter in the period that began at Start, and does nothing
// in any other. Without a Start it ends the counter.
type CounterDelta struct {
	Key         CounterKey
	Start       time.Time
	Held, Spent money.Amount
}

// HeldTotal is what the hold occupies, overage after overage.times.
func (c *Charge) HeldTotal() money.Amount { return total(c.Allocations) }

// base is the cost at which the charge was settled, before overage.times and with
// what was absorbed.
func (c *Charge) base() money.Amount {
	sum := c.Absorbed
	for _, x := range c.Captures {
		sum += x.Base
	}
	return sum
}

// Net is what the charge has cost after refunds.
func (c *Charge) Net() money.Amount { return c.Cost - c.Refunded }

func total(allocations []Allocation) (sum money.Amount) {
	for _, x := range allocations {
		sum += x.Amount
	}
	return sum
}

// Drawn sums captures by grant type; what was absorbed is TypeAbsorbed.
func (c *Charge) Drawn() map[string]money.Amount {
	drawn := map[string]money.Amount{}
	for _, x := range c.Captures {
		if x.Amount != 0 {
			drawn[x.Type] += x.Amount
		}
	}
	if c.Absorbed > 0 {
		drawn[TypeAbsorbed] = c.Absorbed
	}
	return drawn
}
