package pricing

import (
	"errors"
	"sync"

	"github.com/farebox-dev/farebox/meter/money"
)

// calculation is one price being computed. It is large, so it is pooled.
type calculation struct {
	r       *Request
	entry   *Model // by which the model's part is priced, or nil
	tokens  Tokens
	usage   *Usage // nil before the answer
	unsaid  bool   // what the answer does not say counts as asked for
	plan    *Plan
	free    FreeLeft
	covered money.Decimal // by the free tier, of its unit
	c       circumstances
	strict  bool // a condition on no number refuses the request
	trace   trace
	known   map[string]verdict // of conditions, from a record; nil: they are decided by c

	table   *Table // in force
	work    Table  // a copy of it, once an adjustment has changed it
	byModel bool   // the table in force is the model's

	quantityRoom [4]quantity
	answerRoom   [12]value
}

var calculations = sync.Pool{New: func() any { return new(calculation) }}

func newCalculation(r *Request, entry *Model, plan *Plan, free FreeLeft) *calculation {
	k := calculations.Get().(*calculation)
	k.r, k.entry, k.plan, k.free = r, entry, plan, free
	return k
}

// done gives the calculation back, without what it points to.
func (k *calculation) done() {
	clear(k.trace.steps)
	*k = calculation{trace: trace{steps: k.trace.steps[:0]}}
	calculations.Put(k)
}

// price computes, in the order of the price file's documentation: rates,
// model adjust, operation adjust, quantity, markup, discount, minimum and
// maximum, and the one rounding.
func (k *calculation) price(times money.Decimal) (Quote, error) {
	q := Quote{}
	if k.entry != nil && k.r.op.Price.ByModel {
		q.Model = k.entry.Key
	}
	if covered := k.coverFree(&q); covered {
		k.trace.add(step{label: "free tier", line: k.r.op.Line, col: k.r.op.Column})
		return q, nil
	}
	k.c.input = fromCount(k.tokens.InputSide())
	k.c.output = fromCount(k.tokens.OutputSide())
	k.c.tokens = true
	if err := k.rates(); err != nil {
		return q, err
	}
	if k.entry != nil && k.byModel {
		q.Model = k.entry.Key
	}
	k.finish(times)
	var err error
	q.Amount, err = k.trace.total.Ceil(k.r.book.Credit.Decimals)
	if errors.Is(err, money.ErrOverflow) {
		return q, refuse(400, QuantityTooLarge, "", "the price of this request is too large")
	}
	return q, err
}

// finish goes from the sum of the rates to the price before its rounding.
func (k *calculation) finish(times money.Decimal) {
	op, t := k.r.op, k.table
	k.trace.times = times
	if m := op.Quantity; m != nil {
		k.trace.add(step{label: "quantity", field: m.Field, n: times, total: k.trace.total.Mul(times), line: m.Line, col: m.Column})
	}
	if k.byModel && !k.r.book.Markup.IsZero() {
		k.trace.add(step{label: "markup", n: k.r.book.Markup, total: k.trace.total.Mul(k.r.book.markedUp)})
	}
	if p := k.plan; p != nil && p.keep.Set {
		k.trace.add(step{label: "plan", plan: p, total: k.trace.total.Mul(p.keep.Value), line: p.Line, col: p.Column})
	}
	if t.Minimum.Set && k.trace.total.Cmp(t.Minimum.Value) < 0 {
		k.trace.add(step{label: "minimum", total: t.Minimum.Value, line: t.Line, col: t.Column})
	}
	if t.Maximum.Set && k.trace.total.Cmp(t.Maximum.Value) > 0 {
		k.trace.add(step{label: "maximum", total: t.Maximum.Value, line: t.Line, col: t.Column})
	}
}

// coverFree takes what the free tier pays for; true if that is everything.
func (k *calculation) coverFree(q *Quote) bool {
	tier := k.r.op.FreeTier
	if tier == nil || k.free.Left.IsZero() {
		return false
	}
	if tier.Unit == "request" {
		if k.free.Left.Cmp(one) < 0 {
			return false
		}
		q.FreeUsed = one
		return true
	}
	n, measured := k.c.quantity(tier.Unit)
	if !measured {
		n, _ = k.reported(tier.Unit)
	}
	if n.IsZero() { // takes nothing of the tier, so the tier pays for nothing else of it
		return false
	}
	if rest, partly := n.Sub(k.free.Left); !partly || rest.IsZero() {
		q.FreeUsed = n
		return true
	}
	k.covered, q.FreeUsed = k.free.Left, k.free.Left // conditions still see the whole
	return false
}

// rates finds the table in force after all adjustments.
func (k *calculation) rates() error {
	op := k.r.op
	if op.Price.ByModel {
		if err := k.modelRates(); err != nil {
			return err
		}
		k.byModel = true
	} else {
		k.start(&op.Price.Table)
	}
	return k.adjust(op.Adjust, 'o')
}

func (k *calculation) modelRates() error {
	if k.entry == nil {
		return refuse(400, MissingModel, "body.model", "the request names no model with a price")
	}
	k.start(&k.entry.Table)
	return k.adjust(k.entry.Adjust, 'm')
}

// adjust applies those of a list that hold; whose says whether it is the
// operation's or the model's.
func (k *calculation) adjust(list []Adjustment, whose byte) error {
	for i := range list {
		verdict, bad, err := k.decide(list[i].When)
		switch {
		case err != nil:
			return err
		case verdict == wrong && k.strict:
			return notANumber(bad)
		case verdict != holds:
			continue
		}
		k.trace.add(step{label: "adjust", adjust: &list[i], whose: whose, index: i, line: list[i].Line, col: list[i].Column})
		if err := k.apply(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// apply changes the table in force.
func (k *calculation) apply(a *Adjustment) error {
	open := k.c.any && a.When.asksAnswer() // it may hold or not
	var before Table
	if open {
		before = *k.table
	}
	switch {
	case a.ByModel && k.entry == nil && k.usage != nil:
		// The answer made it apply; what was asked for stays priced as it was.
	case a.ByModel:
		if err := k.modelRates(); err != nil {
			return err
		}
		k.byModel = true
	case a.Price != nil:
		k.table = a.Price
	case a.Times.Set:
		k.own().Times(a.Times.Value)
	default:
		k.own().Replace(a.Rates)
	}
	if open {
		k.own().dearer(&before)
	}
	k.trace.resum(k.sum(false))
	return nil
}

// own is the table in force as a copy that may be changed.
func (k *calculation) own() *Table {
	if k.table != &k.work {
		k.work = *k.table
		k.table = &k.work
	}
	return k.table
}

// decide is whether an adjustment holds: by the circumstances, or by what a
// record says of them.
func (k *calculation) decide(when *Conditions) (verdict, *Condition, error) {
	if k.known != nil {
		v, err := k.recall(when)
		return v, nil, err
	}
	v, bad := when.hold(&k.c)
	return v, bad, nil
}

// start puts a table in force, before any adjustment.
func (k *calculation) start(t *Table) {
	k.table = t
	k.trace.total = k.sum(true)
}

// sum is quantity × rate over requests, units and kinds of tokens; write adds
// each to the trace.
func (k *calculation) sum(write bool) money.Decimal {
	t := k.table
	var total money.Decimal
	add := func(label string, n, price money.Decimal, token bool) {
		total = total.Add(n.Mul(price))
		if write && k.trace.keep {
			bound := token && k.usage == nil && label == Output.String()
			k.trace.add(step{label: label, n: n, price: price, total: total, token: token, bound: bound, line: t.Line, col: t.Column})
		}
	}
	if t.Request.Set {
		add("request", one, t.Request.Value, false)
	}
	for i := range t.Units {
		if n := k.count(t.Units[i].Unit); !n.IsZero() {
			add(t.Units[i].Unit, n, t.Units[i].Rate, false)
		}
	}
	for kind := range NumKinds {
		if k.tokens[kind] <= 0 {
			continue
		}
		if price := k.tokenPrice(kind); !price.IsZero() {
			add(kind.String(), fromCount(k.tokens[kind]), price, true)
		}
	}
	return total
}

// tokenPrice is the price of a kind; in a hold, the dearest of the kinds that
// this side of the request may turn out to be.
func (k *calculation) tokenPrice(kind Kind) money.Decimal {
	price, _ := k.table.Token(kind)
	if k.usage != nil || kind != Input && kind != Output {
		return price
	}
	for _, other := range k.r.Asked.Kinds {
		if other.IsOutput() != kind.IsOutput() {
			continue
		}
		if p, _ := k.table.Token(other); p.Cmp(price) > 0 {
			price = p
		}
	}
	return price
}

// count is how much of a unit is charged: what the operation measures, else
// what the answer reports.
func (k *calculation) count(unit string) money.Decimal {
	n, measured := k.c.quantity(unit)
	if !measured {
		n, _ = k.reported(unit)
	}
	if tier := k.r.op.FreeTier; tier != nil && tier.Unit == unit {
		n, _ = n.Sub(k.covered)
	}
	return n
}

// reported is how much of a unit that no field measures is charged: what the
// answer reports; before it, what is held. said is false if it is what was asked
// for, because the answer does not say.
func (k *calculation) reported(unit string) (n money.Decimal, said bool) {
	if k.usage == nil {
		return k.r.ahead(k.entry, unit), true
	}
	n, ok := k.usage.Unit(unit)
	if ok && (unit != "second" || !n.IsZero()) || !k.unsaid { // a recording that has been heard has a length
		return n, true
	}
	return k.r.unsaid(k.entry, unit), false
}
