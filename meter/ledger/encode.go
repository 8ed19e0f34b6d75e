package ledger

import (
	"time"

	"github.com/farebox-dev/farebox/meter/selector"
)

// recordVersion is the first byte of every stored record.
const recordVersion = 1

func (e *encoder) allocations(list []Allocation) {
	e.uint(uint64(len(list)))
	for _, x := range list {
		e.string(string(x.Grant))
		e.string(x.Type)
		e.amount(x.Amount)
		e.amount(x.Base)
	}
}

func (d *decoder) allocations() (list []Allocation) {
	for range d.list() {
		list = append(list, Allocation{Grant: GrantID(d.string()), Type: d.string(), Amount: d.amount(), Base: d.amount()})
	}
	return list
}

func (e *encoder) deltas(list []CounterDelta) {
	e.uint(uint64(len(list)))
	for _, x := range list {
		e.string(x.Key)
		e.time(x.Start)
		e.amount(x.Held)
		e.amount(x.Spent)
	}
}

func (d *decoder) deltas() (list []CounterDelta) {
	for range d.list() {
		list = append(list, CounterDelta{Key: d.string(), Start: d.time(), Held: d.amount(), Spent: d.amount()})
	}
	return list
}

func (e *encoder) charge(c *Charge) {
	for _, s := range []string{string(c.ID), string(c.Account), c.Member, c.Key, c.Operation, c.Model, c.Book, c.Labels} {
		e.string(s)
	}
	e.string(c.Subject.Operation)
	e.string(c.Subject.Feature)
	e.strings(c.Subject.Tags)
	e.strings(c.Subject.Models)
	e.time(c.At)
	e.amount(c.Asked)
	e.amount(c.Hold)
	e.string(c.Times.String())
	e.allocations(c.Allocations)
	e.amount(c.Observed)
	e.deltas(c.Counters)
	e.string(c.Free)
	e.amount(c.FreeUsed)
	e.string(c.Idempotency)
	if c.Idempotency != "" {
		e.hash(c.Hash)
	}
	e.uint(uint64(c.State))
	if c.State == Held {
		return
	}
	e.bool(c.Abandoned)
	e.time(c.SettledAt)
	e.uint(c.Period)
	e.amount(c.Cost)
	e.allocations(c.Captures)
	e.amount(c.Absorbed)
	e.amount(c.Refunded)
	e.string(c.Outcome)
	e.string(c.Usage)
	e.bool(c.Estimated)
	e.int(int64(c.Status))
}

func (d *decoder) charge() *Charge {
	c := &Charge{
		ID: ChargeID(d.string()), Account: AccountID(d.string()), Member: d.string(), Key: d.string(),
		Operation: d.string(), Model: d.string(), Book: d.string(), Labels: d.string(),
		Subject: selector.Subject{Operation: d.string(), Feature: d.string(), Tags: d.strings(), Models: d.strings()},
		At:      d.time(), Asked: d.amount(), Hold: d.amount(), Times: d.decimal(), Allocations: d.allocations(), Observed: d.amount(), Counters: d.deltas(),
		Free: d.string(), FreeUsed: d.amount(), Idempotency: d.string(),
	}
	if c.Idempotency != "" {
		c.Hash = d.hash()
	}
	if c.State = ChargeState(d.uint()); c.State == Held { //nolint:gosec // an unknown state fails below
		return c
	}
	if c.State > Released {
		d.fail()
	}
	c.Abandoned = d.bool()
	c.SettledAt, c.Period, c.Cost, c.Captures, c.Absorbed, c.Refunded = d.time(), d.uint(), d.amount(), d.allocations(), d.amount(), d.amount()
	c.Outcome, c.Usage, c.Estimated, c.Status = d.string(), d.string(), d.bool(), int(d.int())
	return c
}

func (e *encoder) grant(g *Grant) {
	for _, s := range []string{string(g.ID), g.Type, g.Name, g.Source, g.Schedule, g.Replaces} {
		e.string(s)
	}
	e.amount(g.Amount)
	e.amount(g.Available)
	e.amount(g.Held)
	e.amount(g.Gone)
	e.amount(g.PaidDebt)
	flags := uint64(0)
	for i, f := range g.flags() {
		if *f {
			flags |= 1 << i
		}
	}
	e.uint(flags)
	e.time(g.EffectiveAt)
	e.time(g.ExpiresAt)
	e.time(g.Resume)
	e.selector(&g.OnlyFor)
	e.selector(&g.NotFor)
	e.uint(g.Seq)
}

func (g *Grant) flags() [7]*bool {
	return [7]*bool{&g.Unlimited, &g.Paid, &g.Voided, &g.Parked, &g.Kept, &g.EndsWith, &g.Renewed}
}

func (d *decoder) grant() *Grant {
	g := &Grant{
		ID: GrantID(d.string()), Type: d.string(), Name: d.string(), Source: d.string(), Schedule: d.string(), Replaces: d.string(),
		Amount: d.amount(), Available: d.amount(), Held: d.amount(), Gone: d.amount(), PaidDebt: d.amount(),
	}
	flags := d.uint()
	for i, f := range g.flags() {
		*f = flags&(1<<i) != 0
	}
	g.EffectiveAt, g.ExpiresAt, g.Resume, g.OnlyFor, g.NotFor, g.Seq = d.time(), d.time(), d.time(), d.selector(), d.selector(), d.uint()
	return g
}

func (e *encoder) grants(list []*Grant) {
	e.uint(uint64(len(list)))
	for _, g := range list {
		e.grant(g)
	}
}

func (d *decoder) grants() (list []*Grant) {
	for range d.list() {
		list = append(list, d.grant())
	}
	return list
}

func (e *encoder) subscription(s *Subscription) {
	e.bool(s != nil)
	if s == nil {
		return
	}
	e.string(s.Plan)
	for _, t := range []time.Time{s.Anchor, s.Since, s.Start, s.End, s.EndsAt, s.PaidUntil} {
		e.time(t)
	}
	e.uint(uint64(s.Then))
	e.string(s.ThenPlan)
}

func (d *decoder) subscription() *Subscription {
	if !d.bool() {
		return nil
	}
	return &Subscription{
		Plan: d.string(), Anchor: d.time(), Since: d.time(), Start: d.time(), End: d.time(), EndsAt: d.time(), PaidUntil: d.time(),
		Then: Then(d.uint()), ThenPlan: d.string(), //nolint:gosec // an unknown Then renews
	}
}

func (e *encoder) period(p *Period) {
	e.bool(p != nil)
	if p != nil {
		e.time(p.Start)
		e.time(p.End)
		e.amount(p.Overage)
	}
}

func (d *decoder) period() *Period {
	if !d.bool() {
		return nil
	}
	return &Period{Start: d.time(), End: d.time(), Overage: d.amount()}
}

func (e *encoder) times(m map[string]time.Time) {
	e.uint(uint64(len(m)))
	for _, k := range sortedKeys(m) {
		e.string(k)
		e.time(m[k])
	}
}

func (d *decoder) times() (m map[string]time.Time) {
	for range d.list() {
		put(&m, d.string(), d.time())
	}
	return m
}

func (e *encoder) watch(x *Watch) {
	e.bool(x.Own)
	e.uint(uint64(len(x.Thresholds)))
	for i := range x.Thresholds {
		t := &x.Thresholds[i]
		e.string(t.Text)
		e.bool(t.Percent)
		e.string(t.Share.String())
		e.amount(t.Amount)
	}
}

func (d *decoder) watch() *Watch {
	x := &Watch{Own: d.bool()}
	for range d.list() {
		x.Thresholds = append(x.Thresholds, Threshold{Text: d.string(), Percent: d.bool(), Share: d.decimal(), Amount: d.amount()})
	}
	return x
}

func (e *encoder) ids(list []GrantID) {
	e.uint(uint64(len(list)))
	for _, id := range list {
		e.string(string(id))
	}
}

func (d *decoder) ids() (list []GrantID) {
	for range d.list() {
		list = append(list, GrantID(d.string()))
	}
	return list
}
