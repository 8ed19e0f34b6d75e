package pricing

import (
	"errors"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

func (in *intake) allQuantities() *Refusal {
	r, op := in.r, in.op
	r.quantities = r.quantityRoom[:0]
	for _, m := range op.Measures {
		q, refusal := in.quantity(m)
		if refusal != nil {
			return refusal
		}
		r.quantities = append(r.quantities, quantity{m, q})
	}
	if op.Quantity != nil {
		q, refusal := in.quantity(op.Quantity)
		if refusal != nil {
			return refusal
		}
		r.times = q
	}
	return nil
}

// tooLarge is where numbers stop to be quantities.
var tooLarge = money.FromInt(1_000_000_000_000_000)

// quantity reads one measured value. What only the answer knows is reserved.
func (in *intake) quantity(m *Measure) (money.Decimal, *Refusal) {
	if m.Field.InAnswer() {
		return m.Reserved(), nil
	}
	v := &in.r.values[m.Field.slot]
	if v.Ambiguous {
		return money.Decimal{}, ambiguousField(m.Field)
	}
	name := m.Field.Text
	if v.Kind == absent {
		if !m.Default.Set {
			return money.Decimal{}, refuse(400, QuantityInvalid, name, "%s is missing", name)
		}
		return m.Default.Value, nil
	}
	n, bad := number(v, m.Field.json(), m.Text)
	switch {
	case bad == QuantityTooLarge:
		return n, refuse(400, QuantityTooLarge, name, "%s is too large", name)
	case bad != "":
		return n, refuse(400, QuantityInvalid, name, "%s must be a number that is not negative", name)
	case n.IsZero() && m.countsFromOne():
		return n, refuse(400, QuantityInvalid, name, "%s must be at least 1; servers read 0 as if it were not there", name)
	case m.Whole && !n.IsInt():
		return n, refuse(400, QuantityInvalid, name, "%s must be a whole number", name)
	case m.Max.Set && n.Cmp(m.Max.Value) > 0:
		return n, refuse(400, QuantityTooLarge, name, "%s is more than %s", name, m.Max.Value)
	case m.Min.Set && n.Cmp(m.Min.Value) < 0:
		return n, refuse(400, QuantityInvalid, name, "%s is less than %s", name, m.Min.Value)
	}
	return n, nil
}

// countsFromOne: a 0 would be free, and servers of AI APIs that take it for "not given" would do the work. A price file that means
// 0 says so, by its min or default.
func (m *Measure) countsFromOne() bool {
	name := m.Field.Name[strings.LastIndexByte(m.Field.Name, '.')+1:]
	return slices.Contains(multipliers, strings.ToLower(strings.ReplaceAll(name, "_", ""))) && !m.Min.Set && (!m.Default.Set || !m.Default.Value.IsZero())
}

// multipliers are the fields by which AI APIs are asked for several answers, in small letters and without underscores.
var multipliers = []string{"n", "bestof", "candidatecount", "samplecount", "numimages", "numberofimages", "numoutputs", "numsamples", "samples", "batchsize", "ncompletions", "ncmpl"}

// Reserved is what is held of a quantity that only the answer knows: at least
// what it counts for if the answer does not say.
func (m *Measure) Reserved() money.Decimal {
	switch {
	case m.Reserve.Set && m.Default.Set && m.Default.Value.Cmp(m.Reserve.Value) > 0, m.Default.Set && !m.Reserve.Set:
		return m.Default.Value
	case m.Reserve.Set:
		return m.Reserve.Value
	}
	return m.Max.Value
}

// number is a quantity's number, or the reason why it is none.
func number(v *value, json, text bool) (n money.Decimal, problem string) {
	ok := false
	switch {
	case v.Kind == numberValue:
		var err error
		if n, err = jsonNumber(v.Text); errors.Is(err, money.ErrOverflow) && !strings.Contains(v.Text, "-") {
			return n, QuantityTooLarge
		}
		ok = err == nil
	case v.Kind == textValue && (!json || text):
		n, ok = plainNumber(v.Text)
	}
	switch {
	case !ok:
		return n, QuantityInvalid
	case n.Cmp(tooLarge) >= 0:
		return n, QuantityTooLarge
	}
	return n, ""
}

var limitFields = []string{"body.max_tokens", "body.max_completion_tokens", "body.max_output_tokens"}

const (
	geminiLimit  = "body.generationConfig.maxOutputTokens"
	answersField = "body.n"
)

// outputLimits reads how long the answer may be and how many there are.
func (in *intake) outputLimits(lower string) *Refusal {
	r := in.r
	if in.form {
		return nil
	}
	if in.bodyBad {
		return notJSON(r.book.Fields.index[limitFields[0]])
	}
	names := limitFields
	if _, gemini := modelInPath(lower); gemini || r.op.API == "gemini" {
		names = append(names[:len(names):len(names)], geminiLimit)
	}
	for _, name := range names {
		n, given, refusal := in.count(name)
		if refusal != nil {
			return refusal
		}
		if given {
			r.Asked.OutputLimit, r.Asked.Limited = max(r.Asked.OutputLimit, n), true
		}
	}
	if !strings.HasSuffix(lower, "/completions") {
		return nil
	}
	n, given, refusal := in.count(answersField)
	if given && n == 0 {
		return refuse(400, QuantityInvalid, answersField, "n must be at least 1")
	}
	if given {
		r.Asked.Answers = n
	}
	return refusal
}

// count reads a whole number that may be absent.
func (in *intake) count(name string) (n int64, given bool, refusal *Refusal) {
	f := in.r.book.Fields.index[name]
	v := &in.r.values[f.slot]
	switch {
	case v.Ambiguous:
		return 0, false, ambiguousField(f)
	case v.Kind == absent:
		return 0, false, nil
	}
	d, bad := number(v, true, false)
	if bad == QuantityTooLarge {
		return 0, false, refuse(400, bad, name, "%s is too large", name)
	}
	n, whole := d.Int64()
	if bad != "" || !whole {
		return 0, false, refuse(400, QuantityInvalid, name, "%s must be a whole number that is not negative", name)
	}
	return n, true, nil
}

// product is a × b for counts, as large as can be instead of overflowing.
func product(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0))) //nolint:gosec // not negative
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}

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
		op.byModels() && op.book.unitsByModel
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

// alwaysCosts reports whether each request of the operation costs something, whatever it asks for. Where that takes more than a look
// at the rates, it says no.
func (op *Operation) alwaysCosts() bool {
	if op.Free || op.FreeTier != nil || op.Quantity != nil || len(op.Adjust) > 0 {
		return false
	}
	if !op.Price.ByModel {
		return op.Price.Table.costs(false)
	}
	return !slices.ContainsFunc(op.book.Models, func(m *Model) bool { return len(m.Adjust) > 0 || !m.Table.costs(true) })
}

// costs reports whether each request costs something at these rates; input: it has some.
func (t *Table) costs(input bool) bool {
	some := func(r Rate) bool { return r.Set && !r.Value.IsZero() }
	if t.Free || t.Maximum.Set && !some(t.Maximum) {
		return false
	}
	return some(t.Request) || some(t.Minimum) || input && some(t.Tokens[Input])
}

// Reserve is how much of each unit is held where a request does not say.
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
		return money.Decimal{} // the tools of the request were not read
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

// isFee: of what a model does in addition to its answer; most answers have none.
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
