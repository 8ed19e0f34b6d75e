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
func (rec *Recorded) Reprice(b *Book, plan *Plan) (money.Amount, error) {
	return b.reprice(rec, plan, nil)
}

// Explain is Reprice, step by step.
func (rec *Recorded) Explain(b *Book, plan *Plan) ([]Line, money.Amount, error) {
	var lines []Line
	amount, err := b.reprice(rec, plan, &lines)
	return lines, amount, err
}

func (b *Book) reprice(rec *Recorded, plan *Plan, lines *[]Line) (money.Amount, error) {
	op := b.operations[rec.Operation]
	if op == nil {
		return 0, ErrNoLongerPriced
	}
	r := &Request{book: b, op: op, at: rec.At, Asked: Asked{API: op.API, Model: rec.Model, Answers: 1}, times: one, values: make([]value, len(b.Fields.request))}
	if r.Free() {
		return 0, nil
	}
	switch {
	case rec.Marks.Held && rec.Marks.held.Set:
		return rec.Marks.held.Value.Ceil(b.Credit.Decimals)
	case rec.Marks.Held:
		return 0, ErrNotRecorded
	case len(rec.Marks.parts) > 0:
		return b.repriceParts(rec, plan, lines)
	}
	if rec.Marks.model != "" {
		r.Asked.Model = rec.Marks.model
	}
	k := newCalculation(r, rec.Entry(b), plan, FreeLeft{Left: rec.Free})
	defer k.done()
	if k.entry == nil && op.Price.ByModel {
		return 0, ErrNoLongerPriced
	}
	k.known, k.trace.keep = rec.verdicts(), lines != nil
	k.usage, k.tokens = &rec.Usage, rec.Usage.Tokens
	k.c = circumstances{request: r.values, model: r.Asked.Model, tier: rec.Marks.Tier, at: rec.At, quantities: k.quantityRoom[:0]}
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
	if lines != nil {
		*lines = append(*lines, k.trace.lines()...)
	}
	return q.Amount, err
}

// Entry is the model by which a book prices the recorded request; nil if none does.
func (rec *Recorded) Entry(b *Book) *Model {
	if rec.Marks.entry == "!" {
		return nil
	}
	if key, err := url.QueryUnescape(rec.Marks.entry); err == nil && rec.Marks.entry != "" {
		if m := b.exact[key]; m != nil {
			return m
		}
		if m := b.ModelFor(key, rec.At); m != nil {
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
