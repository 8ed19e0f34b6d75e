package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger/internal/naive"
	"github.com/farebox-dev/farebox/meter/money"
)

// Random commands on random plans with a clock that jumps. After every step all
// invariants hold, the account is what a second, naive implementation of the
// rules comes to, and now and then the state is the fold of the journal.
// FAREBOX_SIM_STEPS makes a longer run; FAREBOX_SEED repeats one.
func TestSimulation(t *testing.T) {
	const stepsPerRun, workers, every = 120, 2, 2_000_000
	steps, why := 1_000_000, ""
	switch {
	case os.Getenv("FAREBOX_SIM_STEPS") != "":
		steps, _ = strconv.Atoi(strings.ReplaceAll(os.Getenv("FAREBOX_SIM_STEPS"), "_", ""))
	case raceDetector:
		steps, why = 60_000, " (fewer, because of -race)"
	case testing.Short():
		steps, why = 60_000, " (fewer, because of -short)"
	}
	seed := seed.Of(t)
	runs := (steps + stepsPerRun - 1) / stepsPerRun
	t.Logf("FAREBOX_SEED=%d: %d runs of %d steps%s", seed, runs, stepsPerRun, why)
	began := time.Now()
	var done, entries atomic.Int64
	t.Run("workers", func(t *testing.T) {
		for w := range workers {
			t.Run(strconv.Itoa(w), func(t *testing.T) {
				t.Parallel()
				for run := w; run < runs; run += workers {
					entries.Add(simulate(t, seed, uint64(run), stepsPerRun)) //nolint:gosec // not negative
					if n := done.Add(stepsPerRun); n/every != (n-stepsPerRun)/every {
						t.Logf("%d steps so far, in %s", n, time.Since(began).Round(time.Second))
					}
				}
			})
		}
	})
	if !t.Failed() {
		t.Logf("%d steps, %d journal entries in %s, 0 violations", done.Load(), entries.Load(), time.Since(began).Round(time.Second))
	}
}

// simulate is one run; seed and run alone decide what happens in it. What goes
// wrong is reported with the shortest sequence of commands that shows it.
func simulate(t *testing.T, seed, run uint64, steps int) (entries int64) {
	r := trial{t: t, seed: seed, run: run}
	commands := r.commands(steps)
	entries, problem := r.do(commands)
	if problem != nil {
		t.Fatal(r.report(commands, problem))
	}
	return entries
}

type sim struct {
	*book
	dice  *rand.PCG
	rng   *rand.Rand
	naive *naive.Account
	open  map[ChargeID]bool
	left  map[ChargeID]bool // abandoned: resolved on a guess
	given map[GrantID]*naive.Lot
	log   []string
}

var simPlans = []string{"free", "basic", "keep", "all", "over", "paid", "trial", "nolim", "capped", "half"}

func newSim(t testing.TB, seed, run uint64) *sim {
	rng := rand.New(rand.NewPCG(run, seed))
	terms := testTerms()
	terms.DefaultPlan = []string{"free", "free", "", "keep", "trial"}[rng.IntN(5)]
	terms.Overdraft = []money.Amount{50, 0, 600}[rng.IntN(3)]
	terms.Zone = []*time.Location{berlin(), time.UTC, time.FixedZone("", -11*3600)}[rng.IntN(3)]
	if rng.IntN(3) == 0 {
		terms.DrawOrder = nil
	}
	for _, id := range simPlans {
		terms.Plans[id].Prorate = terms.Plans[id].Prorate || rng.IntN(3) == 0
	}
	if rng.IntN(2) == 0 {
		terms.Alerts = []Threshold{{Text: "20%", Percent: true, Share: decimal("0.2")}, {Text: "overage_above 30", Amount: 30, Overage: true}}
	}
	return newSimOn(t, terms, simPlans[rng.IntN(len(simPlans))], seed, run)
}

func newSimOn(t testing.TB, terms *Terms, plan string, seed, run uint64) *sim {
	s := &sim{dice: rand.NewPCG(seed, run), open: map[ChargeID]bool{}, left: map[ChargeID]bool{}, given: map[GrantID]*naive.Lot{}}
	s.rng = rand.New(s.dice)
	s.book = newBookOn(t, terms, plan, "2026-01-30T22:10:00Z")
	s.naive = naive.New(naiveBook(s.terms), plan, s.now)
	s.note("on %s, default %q, overdraft %d, zone %s, order %v, prorated %v", plan, terms.DefaultPlan, terms.Overdraft, terms.Zone, terms.DrawOrder, proratedPlans(terms))
	return s
}

func proratedPlans(t *Terms) (list []string) {
	for _, id := range simPlans {
		if t.Plans[id].Prorate {
			list = append(list, id)
		}
	}
	return list
}

// naiveBook says the terms in the naive model's words.
func naiveBook(t *Terms) *naive.Book {
	b := &naive.Book{Plans: map[string]*naive.Plan{}, Default: t.DefaultPlan, Zone: t.Zone, Order: t.DrawOrder, Overdraft: int64(t.Overdraft)}
	for id, p := range t.Plans {
		n := &naive.Plan{Billing: p.Billing, Lasts: p.Lasts, WhenPaid: p.WhenPaid, Prorate: p.Prorate, Overage: p.Overage, Limit: int64(p.OverageLimit), Num: 1, Den: 1}
		if !p.OverageTimes.IsZero() {
			n.Num, n.Den = 3, 2 // the only factor in testTerms
		}
		for _, c := range p.Credits {
			n.Lines = append(n.Lines, naive.Line{
				Type: c.Type, Amount: int64(c.Amount), Unlimited: c.Unlimited, Every: c.Every, Rollover: int64(c.Rollover),
				EndOfPlan: c.EndOfPlan, NotPro: !c.NotFor.Empty(),
			})
		}
		for _, c := range p.Caps {
			n.Caps = append(n.Caps, naive.Cap{Per: c.Per, Amount: int64(c.Amount), Every: c.Every})
		}
		b.Plans[id] = n
	}
	return b
}

func (s *sim) note(format string, args ...any) {
	s.log = append(s.log, s.now.Format(time.RFC3339)+" "+fmt.Sprintf(format, args...))
}

// try does what a command's number stands for.
func (s *sim) try(command uint64) (problem any) {
	s.dice.Seed(command, command)
	return s.guard(s.step)
}

// guard does a step and says what is wrong after it.
func (s *sim) guard(step func()) (problem any) {
	defer func() {
		if p := recover(); p != nil {
			problem = p
		}
	}()
	step()
	if err := s.a.CheckHolds(); err != nil {
		return err
	}
	for i, g := range s.a.Grants {
		if s.a.Grant(g.ID) != s.a.Grants[i] {
			return fmt.Sprintf("grant %s is there twice", g.ID)
		}
	}
	if difference := s.compare(); difference != "" {
		return difference
	}
	return nil
}

// compare names the first figure in which ledger and naive model differ.
func (s *sim) compare() string {
	s.must(Touch{})
	s.naive.Pass(s.now)
	types, unlimited := s.naive.Available()
	have := map[string]int64{}
	for _, g := range s.a.Grants {
		if g.Live(s.now) && g.Available > 0 {
			have[g.Type] += int64(g.Available)
		}
	}
	_, isUnlimited := s.a.Available(s.now)
	n := s.naive
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"plan", s.a.Sub.Plan, n.Plan},
		{"period end", s.a.Sub.End.Unix(), n.End.Unix()},
		{"available", fmt.Sprint(have), fmt.Sprint(types)},
		{"unlimited", isUnlimited, unlimited},
		{"held", int64(s.a.HeldTotal()), n.Held()},
		{"spent", int64(s.a.SpentNet()), n.Spent()},
		{"overage", int64(s.a.OveragePeriod), n.Overage},
		{"debt", int64(s.a.Debt), n.Debt},
		{"absorbed", int64(s.a.Absorbed), n.Absorbed},
	} {
		if x.got != x.want {
			return fmt.Sprintf("%s is %v, the naive model says %v", x.what, x.got, x.want)
		}
	}
	return ""
}

// pick is one of a set, the same one for the same seed.
func pick[K ~string, V any](s *sim, m map[K]V) (K, bool) {
	keys := slices.Sorted(maps.Keys(m))
	if len(keys) == 0 {
		return "", false
	}
	return keys[s.rng.IntN(len(keys))], true
}

func (s *sim) agree(what string, got, want bool) {
	if got != want {
		panic(fmt.Sprintf("%s: %t, the naive model says %t", what, got, want))
	}
}

func (s *sim) step() {
	switch n := s.rng.IntN(20); {
	case n == 0:
		s.now = s.now.Add(time.Duration(s.rng.IntN(40*24)) * time.Hour)
		s.note("later")
	case n <= 2:
		s.now = s.now.Add(time.Duration(s.rng.IntN(3600*30)) * time.Second)
		s.note("later")
	case n <= 6:
		s.naive.Pass(s.now)
		s.reserve()
	case n <= 12:
		s.naive.Pass(s.now)
		s.resolve(n)
	case n <= 16:
		s.naive.Pass(s.now)
		s.operate(n)
	case n == 17:
		s.naive.Pass(s.now)
		s.abandon()
	default:
		s.naive.Pass(s.now)
		s.late()
	}
}

// abandon resolves a hold on a guess, as its lapsed lease does.
func (s *sim) abandon() {
	id, ok := pick(s, s.open)
	if !ok {
		return
	}
	delete(s.open, id)
	s.left[id] = true
	if s.rng.IntN(2) == 0 {
		s.note("abandon %s: release", id)
		s.must(Release{Charge: id, Failed: true, Abandoned: true})
		s.naive.Release(string(id))
		s.naive.Free.Use(string(id), 0)
		return
	}
	cost := min(s.a.Holds[id].Hold, money.Amount(s.rng.IntN(200)))
	s.note("abandon %s: settle %d", id, cost)
	s.must(Settle{Charge: id, Cost: cost, Abandoned: true})
	s.naive.Settle(string(id), int64(cost))
}

// late ends an abandoned charge as it really ended, and then again: the same is
// no news, another is a conflict.
func (s *sim) late() {
	id, ok := pick(s, s.left)
	if !ok {
		return
	}
	delete(s.left, id)
	cost := money.Amount(s.rng.IntN(300))
	var c Command = Settle{Charge: id, Cost: cost}
	if cost%3 == 0 {
		c, cost = Release{Charge: id, Failed: true}, 0
	}
	if s.charges[id].Refunded > 0 {
		_, err := s.do(c)
		s.agree("late end of a refunded charge", errors.Is(err, ErrConflict), true)
		return
	}
	if _, settles := c.(Settle); settles {
		var claim money.Amount
		var err error
		cost, claim, err = s.priced(id, cost, func(cost money.Amount, f *FreeClaim) Command {
			c = Settle{Charge: id, Cost: cost, Free: f}
			return c
		})
		s.agree("late settle", err == nil, true)
		s.note("late %s: %d (%d free)", id, cost, claim)
		if claim >= 0 {
			s.naive.Free.Use(string(id), int64(claim))
		}
	} else {
		s.note("late %s: released", id)
		s.must(c)
		s.naive.Free.Use(string(id), 0)
	}
	s.naive.Correct(string(id), int64(cost))
	if r := s.must(c); !r.Replayed {
		panic("the late end was booked twice")
	}
	_, err := s.do(Settle{Charge: id, Cost: cost + 1})
	s.agree("another end after the late one", errors.Is(err, ErrConflict), true)
}

func (s *sim) reserve() {
	s.n++
	c := &Charge{ID: ChargeID("ch_" + strconv.Itoa(s.n)), Member: []string{"", "ann", "ben"}[s.rng.IntN(3)], Key: []string{"", "k1", "k2"}[s.rng.IntN(3)]}
	pro := s.rng.IntN(3) == 0
	if pro {
		c.Subject.Tags = []string{"pro"}
	}
	amount := money.Amount(s.rng.IntN(250))
	caps, same := s.ownCaps()
	amount, claim, err := s.priced("", amount, func(cost money.Amount, f *FreeClaim) Command {
		return Reserve{Charge: c, Amount: cost, Plan: AnyPlan, Caps: caps, Free: f}
	})
	s.note("reserve %s %d (%d free) %q %q pro %t caps %v: %v", c.ID, amount, claim, c.Member, c.Key, pro, caps, err)
	s.agree("reserve", err == nil, s.naive.Reserve(string(c.ID), c.Member, c.Key, pro, same, int64(amount)))
	if err == nil {
		s.open[c.ID] = true
		if claim >= 0 {
			s.naive.Free.Claim(string(c.ID), int64(claim))
		}
	}
}

// priced does a command that costs a credit for each of units that is not free.
// It assumes any rest of the free tier first. claim is -1 if there is none.
func (s *sim) priced(id ChargeID, units money.Amount, command func(cost money.Amount, f *FreeClaim) Command) (cost, claim money.Amount, err error) {
	const free = 400
	tiered := s.rng.IntN(2) == 0
	if c := s.a.Holds[id]; c != nil {
		tiered = hasFreeTier(c)
	} else if id != "" {
		tiered = hasFreeTier(s.charges[id])
	}
	if !tiered {
		_, err = s.do(command(units, nil))
		return units, -1, err
	}
	left := money.Amount(s.rng.IntN(free + 1))
	for range 2 {
		claim = min(left, units)
		_, err = s.do(command(units-claim, &FreeClaim{Counter: "scan", Every: calendar.Month, Units: free, Left: left, Claim: claim}))
		var other *OtherFree
		if !errors.As(err, &other) {
			return units - claim, claim, err
		}
		left = other.Left
		if n := s.naive.Free.Left(string(id), free); n != int64(left) {
			panic(fmt.Sprintf("%d units are left, the naive model says %d", left, n))
		}
	}
	panic("the rest of the free tier is not what the ledger said")
}

// ownCaps are caps of a member's own, now and then.
func (s *sim) ownCaps() (caps []Cap, same []naive.Cap) {
	switch s.rng.IntN(5) {
	case 0:
		caps = []Cap{{"member", money.Amount(s.rng.IntN(300)), calendar.Month}}
	case 1:
		caps = []Cap{{"member", 90, calendar.Week}, {"member", 200, calendar.Month}}
	}
	for _, c := range caps {
		same = append(same, naive.Cap{Per: c.Per, Amount: int64(c.Amount), Every: c.Every})
	}
	return caps, same
}

func (s *sim) resolve(n int) {
	id, ok := pick(s, s.open)
	if n == 12 {
		id, ok = pick(s, s.charges)
	}
	if !ok {
		return
	}
	switch {
	case n <= 9:
		delete(s.open, id)
		cost, claim, err := s.priced(id, money.Amount(s.rng.IntN(300)), func(cost money.Amount, f *FreeClaim) Command {
			return Settle{Charge: id, Cost: cost, Free: f}
		})
		s.note("settle %s %d (%d free): %v", id, cost, claim, err)
		s.agree("settle", err == nil, true)
		s.naive.Settle(string(id), int64(cost))
		if claim >= 0 {
			s.naive.Free.Use(string(id), int64(claim))
		}
	case n == 10:
		delete(s.open, id)
		s.note("release %s", id)
		s.must(Release{Charge: id, Failed: s.rng.IntN(2) == 0})
		s.naive.Release(string(id))
		s.naive.Free.Use(string(id), 0)
	case n == 11:
		amount := s.a.Holds[id].Hold + money.Amount(s.rng.IntN(60))
		caps, same := s.ownCaps()
		_, err := s.do(Extend{Charge: id, Amount: amount, Caps: caps})
		s.note("extend %s to %d caps %v: %v", id, amount, caps, err)
		s.agree("extend", err == nil, s.naive.Extend(string(id), same, int64(amount)))
	default:
		left := s.charges[id].Net()
		amount := money.Amount(s.rng.IntN(int(left) + 1))
		s.note("refund %s %d of %d", id, amount, left)
		s.must(Refund{Charge: id, Amount: amount})
		if amount == 0 {
			amount = left
		}
		if amount == left {
			s.naive.Free.Use(string(id), 0)
		}
		s.naive.Refund(string(id), int64(amount))
	}
}

func (s *sim) operate(n int) {
	switch n {
	case 13:
		s.n++
		id := GrantID("gr_" + strconv.Itoa(s.n))
		g := Give{
			Grant: id, Type: []string{"top_up", "promo"}[s.rng.IntN(2)], Amount: money.Amount(1 + s.rng.IntN(200)), Paid: s.rng.IntN(2) == 0,
			Expires: calendar.Duration{Count: s.rng.IntN(40), Unit: calendar.Day},
		}
		s.note("give %s %s %d paid %t for %d days", id, g.Type, g.Amount, g.Paid, g.Expires.Count)
		s.must(g)
		end := time.Time{}
		if g.Expires.Count > 0 {
			end = g.Expires.After(s.now, s.terms.Zone)
		}
		s.given[id] = s.naive.Give(g.Type, int64(g.Amount), g.Paid, end)
	case 14:
		plan, atRenewal := simPlans[s.rng.IntN(len(simPlans))], s.rng.IntN(2) == 0
		renewsAt := time.Time{}
		if s.rng.IntN(3) == 0 { // mostly within a month, now and then in the past or too far
			renewsAt = s.now.Add(time.Duration(s.rng.Int64N(int64(36*24*time.Hour))) - 24*time.Hour)
		}
		_, err := s.do(SetPlan{Plan: plan, AtRenewal: atRenewal, RenewsAt: renewsAt})
		s.note("plan %s, at the renewal %t, renews at %s: %v", plan, atRenewal, renewsAt, err)
		s.agree("plan", err == nil, s.naive.SetPlan(plan, atRenewal, renewsAt))
	case 15:
		now := s.rng.IntN(2) == 0
		if s.rng.IntN(2) == 0 {
			_, err := s.do(Cancel{Now: now})
			s.note("cancel, now %t: %v", now, err)
			s.agree("cancel", err == nil, s.naive.Cancel(now))
			return
		}
		_, err := s.do(Renew{})
		s.note("renew: %v", err)
		s.agree("renew", err == nil, s.naive.Renew())
	default:
		id, ok := pick(s, s.given)
		if !ok || s.a.Grant(id) == nil || s.a.Grant(id).Voided || s.rng.IntN(2) == 0 {
			return
		}
		s.note("void %s", id)
		s.must(Void{Grant: id})
		s.given[id].Void()
	}
}

func hasFreeTier(c *Charge) bool {
	return slices.ContainsFunc(c.Counters, func(d CounterDelta) bool { return !d.Key.isCap() })
}
