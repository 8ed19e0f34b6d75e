package ledger

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// NoLimit stands for "no limit" where an Amount limits something.
const NoLimit money.Amount = -1

// Terms is what the ledger must know of the price file. It is immutable.
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
	Lasts    calendar.Duration // zero: until changed
	WhenPaid bool              // the next period opens only when it is paid
	Prorate  bool              // entered under way, it grants in proportion to the time left

	Overage      bool // requests go on when grants are used up
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

// endsWithPlan: everything but rollover: all and one-time grants of their own life.
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

// plan is the plan of that id; a plan that the price file no longer has grants
// and permits nothing more.
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
