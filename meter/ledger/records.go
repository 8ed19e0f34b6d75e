package ledger

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Stored records. Each begins with the version of its encoding, so that other
// versions can refuse or migrate it.

// AppendCharge encodes a charge.
func AppendCharge(b []byte, c *Charge) []byte {
	e := encoder(append(slices.Grow(b, 512), recordVersion))
	e.charge(c)
	return e
}

// DecodeCharge reads what AppendCharge wrote.
func DecodeCharge(b []byte) (*Charge, error) {
	d := decoder{b: b}
	d.version("charge")
	c := d.charge()
	return c, d.end()
}

func (e *encoder) charge(c *Charge) {
	for _, s := range []string{string(c.ID), string(c.Account), c.Member, c.Key, c.Operation, c.Model, c.Book} {
		e.string(s)
	}
	e.labels(c.Labels)
	e.string(c.Subject.Operation)
	e.string(c.Subject.Feature)
	e.strings(c.Subject.Tags)
	e.strings(c.Subject.Models)
	e.time(c.At)
	e.amount(c.Asked)
	e.amount(c.Hold)
	e.decimal(c.Times)
	e.allocations(c.Allocations)
	e.amount(c.Observed)
	e.deltas(c.Counters)
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
	e.usage(c.Usage)
	e.bool(c.Estimated)
	e.int(int64(c.Status))
}

func (d *decoder) charge() *Charge {
	c := &Charge{
		ID: ChargeID(d.string()), Account: AccountID(d.string()), Member: d.string(), Key: d.string(),
		Operation: d.string(), Model: d.string(), Book: d.string(), Labels: d.labels(),
		Subject: selector.Subject{Operation: d.string(), Feature: d.string(), Tags: d.strings(), Models: d.strings()},
		At:      d.time(), Asked: d.amount(), Hold: d.amount(), Times: d.decimal(), Allocations: d.allocations(), Observed: d.amount(), Counters: d.deltas(),
	}
	if d.v1 {
		_ = d.string() // which of the counters is that of the free tier
	}
	c.FreeUsed, c.Idempotency = d.amount(), d.string()
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
	c.Outcome, c.Usage, c.Estimated, c.Status = d.string(), d.usage(), d.bool(), int(d.int())
	return c
}

// AppendRemembered encodes the result under an idempotency key.
func AppendRemembered(b []byte, r *Remembered) []byte {
	e := encoder(append(slices.Grow(b, 512), recordVersion))
	e.string(r.Key)
	e.hash(r.Hash)
	e.string(string(r.Charge))
	e.string(string(r.Grant))
	e.time(r.At)
	e.amount(r.Amount)
	e.bytes(r.Answer)
	return e
}

// DecodeRemembered reads what AppendRemembered wrote.
func DecodeRemembered(b []byte) (*Remembered, error) {
	d := decoder{b: b}
	d.version("idempotency record")
	r := &Remembered{Key: d.string(), Hash: d.hash(), Charge: ChargeID(d.string()), Grant: GrantID(d.string()), At: d.time(), Amount: d.amount(), Answer: d.bytes()}
	return r, d.end()
}

// AppendEntry encodes a journal entry with its hash.
func AppendEntry(b []byte, x *Entry) []byte {
	e := encoder(x.appendBody(append(slices.Grow(b, 512), recordVersion)))
	e.hash(x.Hash)
	return e
}

// DecodeEntry reads what AppendEntry wrote.
func DecodeEntry(b []byte) (*Entry, error) {
	d := decoder{b: b}
	d.version("journal entry")
	x := d.entry()
	x.Hash = d.hash()
	return x, d.end()
}

// DecodeSealed is DecodeEntry, and reports whether the entry carries the hash
// that follows from head, the hash of the entry before it, and from its content
// as it was written.
func DecodeSealed(b []byte, head [32]byte) (x *Entry, sealed bool, err error) {
	if x, err = DecodeEntry(b); err != nil {
		return nil, false, err
	}
	h := sha256.New()
	h.Write(head[:])
	h.Write(b[1 : len(b)-len(x.Hash)]) // without version and hash
	var sum [32]byte
	h.Sum(sum[:0])
	return x, sum == x.Hash, nil
}

// appendBody encodes all of an entry but its hash.
func (x *Entry) appendBody(b []byte) []byte {
	e := encoder(b)
	e.string(string(x.Account))
	e.uint(x.Seq)
	e.time(x.At)
	e.uint(uint64(x.Kind))
	e.string(x.Reason)
	e.string(string(x.Charge))
	e.uint(uint64(len(x.Postings)))
	for _, p := range x.Postings {
		e.uint(uint64(p.Book))
		e.string(string(p.Grant))
		e.amount(p.Amount)
		e.string(string(p.From))
	}
	e.deltas(x.Counters)
	e.bool(x.Opened != nil)
	if x.Opened != nil {
		e.charge(x.Opened)
	}
	e.amount(x.Cost)
	e.int(int64(x.Ago))
	e.amount(x.Observed)
	e.bool(x.Outcome != nil)
	if o := x.Outcome; o != nil {
		e.string(o.Text)
		e.usage(o.Usage)
		e.string(o.Model)
		e.bool(o.Estimated)
		e.int(int64(o.Status))
	}
	x.appendRare(&e)
	return e
}

// appendRare encodes the fields that entries of most charges do not have.
func (x *Entry) appendRare(e *encoder) {
	switch x.Kind {
	case KindHold, KindExtend, KindObserve:
		return
	case KindOpened, KindPlan, KindPeriod, KindGrant, KindKept, KindExpire, KindSettle, KindRefund, KindRelease, KindVoid, KindAttribute, KindAlerts, KindAlert, KindErased:
	}
	e.grants(x.Grants)
	if x.Kind == KindSettle || x.Kind == KindRefund || x.Kind == KindRelease {
		return
	}
	e.subscription(x.Sub)
	e.subscription(x.Left)
	e.bool(x.Lapsed)
	e.ids(x.Park)
	e.ids(x.Unpark)
	e.period(x.Closed)
	e.lines(x.Given)
	e.cursor(x.Cursor)
	e.string(x.Name)
	e.bool(x.Suspend)
	e.bool(x.Watch != nil)
	if x.Watch != nil {
		e.watch(x.Watch)
	}
	e.string(x.Alert)
	e.alerted(x.Alerted)
}

func (d *decoder) entry() *Entry {
	x := &Entry{
		Account: AccountID(d.string()), Seq: d.uint(), At: d.time(), Kind: Kind(d.uint()), //nolint:gosec // an unknown kind folds to nothing and breaks the chain
		Reason: d.string(), Charge: ChargeID(d.string()),
	}
	for range d.list() {
		x.Postings = append(x.Postings, Posting{Book: Book(d.uint()), Grant: GrantID(d.string()), Amount: d.amount(), From: GrantID(d.string())}) //nolint:gosec // see above
	}
	x.Counters = d.deltas()
	if d.bool() {
		x.Opened = d.charge()
	}
	x.Cost, x.Ago, x.Observed = d.amount(), int(d.int()), d.amount()
	if d.bool() {
		x.Outcome = &Outcome{Text: d.string(), Usage: d.usage(), Model: d.string(), Estimated: d.bool(), Status: int(d.int())}
	}
	d.rare(x)
	return x
}

func (d *decoder) rare(x *Entry) {
	switch x.Kind {
	case KindHold, KindExtend, KindObserve:
		return
	case KindOpened, KindPlan, KindPeriod, KindGrant, KindKept, KindExpire, KindSettle, KindRefund, KindRelease, KindVoid, KindAttribute, KindAlerts, KindAlert, KindErased:
	}
	x.Grants = d.grants()
	if x.Kind == KindSettle || x.Kind == KindRefund || x.Kind == KindRelease {
		return
	}
	x.Sub, x.Left, x.Lapsed, x.Park, x.Unpark = d.subscription(), d.subscription(), d.bool(), d.ids(), d.ids()
	x.Closed, x.Given, x.Cursor, x.Name, x.Suspend = d.period(), d.lines(), d.cursor(), d.string(), d.bool()
	if d.bool() {
		x.Watch = d.watch()
	}
	x.Alert, x.Alerted = d.string(), d.alerted()
}

// AppendAccount encodes an account without its open holds, which are records
// of their own.
func AppendAccount(b []byte, a *Account) []byte {
	e := encoder(append(slices.Grow(b, 512), recordVersion))
	e.string(string(a.ID))
	e.string(a.Name)
	e.bool(a.Suspended)
	e.time(a.CreatedAt)
	e.time(a.Clock)
	e.uint(a.Seq)
	e.hash(a.Head)
	e.subscription(&a.Sub)
	e.uint(uint64(len(a.Left)))
	for _, k := range sortedKeys(a.Left, strings.Compare) {
		left := a.Left[k]
		e.subscription(&left)
	}
	e.subscription(a.Lapsed)
	e.lines(sortedKeys(a.Given, LineID.compare))
	e.cursor(a.Cursor)
	e.grants(a.Grants)
	e.uint(uint64(len(a.Counters)))
	for _, k := range sortedKeys(a.Counters, CounterKey.compare) {
		c := a.Counters[k]
		e.counter(k)
		e.time(c.Start)
		e.amount(c.Held)
		e.amount(c.Spent)
	}
	for _, f := range a.totals() {
		e.amount(*f)
	}
	e.period(&a.Closed)
	e.uint(a.Periods)
	e.watch(&a.Watch)
	e.alerted(a.Alerted)
	return e
}

// DecodeNames reads what an account is found by: the beginning of its record.
func DecodeNames(b []byte) (name, plan string, err error) {
	d := decoder{b: b}
	d.version("account")
	_ = d.string()
	name = d.string()
	_, _, _, _, _ = d.bool(), d.time(), d.time(), d.uint(), d.hash()
	if s := d.subscription(); s != nil {
		plan = s.Plan
	}
	return name, plan, d.err
}

// DecodeAccount reads what AppendAccount wrote.
func DecodeAccount(b []byte) (*Account, error) {
	d := decoder{b: b}
	d.version("account")
	a := &Account{
		ID: AccountID(d.string()), Name: d.string(), Suspended: d.bool(), CreatedAt: d.time(), Clock: d.time(), Seq: d.uint(), Head: d.hash(),
		Holds: map[ChargeID]*Charge{},
	}
	if s := d.subscription(); s != nil {
		a.Sub = *s
	}
	for range d.list() {
		if s := d.subscription(); s != nil {
			put(&a.Left, s.Plan, *s)
		}
	}
	a.Lapsed = d.subscription()
	for _, id := range d.lines() {
		put(&a.Given, id, true)
	}
	a.Cursor, a.Grants = d.cursor(), d.grants()
	for range d.list() {
		put(&a.Counters, d.counter(), Counter{Start: d.time(), Held: d.amount(), Spent: d.amount()})
	}
	for _, f := range a.totals() {
		*f = d.amount()
	}
	if p := d.period(); p != nil {
		a.Closed = *p
	}
	a.Periods = d.uint()
	a.Watch, a.Alerted = *d.watch(), d.alerted()
	return a, d.end()
}

func (a *Account) totals() [10]*money.Amount {
	return [10]*money.Amount{
		&a.Issued, &a.Spent, &a.Expired, &a.Revoked, &a.Overage, &a.OverageHeld, &a.OveragePeriod, &a.Debt, &a.Absorbed, &a.LastGrant,
	}
}
