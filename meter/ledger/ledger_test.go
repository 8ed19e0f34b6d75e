package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func decimal(s string) money.Decimal {
	d, err := money.ParseDecimal(s)
	if err != nil {
		panic(err)
	}
	return d
}

var berlin = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return zone
})

func testTerms() *Terms {
	pro := selector.Selector{Tags: []string{"pro"}}
	t := &Terms{
		Zone: berlin(), DefaultPlan: "free", DrawOrder: []string{"free", "subscription", "top_up"}, Overdraft: 50, Decimals: 0,
		Plans: map[string]*Plan{
			"free":   {Billing: calendar.Month, Credits: []Schedule{{Type: "free", Amount: 100, Every: calendar.Day, NotFor: pro}}},
			"basic":  {Billing: calendar.Month, Credits: []Schedule{{Type: "subscription", Amount: 500, Every: calendar.Month}}},
			"keep":   {Billing: calendar.Month, Credits: []Schedule{{Type: "subscription", Amount: 300, Every: calendar.Week, Rollover: 120}}},
			"all":    {Billing: calendar.Year, Credits: []Schedule{{Type: "subscription", Amount: 200, Every: calendar.Month, Rollover: NoLimit}}},
			"over":   {Billing: calendar.Quarter, Overage: true, OverageLimit: 90, OverageTimes: decimal("1.5"), Credits: []Schedule{{Type: "subscription", Amount: 150, Every: calendar.Month}}},
			"paid":   {Billing: calendar.Month, WhenPaid: true, Credits: []Schedule{{Type: "subscription", Amount: 400, Every: calendar.Month}}},
			"half":   {Billing: calendar.Month, Prorate: true, Credits: []Schedule{{Type: "subscription", Amount: 310, Every: calendar.Month}, {Type: "top_up", Amount: 77, Every: calendar.Week, Rollover: 20}}},
			"trial":  {Billing: calendar.Month, Lasts: calendar.Duration{Count: 14, Unit: calendar.Day}, Credits: []Schedule{{Type: "trial", Amount: 50, EndOfPlan: true}}},
			"nolim":  {Billing: calendar.Month, Credits: []Schedule{{Type: "subscription", Unlimited: true}, {Type: "free", Amount: 7, Every: calendar.Hour}}},
			"capped": {Billing: calendar.Month, Caps: []Cap{{"member", 60, calendar.Month}, {"key", 30, calendar.Day}, {"account", 200, calendar.Week}}, Credits: []Schedule{{Type: "subscription", Amount: 900, Every: calendar.Month}}},
		},
	}
	for id, p := range t.Plans {
		p.ID = id
		if !p.Overage {
			p.OverageLimit = NoLimit
		}
	}
	return t
}

// book is a test's account with its journal and charges.
type book struct {
	t       testing.TB
	a       *Account
	terms   *Terms
	now     time.Time
	journal []Entry
	charges map[ChargeID]*Charge
	keys    map[string]*Remembered
	n       int
}

func newBook(t testing.TB, plan, start string) *book {
	return newBookOn(t, testTerms(), plan, start)
}

func newBookOn(t testing.TB, terms *Terms, plan, start string) *book {
	b := &book{t: t, a: &Account{}, terms: terms, now: at(start), charges: map[ChargeID]*Charge{}, keys: map[string]*Remembered{}}
	b.must(Open{ID: "acme", Plan: plan})
	return b
}

func (b *book) do(c Command) (Result, error) {
	env := Env{Now: b.now, Terms: b.terms}
	key := ""
	switch c := c.(type) {
	case Reserve:
		env.Charge = b.charges[c.Charge.ID]
	case Renew:
		key = c.Idempotency
	case Settle:
		env.Charge = b.charges[c.Charge]
	case Release:
		env.Charge = b.charges[c.Charge]
	case Refund:
		env.Charge = b.charges[c.Charge]
		key = c.Idempotency
	}
	env.Remembered = b.keys[key]
	r, err := Apply(b.a, c, env)
	if key != "" && r.Remember != nil {
		b.keys[key] = r.Remember
	}
	b.journal = append(b.journal, r.Entries...)
	if r.Charge != nil && r.Charge.State != Held {
		b.charges[r.Charge.ID] = r.Charge
	}
	return r, err
}

func (b *book) must(c Command) Result {
	b.t.Helper()
	r, err := b.do(c)
	if err != nil {
		b.t.Fatalf("%+v: %v", c, err)
	}
	return r
}

func (b *book) hold(amount money.Amount) *Charge {
	b.t.Helper()
	b.n++
	return b.must(Reserve{Charge: &Charge{ID: ChargeID("ch_" + strconv.Itoa(b.n))}, Amount: amount, Plan: AnyPlan}).Charge
}

func (b *book) available() money.Amount {
	b.must(Touch{})
	n, _ := b.a.Available(b.now)
	return n
}

func (b *book) wants(available money.Amount, what string) {
	b.t.Helper()
	if got := b.available(); got != available {
		b.t.Errorf("%s: %d available, want %d", what, got, available)
	}
}

// prove checks every invariant that can be seen from outside.
func (b *book) prove() {
	b.t.Helper()
	if err := b.a.Check(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.a.CheckHolds(); err != nil {
		b.t.Fatal(err)
	}
	again, head := &Account{}, [32]byte{}
	for i := range b.journal {
		e, sealed, err := DecodeSealed(AppendEntry(nil, &b.journal[i]), head)
		if err != nil {
			b.t.Fatalf("entry %d does not survive its encoding: %v", i, err)
		}
		if !sealed {
			b.t.Fatalf("entry %d: the chain is broken", i)
		}
		head = e.Hash
		again.Fold(e)
	}
	if !bytes.Equal(AppendAccount(nil, again), AppendAccount(nil, b.a)) || len(again.Holds) != len(b.a.Holds) {
		b.t.Fatalf("the state is not the fold of the journal:\n%+v\n%+v", again, b.a)
	}
	decoded, err := DecodeAccount(AppendAccount(nil, b.a))
	if err != nil || !bytes.Equal(AppendAccount(nil, decoded), AppendAccount(nil, b.a)) {
		b.t.Fatalf("the account does not survive its encoding: %v", err)
	}
}

func TestRefundsGoToTheSameGrantsInReverse(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 200})
	h := b.hold(650)
	r := b.must(Settle{Charge: h.ID, Cost: 600})
	if d := r.Charge.Drawn(); d["subscription"] != 500 || d["top_up"] != 100 {
		t.Errorf("drawn %v", d)
	}
	b.must(Refund{Charge: h.ID, Amount: 150})
	if g := b.a.Grant("gr_1"); g.Available != 200 {
		t.Errorf("the pack has %d, want its 200 back first", g.Available)
	}
	b.wants(250, "after a part refund")
	b.must(Refund{Charge: h.ID})
	b.wants(700, "after the rest")
	if _, err := b.do(Refund{Charge: h.ID, Amount: 1}); !errors.Is(err, ErrRefundTooLarge) {
		t.Errorf("a third refund: %v", err)
	}
	b.prove()
}

func TestAHoldResolvesOnce(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(100)
	b.must(Settle{Charge: h.ID, Cost: 40})
	if r := b.must(Settle{Charge: h.ID, Cost: 40}); !r.Replayed || len(r.Entries) > 0 {
		t.Errorf("the same settle again: %+v", r)
	}
	if _, err := b.do(Settle{Charge: h.ID, Cost: 41}); !errors.Is(err, ErrConflict) {
		t.Errorf("another settle: %v", err)
	}
	if _, err := b.do(Release{Charge: h.ID}); !errors.Is(err, ErrConflict) {
		t.Errorf("a release after the settle: %v", err)
	}
	b.wants(460, "after one settle")
	b.prove()
}

func TestSwitchingPlansGainsNothing(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(450)
	b.must(Settle{Charge: h.ID, Cost: 450})
	for range 5 {
		b.now = b.now.Add(time.Hour)
		b.must(SetPlan{Plan: "capped"})
		b.now = b.now.Add(time.Hour)
		b.must(SetPlan{Plan: "basic"})
		b.wants(50, "back on the first plan")
	}
	b.must(SetPlan{Plan: "basic"})
	b.wants(50, "the same plan again")
	b.prove()
}

func TestAHoldTakenBeforeARenewalDoesNotLandOnTheNextAllowance(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(300)
	b.now = at("2026-12-13T00:00:00Z")
	b.wants(500, "after the renewal")
	b.must(Release{Charge: h.ID, Failed: true})
	b.wants(500, "after the refund of last month's hold")
	b.prove()
}

func TestARenamedLineOfThePriceFileGrantsNothingTwice(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.terms = testTerms()
	b.terms.Plans["basic"].Credits[0].Type = "monthly"
	b.wants(500, "after the reload")
	b.now = at("2026-12-12T00:00:00Z")
	b.wants(500, "after the renewal")
	b.prove()
}

func TestSleptThroughPeriodsEqualThoseTouched(t *testing.T) {
	for plan := range testTerms().Plans {
		asleep, awake := newBook(t, plan, "2026-01-31T10:30:00Z"), newBook(t, plan, "2026-01-31T10:30:00Z")
		for range 1200 {
			awake.now = awake.now.Add(7 * time.Hour)
			awake.must(Touch{})
		}
		asleep.now = awake.now
		got, want := asleep.available(), awake.available()
		if got != want || asleep.a.Sub.End != awake.a.Sub.End || asleep.a.Sub.Plan != awake.a.Sub.Plan {
			t.Errorf("%s: asleep %d on %q until %s, awake %d on %q until %s", plan, got, asleep.a.Sub.Plan, asleep.a.Sub.End, want, awake.a.Sub.Plan, awake.a.Sub.End)
		}
		asleep.prove()
		awake.prove()
	}
}

func TestTwentyReservesOf75Against500GrantExactlySix(t *testing.T) {
	b, ok := newBook(t, "basic", "2026-11-12T00:00:00Z"), 0
	for i := range 20 {
		_, err := b.do(Reserve{Charge: &Charge{ID: ChargeID(fmt.Sprint("ch_", i))}, Amount: 75, Plan: AnyPlan})
		if err == nil {
			ok++
			continue
		}
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != InFlightHolds {
			t.Errorf("reserve %d: %v", i, err)
		}
	}
	if ok != 6 {
		t.Errorf("%d of 20 were admitted, want 6", ok)
	}
	b.prove()
}
