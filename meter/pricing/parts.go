package pricing

import (
	"net/url"
	"slices"

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
		rec := &Recorded{Operation: r.op.ID, At: r.at, Made: r.book}
		q, err := r.record(a, plan, &rec.Usage, &rec.Marks)
		if err != nil {
			return q, err
		}
		if i == 0 {
			sum = q
			continue
		}
		once, err := r.book.once(rec, plan)
		if err != nil {
			return q, err
		}
		sum.Amount += max(0, q.Amount-once)
	}
	return sum, nil
}

// Record is what Request.Record says of such an answer in addition to its whole usage:
// what each part was priced from.
func (parts Parts) Record(r *Request, plan *Plan) (whole Marks) {
	if plan != nil && plan.keep.Set {
		whole.Plan = plan.ID
	}
	for _, a := range parts {
		var u Usage
		var m Marks
		if q, err := r.record(a, plan, &u, &m); err == nil && m.Held {
			m.held = Rate{q.Amount.Decimal(r.book.Credit.Decimals), true}
		}
		whole.parts = append(whole.parts, RecordText(&u, &m))
	}
	return whole
}

// repriceParts is reprice of a record with parts.
func (b *Book) repriceParts(rec *Recorded, plan *Plan, lines *[]Line) (sum money.Amount, err error) {
	for i, text := range rec.Marks.parts {
		part := *rec
		part.Model, part.Free = "", money.Decimal{} // parts are priced without the free tier
		if part.Usage, part.Marks, err = ParseRecord(text); err != nil {
			return 0, err
		}
		if i == 0 {
			if sum, err = b.reprice(&part, plan, lines); err != nil {
				return 0, err
			}
			continue
		}
		var more []Line
		cost, err := b.reprice(&part, plan, &more)
		if err != nil {
			return 0, err
		}
		once, err := b.once(&part, plan)
		if err != nil {
			return 0, err
		}
		sum += max(0, cost-once)
		if lines != nil {
			more = slices.DeleteFunc(more, func(l Line) bool { return l.Label == "request" })
			*lines = append(append(*lines, more...), Line{Label: "sum", Text: "with another model: " + part.Marks.model, Total: sum.Decimal(b.Credit.Decimals)})
		}
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
