package pricing

import (
	"net/url"

	"github.com/farebox-dev/farebox/meter/money"
)

// An answer that several models worked on is priced part by part: each by its
// own entry, and what is charged once for a request in the first part only.

// Parts are such an answer. Each has its usage and, if it is known, the model
// that it is By.
type Parts []*Answer

// Cost is the price of all parts of the answer to a request.
func (parts Parts) Cost(r *Request, plan *Plan) (Quote, error) {
	var sum Quote
	for i, a := range parts {
		a.later = i > 0
		q, err := r.Cost(a, plan, FreeLeft{})
		if err != nil {
			return q, err
		}
		if i == 0 {
			sum = q
			continue
		}
		rec := &Recorded{Operation: r.op.ID, At: r.at, Made: r.book}
		rec.Usage, rec.Marks = r.record(a, plan, "")
		once, err := r.book.once(rec, plan)
		if err != nil {
			return q, err
		}
		sum.Amount += max(0, q.Amount-once)
	}
	return sum, nil
}

// Record is what Request.Record says of such an answer beside its whole usage:
// what each part was priced from.
func (parts Parts) Record(r *Request, plan *Plan) (whole Marks) {
	if plan != nil && plan.keep.Set {
		whole.Plan = plan.ID
	}
	for _, a := range parts {
		u, m := r.record(a, plan, "")
		if q, err := r.Cost(a, plan, FreeLeft{}); err == nil && m.Held {
			m.held = Rate{q.Amount.Decimal(r.book.Credit.Decimals), true}
		}
		whole.parts = append(whole.parts, RecordText(&u, &m))
	}
	return whole
}

// repriceParts is reprice of a record with parts.
func (b *Book) repriceParts(rec *Recorded, plan *Plan, t *trace) (sum money.Amount, err error) {
	for i, text := range rec.Marks.parts {
		part := *rec
		part.Model, part.Free = "", money.Decimal{} // parts are priced without the free tier
		if part.Usage, part.Marks, err = ParseRecord(text); err != nil {
			return 0, err
		}
		if i == 0 {
			if sum, err = b.reprice(&part, plan, t); err != nil {
				return 0, err
			}
			continue
		}
		lines := &trace{}
		cost, err := b.reprice(&part, plan, lines)
		if err != nil {
			return 0, err
		}
		once, err := b.once(&part, plan)
		if err != nil {
			return 0, err
		}
		sum += max(0, cost-once)
		for _, l := range lines.list() {
			if l.Label != "request" {
				t.add(l.Line, l.Column, l.Label, l.Text, l.Total)
			}
		}
		t.add(0, 0, "sum", "with another model: "+part.Marks.model, sum.Decimal(b.Credit.Decimals))
	}
	return sum, nil
}

// once is what is charged once for a request whatever it used, under the
// conditions that held for a part.
func (b *Book) once(rec *Recorded, plan *Plan) (money.Amount, error) {
	bare := *rec
	bare.Usage = Usage{}
	op := b.operations[rec.Operation]
	for _, u := range rec.Usage.Units {
		if op != nil && op.Measured(u.Unit) != nil {
			bare.Usage.Units = append(bare.Usage.Units, u)
		}
	}
	if bare.Marks.Held {
		return 0, nil
	}
	return b.reprice(&bare, plan, nil)
}

// entryMark names an entry in a record; none is "!", which no escaped key is.
func entryMark(m *Model) string {
	if m == nil {
		return "!"
	}
	return url.QueryEscape(m.Key)
}
