// Package naive implements the ledger's rules a second time, as a reference for the
// simulation. It is written from the rules alone, without a journal, postings,
// counters or closed forms: time passes boundary by boundary, and caps are summed
// from all charges each time. It shares no code with package ledger and is slow.
package naive

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// Line is a line of a plan's credits.
type Line struct {
	Type      string
	Amount    int64
	Unlimited bool
	Every     calendar.Unit // 0: once
	Rollover  int64         // -1: all
	EndOfPlan bool
	NotPro    bool // does not pay for requests tagged "pro"
}

// Cap limits a member, a key or the account.
type Cap struct {
	Per    string
	Amount int64
	Every  calendar.Unit
}

// Plan is what a subscription grants.
type Plan struct {
	Billing  calendar.Unit
	Lines    []Line
	Lasts    calendar.Duration
	WhenPaid bool
	Prorate  bool
	Overage  bool
	Limit    int64 // -1: none
	Num, Den int64 // overage.times
	Caps     []Cap
}

// Book is all plans.
type Book struct {
	Plans     map[string]*Plan
	Default   string
	Zone      *time.Location
	Order     []string
	Overdraft int64
}

// Account is one account under the rules.
type Account struct {
	Book     *Book
	Now      time.Time
	Plan     string
	End      time.Time // of the billing period
	Debt     int64
	Absorbed int64
	Overage  int64 // of the billing period, settled
	Free     FreeTier

	created, anchor, since, start, endsAt, paid time.Time
	then, thenPlan                              string
	left                                        map[string]contract
	lapsed                                      *contract
	given                                       map[string]bool
	begun                                       map[line]time.Time
	lots                                        []*Lot
	payers                                      []*Lot // lots that have paid debt, in order of creation
	charges                                     map[string]*charge
	periods                                     int
}

type contract struct {
	plan                                   string
	anchor, since, start, end, ends, until time.Time
}

type line struct {
	plan string
	i    int
}

// Lot is credits that came together.
type Lot struct {
	line       line // plan "": none
	typ, as    string
	size, left int64
	unlimited  bool
	paid       bool
	voided     bool
	parked     bool
	kept       bool
	notPro     bool
	ends       bool // with its plan
	renewed    bool
	period     time.Time // start of its period
	from, end  time.Time
	resume     time.Time
	paidDebt   int64
}

// rhythm is what one cap counts over: whose, and how long.
type rhythm struct {
	per   string
	every calendar.Unit
}

type part struct {
	lot          *Lot
	kind         string // overage, debt; "" for a lot
	amount, base int64
}

type charge struct {
	pro      bool
	who      map[string]string // "member", "key", "account"
	plan     string
	starts   map[rhythm]time.Time // of the periods in which it counts against caps
	num, den int64
	hold     int64
	open     bool
	parts    []part
	refunded int64
	period   int
	cost     int64
	absorbed int64

	free      int64     // units of the free tier
	freeStart time.Time // of the month in which they count; zero: of one that is over
}

func (l *Lot) over(now time.Time) bool { return !l.end.IsZero() && !l.end.After(now) }

func (l *Lot) live(now time.Time) bool {
	return !l.parked && !l.voided && !l.from.After(now) && !l.over(now)
}

// New opens an account.
func New(b *Book, plan string, now time.Time) *Account {
	a := &Account{
		Book: b, Now: now, created: now, left: map[string]contract{}, given: map[string]bool{},
		begun: map[line]time.Time{}, charges: map[string]*charge{},
	}
	a.Free = FreeTier{a}
	a.enter(plan, now, time.Time{}, nil)
	return a
}

func (a *Account) plan() *Plan {
	if p := a.Book.Plans[a.Plan]; p != nil {
		return p
	}
	return &Plan{Billing: calendar.Month, Limit: -1, Num: 1, Den: 1}
}

// Available is what is left, by type, and whether a lot is unlimited.
func (a *Account) Available() (byType map[string]int64, unlimited bool) {
	byType = map[string]int64{}
	for _, l := range a.lots {
		if l.live(a.Now) {
			unlimited = unlimited || l.unlimited
			if l.left > 0 {
				byType[l.typ] += l.left
			}
		}
	}
	return byType, unlimited
}

// Held sums open holds.
func (a *Account) Held() (sum int64) {
	for _, c := range a.charges {
		if c.open {
			sum += total(c.parts)
		}
	}
	return sum
}

// Spent sums the costs of all charges, less refunds.
func (a *Account) Spent() (sum int64) {
	for _, c := range a.charges {
		if !c.open {
			sum += c.cost - c.refunded
		}
	}
	return sum
}

func total(parts []part) (sum int64) {
	for _, p := range parts {
		sum += p.amount
	}
	return sum
}

// prune removes lots that can never be drawn again.
func (a *Account) prune() {
	held := map[*Lot]bool{}
	for _, c := range a.charges {
		if c.open {
			for _, p := range c.parts {
				held[p.lot] = true
			}
		}
	}
	var keep []*Lot
	for _, l := range a.lots {
		if !l.over(a.Now) || held[l] {
			keep = append(keep, l)
		}
	}
	a.lots = keep
}
