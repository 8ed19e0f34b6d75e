package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// AccountID names an account: the pool that all its members draw from.
type AccountID string

// GrantID names a grant.
type GrantID string

// ChargeID names a charge: ChargePrefix and a ULID.
type ChargeID string

// ChargePrefix begins the id of every charge.
const ChargePrefix = "ch_"

// Account is the state that commands change: the fold of its journal.
type Account struct {
	ID        AccountID
	Name      string
	Suspended bool
	CreatedAt time.Time
	Clock     time.Time // time of the last entry; never goes back
	Seq       uint64    // of the last entry
	Head      [32]byte  // hash of the last entry

	Sub    Subscription
	Left   map[string]Subscription // plans that it left, for a return within the same billing period
	Lapsed *Subscription           // the unpaid plan that a payment brings back
	Given  map[LineID]bool         // one-time grants handed out
	Cursor map[LineID]time.Time    // start of the newest period granted

	Grants   []*Grant // in order of creation
	Holds    map[ChargeID]*Charge
	Counters map[CounterKey]Counter

	Issued, Spent, Expired, Revoked money.Amount
	Overage                         money.Amount // settled, ever
	OverageHeld                     money.Amount // of open holds
	OveragePeriod                   money.Amount // settled in the current billing period
	Closed                          Period       // the billing period that closed last
	Periods                         uint64       // billing periods that have closed
	Debt                            money.Amount
	Absorbed                        money.Amount

	Watch     Watch                  // thresholds of its own
	Alerted   map[AlertKey]time.Time // when a warning was sent last, and lifted again
	LastGrant money.Amount           // size of the latest grant

	next nextDue
}

// Subscription is an account's contract with a plan. The zero value is no contract.
type Subscription struct {
	Plan       string
	Anchor     time.Time // where billing periods are counted from
	Since      time.Time // when the account came to the plan, or back to it
	Start, End time.Time // the current billing period
	EndsAt     time.Time // end of a plan that lasts; zero: no end
	PaidUntil  time.Time // when_paid: periods that start before are paid
	Then       Then      // what happens at End
	ThenPlan   string
}

// Then is what a subscription does at the end of its billing period.
type Then uint8

// A subscription renews by default.
const (
	ThenRenew Then = iota
	ThenChange
	ThenCancel
)

// Period is a billing period that has closed.
type Period struct {
	Start, End time.Time
	Overage    money.Amount
}

// Grant is credits of one kind and life.
type Grant struct {
	ID          GrantID
	Type        string // free, trial, subscription, top_up, promo, courtesy, …
	Name        string // for people
	Origin      Origin
	Amount      money.Amount
	Available   money.Amount
	Held        money.Amount
	Gone        money.Amount // expired, revoked or carried over
	PaidDebt    money.Amount // of what was used
	Unlimited   bool
	Paid        bool
	Voided      bool
	Parked      bool   // the account left its plan; a return within the period reopens it
	EndsWith    bool   // ends when its plan ends
	Renewed     bool   // of a line that renews
	Replaces    string // courtesy: the type in whose place it is drawn
	EffectiveAt time.Time
	ExpiresAt   time.Time // zero: never
	Resume      time.Time // parked: its ExpiresAt if the account returns to its plan
	OnlyFor     selector.Selector
	NotFor      selector.Selector
	Seq         uint64 // entry that created it: the last tie-break of the draw order
}

// Used is how much of g has been spent.
func (g *Grant) Used() money.Amount { return g.Amount - g.Available - g.Held - g.Gone }

// Live reports whether g can pay at now, for requests that it permits.
func (g *Grant) Live(now time.Time) bool {
	return !g.Parked && !g.Voided && !g.EffectiveAt.After(now) && !g.over(now)
}

func (g *Grant) over(now time.Time) bool { return !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(now) }

// permits reports whether g may pay for x.
func (g *Grant) permits(x *selector.Subject) bool {
	return selector.Permits(&g.OnlyFor, &g.NotFor, x)
}

// Counter is what counts against a cap or a free tier in one period.
type Counter struct {
	Start       time.Time
	Held, Spent money.Amount
}

// Grant finds a grant in the account's state; nil if it is not there (any more).
func (a *Account) Grant(id GrantID) *Grant {
	for _, g := range a.Grants {
		if g.ID == id {
			return g
		}
	}
	return nil
}

// Clone is a deep copy.
func (a *Account) Clone() *Account {
	c := *a
	c.Left, c.Given, c.Cursor, c.Counters = maps.Clone(a.Left), maps.Clone(a.Given), maps.Clone(a.Cursor), maps.Clone(a.Counters)
	c.Alerted = maps.Clone(a.Alerted)
	if a.Lapsed != nil {
		l := *a.Lapsed
		c.Lapsed = &l
	}
	c.Grants = make([]*Grant, len(a.Grants))
	for i, g := range a.Grants {
		copied := *g
		c.Grants[i] = &copied
	}
	c.Holds = make(map[ChargeID]*Charge, len(a.Holds))
	for id, h := range a.Holds {
		c.Holds[id] = h.Clone()
	}
	return &c
}

// HoldsInOrder are the open holds, in order of id.
func (a *Account) HoldsInOrder() []*Charge {
	list := make([]*Charge, 0, len(a.Holds))
	for _, h := range a.Holds {
		list = append(list, h)
	}
	slices.SortFunc(list, func(x, y *Charge) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return list
}

// Clone is a copy that shares nothing that changes: the elements of a charge's lists
// never do, what wants to change one replaces its list.
func (c *Charge) Clone() *Charge {
	d := *c
	d.Allocations, d.Captures, d.Counters = slices.Clip(c.Allocations), slices.Clip(c.Captures), slices.Clip(c.Counters)
	return &d
}

// Anonymise takes from the account what names people. Its amounts stay.
func (a *Account) Anonymise() {
	a.Name = ""
	for k := range a.Counters {
		if k.Who != "" {
			delete(a.Counters, k)
		}
	}
	for i, g := range a.Grants {
		if g.Name != "" && g.Origin.Kind == FromOperator {
			anonymous := *g
			anonymous.Name = ""
			a.Grants[i] = &anonymous
		}
	}
}

// Erase takes from an account what names people, for good. It must be suspended, and
// have no open hold. Earlier entries still have it: let them leave.
type Erase struct{ By string }

func (c Erase) apply(w *work) error {
	switch {
	case w.a.Seq == 0:
		return ErrNoAccount
	case !w.a.Suspended:
		return ErrNotSuspended
	case len(w.a.Holds) > 0:
		return fmt.Errorf("%w: %d requests of the account have not ended", ErrNotSettled, len(w.a.Holds))
	}
	w.post(Entry{Kind: KindErased, Reason: "erased by " + c.By})
	return nil
}
