package pricing

import (
	"errors"
	"sort"
	"sync"

	"github.com/farebox-dev/farebox/meter/money"
)

// Quote is a price: of a hold, or of an answer.
type Quote struct {
	Amount      money.Amount
	Model       string        // key of the entry that priced it, "" if none did
	OutputBound int64         // output tokens of one answer in a hold; 0 in a cost
	FreeUsed    money.Decimal // of the operation's free tier
	Lines       []Line        // the calculation; only from Explain
}

// FreeLeft is what the account has left of the operation's free tier.
type FreeLeft struct{ Left money.Decimal }

// calculation is one price being computed. It is large, so it is pooled.
type calculation struct {
	r       *Request
	entry   *Model // by which the model's part is priced, or nil
	tokens  Tokens
	usage   *Usage // nil before the answer
	plan    *Plan
	free    FreeLeft
	covered money.Decimal // by the free tier, of a unit that only the answer reports
	c       circumstances
	strict  bool // a condition on no number refuses the request
	trace   *trace

	table   *table // in force
	work    table  // a copy of it, once an adjustment has changed it
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

// Hold is what is held before the request is sent, for the estimated input
// and the bound of its output. The error is a *Refusal.
func (r *Request) Hold(est Usage, plan *Plan, free FreeLeft) (Quote, error) {
	return r.hold(est, -1, plan, free)
}

// HoldFor is Hold with a given bound for the output tokens of one answer, as
// clamping and growing streams need it.
func (r *Request) HoldFor(est Usage, outputBound int64, plan *Plan, free FreeLeft) (Quote, error) {
	return r.hold(est, max(outputBound, 0), plan, free)
}

func (r *Request) hold(est Usage, bound int64, plan *Plan, free FreeLeft) (Quote, error) {
	q, err := r.estimate(&est, bound, plan, free)
	if err == nil {
		r.held, r.holding = q, true
	}
	return q, err
}

// estimate is the price before the answer: of the entry that was asked for,
// or of the dearest if only the answer says which it was.
func (r *Request) estimate(est *Usage, bound int64, plan *Plan, free FreeLeft) (Quote, error) {
	if r.Free() {
		return Quote{}, nil
	}
	if !r.modelLater() {
		return r.estimateBy(r.Model(), est, bound, plan, free, nil)
	}
	var dearest Quote
	for _, m := range r.op.candidates {
		if !m.effective(r.at) {
			continue
		}
		q, err := r.estimateBy(m, est, bound, plan, free, nil)
		if err != nil {
			return Quote{}, err
		}
		if dearest.Model == "" || q.Amount > dearest.Amount {
			dearest = q
		}
	}
	if dearest.Model == "" {
		return Quote{}, refuse(403, ModelNotPriced, r.op.modelFrom.text, "no model has a price for %s", r.op.Name)
	}
	return dearest, nil
}

// modelLater reports whether only the answer says which model prices it.
func (r *Request) modelLater() bool {
	return r.op.price.byModel && r.op.modelFrom != nil && r.op.modelFrom.answer()
}

func (r *Request) estimateBy(m *Model, est *Usage, bound int64, plan *Plan, free FreeLeft, t *trace) (Quote, error) {
	if bound < 0 {
		bound = r.outputBound(m)
	}
	k := newCalculation(r, m, plan, free, t)
	defer k.done()
	k.strict = true
	for i := Input; i < Output; i++ {
		k.tokens[i] = max(est.Tokens[i], 0)
	}
	k.tokens[Output] = product(bound, r.answers)
	k.c = circumstances{request: r.values, model: r.model, tier: r.tier, at: r.at}
	k.c.quantities = append(k.quantityRoom[:0], r.quantities...)
	q, err := k.price(r.times)
	q.OutputBound = bound
	return q, err
}

// LargestOutput is the largest bound ≥ 1 for the output tokens of one answer
// whose hold fits into what is available; false if not even 1 fits.
func (r *Request) LargestOutput(est Usage, plan *Plan, free FreeLeft, available money.Amount) (bound int64, ok bool) {
	if r.Free() || !r.TokenPriced() {
		return 0, false
	}
	most := r.largestBound()
	fits := func(b int64) bool {
		q, err := r.estimate(&est, b, plan, free)
		return err == nil && q.Amount <= available
	}
	// A condition on output_tokens can make a longer answer cheaper, so the
	// search goes through the stretches between such conditions, from above.
	edges := r.outputEdges(most)
	for i := len(edges) - 1; i > 0; i-- {
		low, high := edges[i-1]+1, edges[i]
		if low > high || !fits(low) {
			continue
		}
		n := sort.Search(int(high-low), func(n int) bool { return !fits(low + 1 + int64(n)) })
		return low + int64(n), true
	}
	return 0, false
}

// largestBound is the most that one answer can have: what the request asks
// for, else the model's own maximum, else what is reserved.
func (r *Request) largestBound() int64 {
	if r.modelLater() {
		most := r.book.Policies.ReserveOutputTokens
		for _, m := range r.op.candidates {
			most = max(most, m.MaxOutputTokens)
		}
		if r.limited {
			most = min(most, r.limit)
		}
		return most
	}
	m := r.Model()
	switch {
	case r.limited && m != nil && m.MaxOutputTokens > 0:
		return min(r.limit, m.MaxOutputTokens)
	case r.limited:
		return r.limit
	case m != nil && m.MaxOutputTokens > 0:
		return m.MaxOutputTokens
	}
	return r.book.Policies.ReserveOutputTokens
}

// outputEdges are the bounds after which a condition on output_tokens may
// change its mind, with 0 and most around them.
func (r *Request) outputEdges(most int64) []int64 {
	edges := []int64{0, most}
	note := func(n money.Decimal) {
		amount, err := n.Floor(0)
		if err != nil || r.answers == 0 {
			return
		}
		at := int64(amount) / r.answers
		for _, e := range []int64{at - 1, at, at + 1} {
			if e > 0 && e < most {
				edges = append(edges, e)
			}
		}
	}
	look := func(list []adjust) {
		for i := range list {
			for j := range list[i].when.all {
				k := &list[i].when.all[j]
				if k.on != onOutputTokens {
					continue
				}
				if b := k.bounds; b != nil {
					for _, x := range []rate{b.above, b.below, b.atLeast, b.atMost} {
						if x.set {
							note(x.value)
						}
					}
				}
				for _, o := range k.operands {
					note(o.number)
				}
			}
		}
	}
	look(r.op.adjusts)
	if m := r.Model(); m != nil {
		look(m.adjusts)
	}
	sort.Slice(edges, func(i, j int) bool { return edges[i] < edges[j] })
	return edges
}

// price computes, in the order of the price file's documentation: rates,
// model adjust, operation adjust, quantity, markup, discount, minimum and
// maximum, and the one rounding.
func (k *calculation) price(times money.Decimal) (Quote, error) {
	q := Quote{}
	if k.entry != nil {
		q.Model = k.entry.Key
	}
	if covered := k.coverFree(&q); covered {
		if k.trace != nil {
			k.trace.add(k.r.op.Line, k.r.op.Column, "free tier", "covers the whole request", money.Decimal{})
		}
		return q, nil
	}
	k.c.input = money.FromInt(uint64(k.tokens.InputSide()))
	k.c.output = money.FromInt(uint64(k.tokens.OutputSide()))
	k.c.tokens = true
	if err := k.rates(); err != nil {
		return q, err
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
	if op.quantity != nil {
		total = total.Mul(times)
		if k.trace != nil {
			k.trace.add(op.quantity.line, op.quantity.column, "quantity", op.quantity.field.text+" × "+times.String(), total)
		}
	}
	if k.byModel && !k.r.book.Markup.IsZero() {
		total = total.Mul(k.r.book.markedUp)
		if k.trace != nil {
			k.trace.add(0, 0, "markup", percent(k.r.book.Markup), total)
		}
	}
	if k.plan != nil && k.plan.keep.set {
		total = total.Mul(k.plan.keep.value)
		if k.trace != nil {
			k.trace.add(k.plan.Line, k.plan.Column, "plan", k.plan.ID+" discount "+k.plan.DiscountText, total)
		}
	}
	if t.minimum.set && total.Cmp(t.minimum.value) < 0 {
		total = t.minimum.value
		if k.trace != nil {
			k.trace.add(t.line, t.col, "minimum", total.String(), total)
		}
	}
	if t.maximum.set && total.Cmp(t.maximum.value) > 0 {
		total = t.maximum.value
		if k.trace != nil {
			k.trace.add(t.line, t.col, "maximum", total.String(), total)
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
		if u.measure.unit != tier.Unit {
			continue
		}
		rest, partly := u.value.Sub(k.free.Left)
		if !partly || rest.IsZero() {
			q.FreeUsed = u.value
			return true
		}
		u.value, q.FreeUsed = rest, k.free.Left
		return false
	}
	n, ok := k.usage.Unit(tier.Unit)
	if !ok {
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
	if op.price.byModel {
		if err := k.modelRates(); err != nil {
			return err
		}
		k.byModel = true
	} else {
		k.table = &op.price.table
		k.traceRates()
	}
	return k.adjust(op.adjusts)
}

func (k *calculation) modelRates() error {
	if k.entry == nil {
		return refuse(400, MissingModel, "body.model", "the request names no model with a price")
	}
	k.table = &k.entry.table
	k.traceRates()
	return k.adjust(k.entry.adjusts)
}

func (k *calculation) adjust(list []adjust) error {
	for i := range list {
		a := &list[i]
		verdict, bad := a.when.hold(&k.c)
		switch {
		case verdict == wrong && k.strict:
			return notANumber(bad)
		case verdict != holds:
			continue
		}
		if k.trace != nil {
			k.trace.adjusted(a)
		}
		switch {
		case a.byModel:
			if k.entry == nil && k.usage != nil {
				continue // the answer made it apply; what was asked for stays priced as it was
			}
			if err := k.modelRates(); err != nil {
				return err
			}
			k.byModel = true
		case a.whole != nil:
			k.table = a.whole
		default:
			if k.table != &k.work {
				k.work = *k.table
				k.table = &k.work
			}
			if a.factor.set {
				k.table.times(a.factor.value)
			} else {
				k.table.replace(a.rates)
			}
		}
		if k.trace != nil {
			k.trace.lines[len(k.trace.lines)-1].Total = k.sum(nil)
		}
	}
	return nil
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
	if t.request.set {
		total = t.request.value
		trace.rate(t, "request", one, t.request.value, total)
	}
	for i := range t.units {
		n := k.count(t.units[i].unit)
		if n.IsZero() {
			continue
		}
		total = total.Add(n.Mul(t.units[i].rate))
		trace.rate(t, t.units[i].unit, n, t.units[i].rate, total)
	}
	for kind := range NumKinds {
		if k.tokens[kind] <= 0 {
			continue
		}
		price, _ := t.token(kind)
		if price.IsZero() {
			continue
		}
		n := money.FromInt(uint64(k.tokens[kind]))
		total = total.Add(n.Mul(price))
		trace.token(t, kind, n, price, total, k.usage == nil)
	}
	return total
}

// count is how much of a unit is charged: what the operation measures, else
// what the answer reports.
func (k *calculation) count(unit string) money.Decimal {
	if q, ok := k.c.quantity(unit); ok {
		return q
	}
	n, _ := k.usage.Unit(unit)
	if tier := k.r.op.FreeTier; tier != nil && tier.Unit == unit {
		n, _ = n.Sub(k.covered)
	}
	return n
}
