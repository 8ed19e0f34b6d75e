package pricing

import (
	"errors"
	"net/url"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

// Recorded is what a journal knows of a charge: less than the request said. It
// has neither its headers nor its body.
type Recorded struct {
	Operation string // id
	Model     string // as asked for, or the key of the entry that priced the answer
	At        time.Time
	Usage     Usage
	Marks     Marks
	Free      money.Decimal // of the operation's free tier, that paid for it
	// Made is the book that the charge was made with, in which Marks are to be
	// understood. Without it conditions on fields of the request do not hold.
	Made *Book
}

// Why a recorded charge can't be priced again.
var (
	ErrNoLongerPriced = errors.New("the operation or model has no price there")
	ErrNotRecorded    = errors.New("a quantity that the price needs is not in the journal")
)

// Reprice is what a recorded request costs by this book, as far as the record
// tells. A quantity that is not in the record is the file's default. A condition
// that it does not decide is ErrNotRecorded. Whoever relies on it checks that the
// book that the charge was made with gives what was charged.
func (b *Book) Reprice(rec *Recorded, plan *Plan) (money.Amount, error) {
	return b.reprice(rec, plan, nil)
}

// ExplainRecorded is Reprice, step by step.
func (b *Book) ExplainRecorded(rec *Recorded, plan *Plan) ([]Line, money.Amount, error) {
	t := &trace{}
	amount, err := b.reprice(rec, plan, t)
	return t.lines, amount, err
}

func (b *Book) reprice(rec *Recorded, plan *Plan, t *trace) (money.Amount, error) {
	op := b.operations[rec.Operation]
	if op == nil {
		return 0, ErrNoLongerPriced
	}
	r := &Request{book: b, op: op, at: rec.At, model: rec.Model, answers: 1, times: one, values: make([]value, len(b.Fields.request))}
	if r.Free() {
		return 0, nil
	}
	switch {
	case rec.Marks.Held && rec.Marks.held.Set:
		return rec.Marks.held.Value.Ceil(b.Credit.Decimals)
	case rec.Marks.Held:
		return 0, ErrNotRecorded
	case len(rec.Marks.parts) > 0:
		return b.repriceParts(rec, plan, t)
	}
	if rec.Marks.model != "" {
		r.model = rec.Marks.model
	}
	k := newCalculation(r, b.recordedModel(rec), plan, FreeLeft{Left: rec.Free}, t)
	defer k.done()
	if k.entry == nil && op.Price.ByModel {
		return 0, ErrNoLongerPriced
	}
	k.known = rec.verdicts()
	k.usage, k.tokens = &rec.Usage, rec.Usage.Tokens
	k.c = circumstances{request: r.values, model: r.model, tier: rec.Marks.Tier, at: rec.At, quantities: k.quantityRoom[:0]}
	for _, m := range op.Measures {
		n, ok := rec.Usage.Unit(m.Unit)
		if !ok && !m.Default.Set {
			return 0, ErrNotRecorded
		}
		if !ok {
			n = m.Default.Value
		}
		k.c.quantities = append(k.c.quantities, quantity{m, n})
	}
	switch m := op.Quantity; {
	case m == nil:
	case rec.Marks.times.Set:
		r.times = rec.Marks.times.Value
	case m.Default.Set:
		r.times = m.Default.Value
	default:
		return 0, ErrNotRecorded
	}
	q, err := k.price(r.times)
	return q.Amount, err
}

func (b *Book) recordedModel(rec *Recorded) *Model {
	if rec.Marks.entry == "!" {
		return nil
	}
	if key, err := url.QueryUnescape(rec.Marks.entry); err == nil && rec.Marks.entry != "" {
		if m := b.exact[key]; m != nil {
			return m
		}
		if m := b.lookup(key, rec.At); m != nil {
			return m
		}
	}
	if rec.Model == "" {
		return nil
	}
	if m := b.NamedModel(rec.Model, rec.At); m != nil {
		return m
	}
	return b.Policies.unlisted
}

// Scale is what a recorded cost becomes in another book whose price for the
// same request is the same but for one factor. That needs no quantities: three
// pictures at twice the price cost twice as much. False if the prices differ in
// any other way.
func Scale(old, other *Book, rec *Recorded, was, is *Plan, cost money.Amount) (money.Amount, bool) {
	a, b := old.operations[rec.Operation], other.operations[rec.Operation]
	if a == nil || b == nil || a.Price.ByModel != b.Price.ByModel || old.Credit.Decimals != other.Credit.Decimals || !sameConditions(a.Adjust, b.Adjust) {
		return 0, false
	}
	s := scale{from: one, to: one}
	if !a.Price.ByModel {
		if !s.tables(&a.Price.Table, &b.Price.Table) {
			return 0, false
		}
	} else {
		m, n := old.recordedModel(rec), other.recordedModel(rec)
		if m == nil || n == nil || !sameConditions(m.Adjust, n.Adjust) || !s.tables(&m.Table, &n.Table) {
			return 0, false
		}
		s.from, s.to = s.from.Mul(one.Add(old.Markup)), s.to.Mul(one.Add(other.Markup))
	}
	s.plans(was, is)
	if s.from.Cmp(s.to) == 0 {
		return cost, true
	}
	if s.bounded || a.FreeTier != nil || b.FreeTier != nil || s.from.IsZero() {
		return 0, false
	}
	total := cost.Decimal(old.Credit.Decimals).Mul(s.to)
	scaled, err := money.Div(total, s.from, old.Credit.Decimals)
	if err == nil && scaled.Decimal(old.Credit.Decimals).Mul(s.from).Cmp(total) < 0 {
		scaled++ // prices are rounded up
	}
	return scaled, err == nil
}

// scale is the factor to ÷ from between two prices.
type scale struct {
	from, to money.Decimal
	bounded  bool // by a minimum or maximum, which does not scale
}

// tables reports whether every rate changes by the same factor, and takes it.
func (s *scale) tables(a, b *Table) bool {
	type pair struct{ from, to money.Decimal }
	pairs := []pair{{a.Request.Value, b.Request.Value}}
	for _, unit := range unitsOf(a, b) {
		x, _ := a.Unit(unit)
		y, _ := b.Unit(unit)
		pairs = append(pairs, pair{x, y})
	}
	for k := range NumKinds {
		x, _ := a.Token(k)
		y, _ := b.Token(k)
		pairs = append(pairs, pair{x, y})
	}
	found := false
	for _, p := range pairs {
		if p.from.IsZero() && p.to.IsZero() {
			continue
		}
		if !found {
			s.from, s.to, found = p.from, p.to, true
		}
		if p.from.Mul(s.to).Cmp(p.to.Mul(s.from)) != 0 {
			return false
		}
	}
	s.bounded = a.Minimum.Set || a.Maximum.Set || b.Minimum.Set || b.Maximum.Set
	return a.Minimum == b.Minimum && a.Maximum == b.Maximum || s.from.Cmp(s.to) != 0
}

func (s *scale) plans(was, is *Plan) {
	if was != nil && was.keep.Set {
		s.from = s.from.Mul(was.keep.Value)
	}
	if is != nil && is.keep.Set {
		s.to = s.to.Mul(is.keep.Value)
	}
}

// sameConditions: the same adjustments in the same order, and only factors,
// which do not care what they multiply; or none.
func sameConditions(a, b []Adjustment) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := &a[i], &b[i]
		if x.When.Text() != y.When.Text() || !x.Times.Set || !y.Times.Set || x.Times.Value.Cmp(y.Times.Value) != 0 {
			return false
		}
	}
	return true
}
