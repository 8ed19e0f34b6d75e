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
	trace   *trace
	record  *Marks             // is told what applied; nil: nobody wants to know
	known   map[string]verdict // of conditions, from a record; nil: they are decided by c

	table   *Table // in force
	work    Table  // a copy of it, once an adjustment has changed it
	byModel bool   // the table in force is the model's

	quantityRoom [4]quantity
	answerRoom   [12]value
}

var calculations = sync.Pool{New: func() any { return new(calculation) }}

func newCalculation(r *Request, entry *Model, plan *Plan, free FreeLeft, t *trace) *calculation {
	k := calculations.Get().(*calculation)
	k.r, k.entry, k.plan, k.free, k.trace = r, entry, plan, free, t
	return k
}

// done gives the calculation back, without what it points to.
func (k *calculation) done() {
	*k = calculation{}
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
		if k.trace != nil {
			k.trace.add(k.r.op.Line, k.r.op.Column, "free tier", "covers the whole request", money.Decimal{})
		}
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
	total := k.finish(k.sum(nil), times)
	var err error
	q.Amount, err = total.Ceil(k.r.book.Credit.Decimals)
	if errors.Is(err, money.ErrOverflow) {
		return q, refuse(400, QuantityTooLarge, "", "the price of this request is too large")
	}
	return q, err
}

// finish goes from the sum of the rates to the price before its rounding.
func (k *calculation) finish(total, times money.Decimal) money.Decimal {
	op, t := k.r.op, k.table
	if op.Quantity != nil {
		total = total.Mul(times)
		if k.trace != nil {
			k.trace.add(op.Quantity.Line, op.Quantity.Column, "quantity", op.Quantity.Field.Text+" × "+times.String(), total)
		}
	}
	if k.byModel && !k.r.book.Markup.IsZero() {
		total = total.Mul(k.r.book.markedUp)
		if k.trace != nil {
			k.trace.add(0, 0, "markup", percent(k.r.book.Markup), total)
		}
	}
	if k.plan != nil && k.plan.keep.Set {
		total = total.Mul(k.plan.keep.Value)
		if k.trace != nil {
			k.trace.add(k.plan.Line, k.plan.Column, "plan", k.plan.ID+" discount "+k.plan.DiscountText, total)
		}
	}
	if t.Minimum.Set && total.Cmp(t.Minimum.Value) < 0 {
		total = t.Minimum.Value
		if k.trace != nil {
			k.trace.add(t.Line, t.Column, "minimum", total.String(), total)
		}
	}
	if t.Maximum.Set && total.Cmp(t.Maximum.Value) > 0 {
		total = t.Maximum.Value
		if k.trace != nil {
			k.trace.add(t.Line, t.Column, "maximum", total.String(), total)
		}
	}
	return total
}

func percent(d money.Decimal) string { return d.Shift(2).String() + "%" }

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
	for i := range k.c.quantities {
		u := &k.c.quantities[i]
		if u.measure.Unit != tier.Unit {
			continue
		}
		if u.value.IsZero() { // takes nothing of the tier, so the tier pays for nothing else of it
			return false
		}
		rest, partly := u.value.Sub(k.free.Left)
		if !partly || rest.IsZero() {
			q.FreeUsed = u.value
			return true
		}
		k.covered, q.FreeUsed = k.free.Left, k.free.Left // conditions still see the whole
		return false
	}
	n := k.reported(tier.Unit)
	if n.IsZero() {
		return false
	}
	rest, partly := n.Sub(k.free.Left)
	if !partly || rest.IsZero() {
		q.FreeUsed = n
		return true
	}
	k.covered, q.FreeUsed = k.free.Left, k.free.Left
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
		k.table = &op.Price.Table
		k.traceRates()
	}
	return k.adjust(op.Adjust, 'o')
}

func (k *calculation) modelRates() error {
	if k.entry == nil {
		return refuse(400, MissingModel, "body.model", "the request names no model with a price")
	}
	k.table = &k.entry.Table
	k.traceRates()
	return k.adjust(k.entry.Adjust, 'm')
}

// adjust applies those of a list that hold; whose says whether it is the
// operation's or the model's.
func (k *calculation) adjust(list []Adjustment, whose byte) error {
	for i := range list {
		a := &list[i]
		verdict, bad, err := k.decide(a.When)
		switch {
		case err != nil:
			return err
		case verdict == wrong && k.strict:
			return notANumber(bad)
		case verdict != holds:
			continue
		}
		var before *Table
		if k.c.any && a.When.asksAnswer() {
			was := *k.table
			before = &was
		}
		if k.trace != nil {
			k.trace.adjusted(a)
		}
		if k.record != nil {
			k.record.applied(whose, i)
		}
		switch {
		case a.ByModel:
			if k.entry == nil && k.usage != nil {
				continue // the answer made it apply; what was asked for stays priced as it was
			}
			if err := k.modelRates(); err != nil {
				return err
			}
			k.byModel = true
		case a.Price != nil:
			k.table = a.Price
		default:
			if k.table != &k.work {
				k.work = *k.table
				k.table = &k.work
			}
			if a.Times.Set {
				k.table.Times(a.Times.Value)
			} else {
				k.table.Replace(a.Rates)
			}
		}
		if before != nil { // it may hold or not
			k.work = *k.table
			k.table = &k.work
			k.table.dearer(before)
		}
		if k.trace != nil {
			k.trace.lines[len(k.trace.lines)-1].Total = k.sum(nil)
		}
	}
	return nil
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

// traceRates writes down the rates before any adjustment.
func (k *calculation) traceRates() {
	if k.trace != nil {
		k.sum(k.trace)
	}
}

// sum is quantity × rate over requests, units and kinds of tokens.
func (k *calculation) sum(trace *trace) money.Decimal {
	t := k.table
	var total money.Decimal
	if t.Request.Set {
		total = t.Request.Value
		trace.rate(t, "request", one, t.Request.Value, total)
	}
	for i := range t.Units {
		n := k.count(t.Units[i].Unit)
		if n.IsZero() {
			continue
		}
		total = total.Add(n.Mul(t.Units[i].Rate))
		trace.rate(t, t.Units[i].Unit, n, t.Units[i].Rate, total)
	}
	for kind := range NumKinds {
		if k.tokens[kind] <= 0 {
			continue
		}
		price := k.tokenPrice(kind)
		if price.IsZero() {
			continue
		}
		n := fromCount(k.tokens[kind])
		total = total.Add(n.Mul(price))
		trace.token(t, kind, n, price, total, k.usage == nil)
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
		n = k.reported(unit)
	}
	if tier := k.r.op.FreeTier; tier != nil && tier.Unit == unit {
		n, _ = n.Sub(k.covered)
	}
	return n
}

// reported is how much of a unit that no field measures is charged: what the
// answer reports; before it, what is held.
func (k *calculation) reported(unit string) money.Decimal {
	if k.usage == nil {
		return k.r.ahead(k.entry, unit)
	}
	n, ok := k.usage.Unit(unit)
	if ok && (unit != "second" || !n.IsZero()) || !k.unsaid { // a recording that has been heard has a length
		return n
	}
	n = k.r.unsaid(k.entry, unit)
	k.record.counted(unit, n)
	return n
}
