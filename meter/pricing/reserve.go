package pricing

import (
	"maps"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// Some units are counted by the answer alone: the pages of a document that the
// request only links to, the searches of a model that searches as it likes. What
// the request says of them is asked; what it does not say is held by a reserve.

// UnitAsk is how much of such a unit a request asks for.
type UnitAsk struct {
	Unit  string
	Most  money.Decimal // that the answer can have of it
	Else  money.Decimal // what it counts for if the answer does not say
	Guess bool          // nothing bounds it: a larger reserve of the file counts instead of Most
}

// NeedsAsks reports whether the price may depend on a unit that no field of the
// request measures.
func (r *Request) NeedsAsks() bool { return r.op != nil && r.op.needsAsks() }

func (op *Operation) needsAsks() bool {
	if op.Free {
		return false
	}
	return op.unmeasured(op.Price.Table.Units) || slices.ContainsFunc(op.Adjust, func(a Adjustment) bool { return a.Rates != nil && op.unmeasured(a.Rates.Units) }) ||
		op.FreeTier != nil && op.FreeTier.Unit != "request" && op.Measured(op.FreeTier.Unit) == nil ||
		(op.Price.ByModel || op.adjustToModel) && op.book.unitsByModel
}

func (op *Operation) unmeasured(units []UnitRate) bool {
	return slices.ContainsFunc(units, func(u UnitRate) bool { return op.Measured(u.Unit) == nil })
}

// readsBody reports whether a price, a condition or an estimate looks into the
// body of requests.
func (op *Operation) readsBody() bool {
	return op.bodyTree != nil || len(op.forms) > 0 || op.needsAsks() || slices.ContainsFunc(op.Adjust, func(a Adjustment) bool {
		return a.When != nil && slices.ContainsFunc(a.When.All, func(k Condition) bool { return k.On == OnInputTokens })
	})
}

// reserve is how much of each unit is held where a request does not say.
type Reserve map[string]money.Decimal

// usualReserve are the most that the known APIs answer with, or a sane guess
// where they have no limit: OpenAI and Mistral transcribe up to three hours,
// Mistral reads up to 1,000 pages (their documentation, November 2026).
var usualReserve = Reserve{
	"image": money.FromInt(1), "video": money.FromInt(1), "second": money.FromInt(3 * 3600), "page": money.FromInt(1000),
	"character": money.FromInt(100_000), "search_unit": money.FromInt(10), "web_search": money.FromInt(10), "web_fetch": money.FromInt(10),
}

// reserved is what is held of a unit that the request does not say, and whether
// the price file says so itself.
func (r *Request) reserved(m *Model, unit string) (n money.Decimal, written bool) {
	if m != nil {
		if n, written = m.Reserve[unit]; written {
			return n, true
		}
	}
	if n, written = r.book.Policies.Reserve[unit]; written {
		return n, true
	}
	return usualReserve[unit], false
}

// ahead is how much of a unit is held before the answer counts it.
func (r *Request) ahead(m *Model, unit string) money.Decimal {
	if !reportsUnit(r.op.API, strings.ToLower(r.Asked.Path), unit) {
		return money.Decimal{} // no answer has any
	}
	if r.Asked.Units == nil && isFee(unit) {
		return money.Decimal{} // nobody has looked at the tools of the request
	}
	n, written := r.reserved(m, unit)
	if a := r.askedFor(unit); a != nil && (!a.Guess || !written || a.Most.Cmp(n) > 0) {
		return a.Most
	}
	return n
}

// unsaid is how much of a unit counts if the answer does not say: absent is not
// nothing, except of fees that are added to an answer.
func (r *Request) unsaid(m *Model, unit string) money.Decimal {
	if a := r.askedFor(unit); a != nil {
		return a.Else
	}
	if isFee(unit) {
		return money.Decimal{}
	}
	return r.ahead(m, unit)
}

// isFee: of what a model does beside its answer; most answers have none.
func isFee(unit string) bool { return unit == "web_search" || unit == "web_fetch" }

func (r *Request) askedFor(unit string) *UnitAsk {
	for i := range r.Asked.Units {
		if r.Asked.Units[i].Unit == unit {
			return &r.Asked.Units[i]
		}
	}
	return nil
}

// ReservedUnits are the units that a price file may give a reserve, sorted.
func ReservedUnits() []string { return slices.Sorted(maps.Keys(usualReserve)) }
