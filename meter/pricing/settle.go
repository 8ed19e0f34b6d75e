package pricing

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// Answer is what is known of an answer when it has ended.
type Answer struct {
	Status      int
	Header      map[string][]string
	Body        []byte        // JSON, or nil
	Fields      *AnswerFields // of a stream, which has no Body; may be nil
	Usage       *Usage        // nil: it reported nothing
	ServiceTier string        // if a stream said so; else it is read from Body
	Model       string        // likewise
	By          string        // one of several models that worked on the answer, whichever was asked for

	later bool // a part of an answer that is not its first
}

// Outcome is how a request ended.
type Outcome uint8

// The ways a request ends.
const (
	Answered    Outcome = iota
	TimedOut            // no answer in time
	NotReached          // the upstream could not be connected to
	ClientAbort         // the client left before the end
)

// answerValues reads the fields of an answer that anything in the book reads.
func (b *Book) answerValues(a *Answer, room []value) []value {
	values := room
	if n := len(b.Fields.answer); n <= len(room) {
		values = room[:n]
	} else {
		values = make([]value, n)
	}
	switch {
	case len(a.Body) > 0:
		if !b.answerTree.Find(a.Body, values) {
			clear(values)
		}
	case a.Fields != nil && a.Fields.book == b:
		copy(values, a.Fields.values)
	}
	for _, f := range b.Fields.answer {
		switch f.From {
		case FromResponseHeader:
			values[f.slot] = headerValue(a.Header, f.Name)
		case FromResponseStatus:
			values[f.slot] = value{Kind: numberValue, Text: strconv.Itoa(a.Status)}
		case FromBody, FromForm, FromHeader, FromQuery, FromPath, FromKey, FromMember, FromResponseBody:
		}
	}
	return values
}

// AnswerFields collects, from the events of a stream, the fields of the answer that a price book reads.
type AnswerFields struct {
	book          *Book
	values, fresh []value
}

// NewAnswerFields is empty; nil if the book reads no field of answers.
func (b *Book) NewAnswerFields() *AnswerFields {
	if !b.readsAnswer {
		return nil
	}
	return &AnswerFields{book: b, values: make([]value, len(b.Fields.answer)), fresh: make([]value, len(b.Fields.answer))}
}

// Add reads one JSON object of the stream. What it says replaces what was said before, but a zero replaces no number.
func (f *AnswerFields) Add(doc []byte) {
	clear(f.fresh)
	if !f.book.answerTree.Find(doc, f.fresh) {
		return
	}
	for i := range f.fresh {
		was, is := &f.values[i], &f.fresh[i]
		if is.Kind == absent || is.Kind == numberValue && was.Kind == numberValue && isZero(is) {
			continue
		}
		*was = *is
	}
}

func isZero(v *value) bool {
	n, bad := number(v, true, false)
	return bad == "" && n.IsZero()
}

func (b *Book) answerModel(a *Answer, values []value) string {
	return cmp.Or(a.Model, textOf(&values[b.responseFields.model.slot]))
}

func (b *Book) answerTier(a *Answer, values []value) string {
	return cmp.Or(a.ServiceTier, textOf(&values[b.responseFields.tier.slot]), textOf(&values[b.responseFields.usageTier.slot]))
}

func textOf(v *value) string {
	if v.Kind != textValue {
		return ""
	}
	return v.Text
}

// Cost is the price of the answer. What the answer does not report counts as
// nothing used, except where the price file says otherwise: a quantity that
// only the answer knows costs its default or what was reserved, and a model
// that only the answer knows costs what was held last.
func (r *Request) Cost(a *Answer, plan *Plan, free FreeLeft) (Quote, error) {
	return r.cost(a, plan, free, nil)
}

var noUsage Usage

func (r *Request) cost(a *Answer, plan *Plan, free FreeLeft, record *Marks) (Quote, error) {
	if r.Free() {
		return Quote{}, nil
	}
	if a == nil {
		a = &Answer{}
	}
	k := newCalculation(r, nil, plan, free)
	defer k.done()
	k.trace.keep = record != nil
	values := r.book.answerValues(a, k.answerRoom[:])
	entry, model, known := r.answeredBy(a, values)
	if !known {
		if record != nil {
			record.Held = true
		}
		return r.asHeld(plan, free)
	}
	k.entry = entry
	if k.usage = a.Usage; k.usage == nil {
		k.usage = &noUsage
	}
	k.tokens = k.usage.Tokens
	k.unsaid = a.Status < 300 && !a.later
	k.c = circumstances{request: r.values, answer: values, model: model, tier: cmp.Or(r.book.answerTier(a, values), r.Asked.ServiceTier), at: r.at}
	k.c.quantities = k.quantityRoom[:0]
	for _, q := range r.quantities {
		k.c.quantities = append(k.c.quantities, quantity{q.measure, q.settled(values, k.usage)})
	}
	times := r.times
	if m := r.op.Quantity; m != nil && m.Field.InAnswer() {
		times = (&quantity{m, times}).settled(values, nil)
	}
	q, err := k.price(times)
	if err == nil && record != nil {
		*record = k.marks()
	}
	return q, err
}

// answeredBy is the entry that prices the answer, and the name that counts for
// conditions on the model; false if what was held has to be charged.
func (r *Request) answeredBy(a *Answer, values []value) (*Model, string, bool) {
	if a.By != "" && r.op.Price.ByModel {
		if m := r.book.ModelFor(a.By, r.at); m != nil && m.prices(r.op, strings.ToLower(r.Asked.Path)) {
			return m, a.By, true
		}
	}
	if !r.modelLater() {
		if r.priced && r.op.ModelFrom == nil && !r.op.NoModel {
			name := r.book.answerModel(a, values)
			if name != "" && name != r.Asked.Model {
				if m := r.book.ModelFor(name, r.at); m != nil && m.prices(r.op, strings.ToLower(r.Asked.Path)) {
					return m, name, true
				}
			}
		}
		return r.Model(), r.Asked.Model, true
	}
	name := textOf(&values[r.op.ModelFrom.slot])
	if name == "" && len(a.Body) == 0 { // a stream has no body
		name = a.Model
	}
	if name == "" {
		return nil, "", false
	}
	m := r.book.ModelFor(name, r.at)
	if m == nil {
		m = r.book.Policies.unlisted
	}
	if m == nil || !m.prices(r.op, strings.ToLower(r.Asked.Path)) {
		return nil, "", false
	}
	return m, name, true
}

// asHeld charges what was held.
func (r *Request) asHeld(plan *Plan, free FreeLeft) (Quote, error) {
	q := r.held
	if !r.holding {
		var err error
		e := r.Estimate(Usage{}, plan, free)
		if q, err = e.quote(-1); err != nil {
			return q, err
		}
	}
	q.OutputBound = 0
	return q, nil
}

// settled is the quantity that counts in the end: what the answer says in the
// field that the file names, else what it reports, else what was asked for.
func (q *quantity) settled(values []value, usage *Usage) money.Decimal {
	m := q.measure
	if m.Field.InAnswer() {
		if n, bad := number(&values[m.Field.slot], m.Field.json(), m.Text); bad == "" {
			return n
		}
	}
	if n, ok := usage.Unit(m.Unit); ok {
		return n
	}
	if m.Field.InAnswer() && m.Default.Set {
		return m.Default.Value
	}
	return q.value
}

// RefundDue reports whether the request failed in a way that refunds all of
// its charge.
func (r *Request) RefundDue(a *Answer, outcome Outcome) bool {
	on := &r.book.Policies.RefundOn
	switch outcome {
	case NotReached:
		return true
	case TimedOut:
		return on.Timeout
	case ClientAbort:
		if on.ClientAbort {
			return true
		}
	case Answered:
	}
	if a == nil {
		return false
	}
	if a.Status >= 500 && on.Status5xx || a.Status >= 400 && a.Status < 500 && on.Status4xx {
		return true
	}
	when := r.book.Policies.RefundWhen
	if when == nil || r.op == nil {
		return false
	}
	values := r.book.answerValues(a, nil)
	tier := cmp.Or(r.book.answerTier(a, values), r.Asked.ServiceTier)
	c := circumstances{request: r.values, answer: values, model: r.Asked.Model, tier: tier, at: r.at, quantities: r.quantities}
	if a.Usage != nil {
		c.input = fromCount(a.Usage.Tokens.InputSide())
		c.output = fromCount(a.Usage.Tokens.OutputSide())
		c.tokens = true
	}
	verdict, _ := when.hold(&c)
	return verdict == holds
}

// FreeTier is the free tier of the operation, nil if it has none.
func (r *Request) FreeTier() *FreeTier {
	if r.op == nil {
		return nil
	}
	return r.op.FreeTier
}
