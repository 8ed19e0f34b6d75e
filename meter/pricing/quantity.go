package pricing

import (
	"errors"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

func (in *intake) allQuantities() *Refusal {
	r, op := in.r, in.op
	r.quantities = r.quantityRoom[:0]
	for _, m := range op.measures {
		q, refusal := in.quantity(m)
		if refusal != nil {
			return refusal
		}
		r.quantities = append(r.quantities, quantity{m, q})
	}
	if op.quantity != nil {
		q, refusal := in.quantity(op.quantity)
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
func (in *intake) quantity(m *measured) (money.Decimal, *Refusal) {
	if m.field.answer() {
		return m.reserved(), nil
	}
	v := &in.r.values[m.field.slot]
	if v.ambiguous {
		return money.Decimal{}, ambiguousField(m.field)
	}
	name := m.field.text
	if v.kind == absent {
		if !m.fallback.set {
			return money.Decimal{}, refuse(400, QuantityInvalid, name, "%s is missing", name)
		}
		return m.fallback.value, nil
	}
	n, bad := number(v, m.field.json(), m.text)
	switch {
	case bad == QuantityTooLarge:
		return n, refuse(400, QuantityTooLarge, name, "%s is too large", name)
	case bad != "":
		return n, refuse(400, QuantityInvalid, name, "%s must be a number that is not negative", name)
	case n.IsZero() && m.countsFromOne():
		return n, refuse(400, QuantityInvalid, name, "%s must be at least 1; servers read 0 as if it were not there", name)
	case m.whole && !n.IsInt():
		return n, refuse(400, QuantityInvalid, name, "%s must be a whole number", name)
	case m.max.set && n.Cmp(m.max.value) > 0:
		return n, refuse(400, QuantityTooLarge, name, "%s is more than %s", name, m.max.value)
	case m.min.set && n.Cmp(m.min.value) < 0:
		return n, refuse(400, QuantityInvalid, name, "%s is less than %s", name, m.min.value)
	}
	return n, nil
}

// countsFromOne: a 0 would be free, and servers of AI APIs that take it for "not given" would do the work. A price file that means
// 0 says so, by its min or default.
func (m *measured) countsFromOne() bool {
	name := m.field.name[strings.LastIndexByte(m.field.name, '.')+1:]
	return slices.Contains(multipliers, strings.ToLower(strings.ReplaceAll(name, "_", ""))) && !m.min.set && (!m.fallback.set || !m.fallback.value.IsZero())
}

// multipliers are the fields by which AI APIs are asked for several answers, in small letters and without underscores.
var multipliers = []string{"n", "bestof", "candidatecount", "samplecount", "numimages", "numberofimages", "numoutputs", "numsamples", "samples", "batchsize", "ncompletions", "ncmpl"}

// reserved is what is held of a quantity that only the answer knows: at least
// what it counts for if the answer does not say.
func (m *measured) reserved() money.Decimal {
	switch {
	case m.reserve.set && m.fallback.set && m.fallback.value.Cmp(m.reserve.value) > 0, m.fallback.set && !m.reserve.set:
		return m.fallback.value
	case m.reserve.set:
		return m.reserve.value
	}
	return m.max.value
}

// number is a quantity's number, or the reason why it is none.
func number(v *value, json, text bool) (money.Decimal, string) {
	switch {
	case v.kind == numberValue:
		n, err := jsonNumber(v.text)
		switch {
		case errors.Is(err, money.ErrOverflow) && !strings.Contains(v.text, "-"):
			return n, QuantityTooLarge
		case err != nil:
			return n, QuantityInvalid
		case n.Cmp(tooLarge) >= 0:
			return n, QuantityTooLarge
		}
		return n, ""
	case v.kind == textValue && (!json || text):
		n, ok := plainNumber(v.text)
		switch {
		case !ok:
			return n, QuantityInvalid
		case n.Cmp(tooLarge) >= 0:
			return n, QuantityTooLarge
		}
		return n, ""
	}
	return money.Decimal{}, QuantityInvalid
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
		return notJSON(r.book.fields.index[limitFields[0]])
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
			r.limit, r.limited = max(r.limit, n), true
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
		r.answers = n
	}
	return refusal
}

// count reads a whole number that may be absent.
func (in *intake) count(name string) (n int64, given bool, refusal *Refusal) {
	f := in.r.book.fields.index[name]
	v := &in.r.values[f.slot]
	switch {
	case v.ambiguous:
		return 0, false, ambiguousField(f)
	case v.kind == absent:
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
