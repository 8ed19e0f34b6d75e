package ledger

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// recordVersion is the first byte of every stored record. Version 1 is read by
// what format1.go has; it is never written.
const recordVersion = 2

func (e *encoder) allocations(list []Allocation) {
	e.uint(uint64(len(list)))
	for _, x := range list {
		e.string(string(x.Grant))
		e.instance(x.Instance)
		e.string(x.Type)
		e.amount(x.Amount)
		e.amount(x.Base)
	}
}

func (d *decoder) allocations() (list []Allocation) {
	for range d.list() {
		x := Allocation{Grant: GrantID(d.string())}
		if d.v1 {
			x.Instance = instance1(x.Grant)
		} else {
			x.Instance = d.instance()
		}
		x.Type, x.Amount, x.Base = d.string(), d.amount(), d.amount()
		list = append(list, x)
	}
	return list
}

func (e *encoder) line(l LineID) {
	e.string(l.Plan)
	e.int(int64(l.Line))
	e.string(l.Type)
}

func (d *decoder) line() LineID {
	if d.v1 {
		return line1(d.string())
	}
	return LineID{Plan: d.string(), Line: int(d.int()), Type: d.string()}
}

func (e *encoder) instance(i Instance) {
	e.bool(i != Instance{})
	if i != (Instance{}) {
		e.line(i.LineID)
		e.time(i.Start)
	}
}

func (d *decoder) instance() (i Instance) {
	if d.bool() {
		i = Instance{d.line(), d.time()}
	}
	return i
}

func (e *encoder) counter(k CounterKey) {
	e.string(k.Plan)
	e.string(k.Free)
	e.string(k.Per)
	e.uint(uint64(k.Every))
	e.string(k.Who)
}

func (d *decoder) counter() CounterKey {
	if d.v1 {
		return counter1(d.string())
	}
	return CounterKey{Plan: d.string(), Free: d.string(), Per: d.string(), Every: calendar.Unit(d.uint()), Who: d.string()} //nolint:gosec // an unknown unit counts as the longest
}

func (e *encoder) labels(list []Label) {
	e.uint(uint64(len(list)))
	for _, l := range list {
		e.string(l.Name)
		e.string(l.Value)
	}
}

func (d *decoder) labels() (list []Label) {
	if d.v1 {
		return labels1(d.string())
	}
	for range d.list() {
		list = append(list, Label{d.string(), d.string()})
	}
	return list
}

func (e *encoder) usage(u Usage) {
	e.uint(uint64(len(u.Quantities)))
	for _, q := range u.Quantities {
		e.string(q.Unit)
		e.decimal(q.Count)
	}
	e.uint(uint64(len(u.Marks)))
	for _, m := range u.Marks {
		e.string(m.Name)
		e.string(m.Value)
	}
}

func (d *decoder) usage() (u Usage) {
	if d.v1 {
		return usage1(d.string())
	}
	for range d.list() {
		u.Quantities = append(u.Quantities, Quantity{d.string(), d.decimal()})
	}
	for range d.list() {
		u.Marks = append(u.Marks, Mark{d.string(), d.string()})
	}
	return u
}

func (e *encoder) deltas(list []CounterDelta) {
	e.uint(uint64(len(list)))
	for _, x := range list {
		e.counter(x.Key)
		e.time(x.Start)
		e.amount(x.Held)
		e.amount(x.Spent)
	}
}

func (d *decoder) deltas() (list []CounterDelta) {
	for range d.list() {
		list = append(list, CounterDelta{Key: d.counter(), Start: d.time(), Held: d.amount(), Spent: d.amount()})
	}
	return list
}

func (e *encoder) grant(g *Grant) {
	for _, s := range []string{string(g.ID), g.Type, g.Name, g.Replaces} {
		e.string(s)
	}
	e.uint(uint64(g.Origin.Kind))
	e.instance(g.Origin.Instance)
	e.string(g.Origin.Pack)
	e.string(string(g.Origin.Charge))
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

func (g *Grant) flags() [6]*bool {
	return [6]*bool{&g.Unlimited, &g.Paid, &g.Voided, &g.Parked, &g.EndsWith, &g.Renewed}
}

func (d *decoder) grant() *Grant {
	g := &Grant{ID: GrantID(d.string()), Type: d.string(), Name: d.string()}
	if d.v1 {
		g.Origin = origin1(g.ID, d.string())
		_ = d.string() // the schedule, which the id says, too
		g.Replaces = d.string()
	} else {
		g.Replaces = d.string()
		g.Origin = Origin{Kind: OriginKind(d.uint()), Instance: d.instance(), Pack: d.string(), Charge: ChargeID(d.string())} //nolint:gosec // an unknown kind is none
	}
	g.Amount, g.Available, g.Held, g.Gone, g.PaidDebt = d.amount(), d.amount(), d.amount(), d.amount(), d.amount()
	flags := d.uint()
	if d.v1 {
		flags = flags1(flags)
	}
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

func (e *encoder) lines(list []LineID) {
	e.uint(uint64(len(list)))
	for _, l := range list {
		e.line(l)
	}
}

func (d *decoder) lines() (list []LineID) {
	for range d.list() {
		list = append(list, d.line())
	}
	return list
}

func (e *encoder) cursor(m map[LineID]time.Time) {
	e.uint(uint64(len(m)))
	for _, l := range sortedKeys(m, LineID.compare) {
		e.line(l)
		e.time(m[l])
	}
}

func (d *decoder) cursor() (m map[LineID]time.Time) {
	for range d.list() {
		put(&m, d.line(), d.time())
	}
	return m
}

func (e *encoder) alerted(m map[AlertKey]time.Time) {
	e.uint(uint64(len(m)))
	for _, k := range sortedKeys(m, AlertKey.compare) {
		e.string(k.Plan)
		e.string(k.Threshold)
		e.bool(k.Lifted)
		e.time(m[k])
	}
}

func (d *decoder) alerted() (m map[AlertKey]time.Time) {
	for range d.list() {
		var k AlertKey
		if d.v1 {
			k = alert1(d.string())
		} else {
			k = AlertKey{Plan: d.string(), Threshold: d.string(), Lifted: d.bool()}
		}
		put(&m, k, d.time())
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
		e.decimal(t.Share)
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
