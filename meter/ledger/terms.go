package ledger

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// NoLimit is the value of a limit that does not limit.
const NoLimit money.Amount = -1

// Terms is the part of the price file that the ledger depends on. It is immutable.
type Terms struct {
	Decimals    int
	Zone        *time.Location // where days and billing periods are counted
	DefaultPlan string         // plan of accounts without a subscription; "" = none
	Plans       map[string]*Plan
	DrawOrder   []string // grant types, drawn first to last; may be empty
	Overdraft   money.Amount
	Alerts      []Threshold // of accounts without their own
}

// Plan is what a subscription grants and permits.
type Plan struct {
	ID       string
	Billing  calendar.Unit // Month, Quarter or Year
	Credits  []Schedule
	Lasts    calendar.Duration // zero: no end
	WhenPaid bool              // the next period opens only when it is paid
	Prorate  bool              // started within a billing period, it grants in proportion to the rest

	Overage      bool // requests are admitted when grants are used up
	OverageLimit money.Amount
	OverageTimes money.Decimal // what overage costs, times the price
	Caps         []Cap
}

// Schedule is one line under a plan's credits.
type Schedule struct {
	Type      string
	Amount    money.Amount
	Unlimited bool
	Every     calendar.Unit     // 0: once per account
	Rollover  money.Amount      // NoLimit: all; 0: none; else how much is kept
	EndOfPlan bool              // one-time: ends when the plan ends
	Expires   calendar.Duration // one-time: zero is never
	OnlyFor   selector.Selector
	NotFor    selector.Selector
}

// endsWithPlan reports whether grants of the line end with the plan: all except
// those with rollover: all, and one-time grants with an expiry of their own.
func (s *Schedule) endsWithPlan() bool {
	if s.Unlimited || s.EndOfPlan {
		return true
	}
	return s.Every != 0 && s.Rollover != NoLimit
}

// Cap limits what one member, key or the whole account spends in a period.
type Cap struct {
	Per    string // "member", "key", "account"
	Amount money.Amount
	Every  calendar.Unit
}

// plan is the plan of that id. A plan that the price file no longer has grants and
// permits nothing.
func (t *Terms) plan(id string) *Plan {
	if p := t.Plans[id]; p != nil {
		return p
	}
	return &Plan{ID: id, Billing: calendar.Month, OverageLimit: NoLimit}
}

// line is a line of a plan, nil if the price file no longer has it.
func (t *Terms) line(id LineID) *Schedule {
	p := t.Plans[id.Plan]
	if p == nil || id.Line >= len(p.Credits) || p.Credits[id.Line].Type != id.Type {
		return nil
	}
	return &p.Credits[id.Line]
}

func (t *Terms) rank(typ string) int {
	for i, o := range t.DrawOrder {
		if o == typ {
			return i
		}
	}
	return len(t.DrawOrder)
}
