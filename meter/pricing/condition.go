package pricing

import (
	"errors"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// subject is what the left side of a condition names.
type subject uint8

const (
	onField subject = iota
	onModel
	onServiceTier
	onInputTokens
	onOutputTokens
	onUnit
	onHours
	onDays
)

// operand is one accepted text or number of a condition.
type operand struct {
	text   string
	number money.Decimal
	isNum  bool // written as a number
}

// bounds are above, below, at_least and at_most.
type bounds struct{ above, below, atLeast, atMost rate }

// never reports whether no number is within the bounds.
func (b *bounds) never() bool {
	for _, low := range []rate{b.above, b.atLeast} {
		for _, high := range []rate{b.below, b.atMost} {
			if !low.set || !high.set {
				continue
			}
			strict := low == b.above && b.above.set || high == b.below && b.below.set
			if c := low.value.Cmp(high.value); c > 0 || c == 0 && strict {
				return true
			}
		}
	}
	return false
}

// condition is one entry of a when; it holds if any operand fits, or if all
// bounds do.
type condition struct {
	on       subject
	field    *field
	unit     string
	operands []operand
	bounds   *bounds
	hours    [][2]int // minutes of the day, from and to
	days     uint8    // bit n: time.Weekday(n)
	text     string   // "service_tier = flex", for explanations
}

// conditions all have to hold.
type conditions struct {
	all  []condition
	zone *time.Location // of hours and days
}

// verdict of a condition: wrong means that a number was wanted and something
// else is there.
type verdict uint8

const (
	fails verdict = iota
	holds
	wrong
)

// circumstances are what conditions are decided by. At the time of the hold
// nothing is known of the answer, and answer is nil.
type circumstances struct {
	request, answer []value
	model, tier     string
	input, output   money.Decimal
	tokens          bool // input and output are known
	at              time.Time
	quantities      []quantity
	assumed         assumptions
	any             bool // what is about the answer may hold or not
}

// assumptions are conditions whose parts about the answer are taken to hold.
type assumptions map[*conditions]bool

func (c *circumstances) quantity(unit string) (money.Decimal, bool) {
	for i := range c.quantities {
		if c.quantities[i].measure.unit == unit {
			return c.quantities[i].value, true
		}
	}
	return money.Decimal{}, false
}

// hold decides a list. If something stood where a number was wanted, and all
// else holds, the field is returned with wrong.
func (cs *conditions) hold(c *circumstances) (verdict, *condition) {
	var bad *condition
	for i := range cs.all {
		switch cs.all[i].decide(cs, c) {
		case fails:
			return fails, nil
		case wrong:
			if bad == nil {
				bad = &cs.all[i]
			}
		case holds:
		}
	}
	if bad != nil {
		return wrong, bad
	}
	return holds, nil
}

func (k *condition) decide(cs *conditions, c *circumstances) verdict {
	switch k.on {
	case onField:
		values := c.request
		if k.field.answer() {
			values = c.answer
		}
		if values == nil {
			return truth(c.any || c.assumed[cs])
		}
		return k.fits(&values[k.field.slot])
	case onModel:
		v := textOrAbsent(c.model)
		return k.fits(&v)
	case onServiceTier:
		v := textOrAbsent(c.tier)
		return k.fits(&v)
	case onInputTokens:
		return k.number(c.input, c.tokens)
	case onOutputTokens:
		return k.number(c.output, c.tokens)
	case onUnit:
		q, ok := c.quantity(k.unit)
		return k.number(q, ok)
	case onHours:
		t := c.at.In(cs.zone)
		return k.hour(t.Hour()*60 + t.Minute())
	case onDays:
		return truth(k.days&(1<<c.at.In(cs.zone).Weekday()) != 0)
	}
	return fails
}

func truth(b bool) verdict {
	if b {
		return holds
	}
	return fails
}

func textOrAbsent(s string) value {
	if s == "" {
		return value{}
	}
	return value{kind: textValue, text: s}
}

func (k *condition) hour(minute int) verdict {
	for _, h := range k.hours {
		if h[0] < h[1] && minute >= h[0] && minute < h[1] ||
			h[0] > h[1] && (minute >= h[0] || minute < h[1]) {
			return holds
		}
	}
	return fails
}

// fits compares what a field holds.
func (k *condition) fits(v *value) verdict {
	if v.kind == absent {
		return fails
	}
	if k.bounds != nil {
		return k.within(v)
	}
	if v.kind == otherValue {
		return fails
	}
	for i := range k.operands {
		o := &k.operands[i]
		if v.kind == numberValue && o.isNum {
			if n, err := jsonNumber(v.text); err == nil && n.Cmp(o.number) == 0 {
				return holds
			}
			continue
		}
		if selector.Glob(o.text, v.text) {
			return holds
		}
	}
	return fails
}

// within compares with bounds. Numbers too large or too small to be kept are
// beyond every bound.
func (k *condition) within(v *value) verdict {
	switch v.kind {
	case numberValue:
		n, err := jsonNumber(v.text)
		switch {
		case errors.Is(err, money.ErrNegative):
			return truth(!k.bounds.above.set && !k.bounds.atLeast.set)
		case errors.Is(err, money.ErrOverflow) && strings.ContainsAny(v.text, "-"):
			return k.number(money.Decimal{}, true)
		case errors.Is(err, money.ErrOverflow):
			return truth(!k.bounds.below.set && !k.bounds.atMost.set)
		case err != nil:
			return wrong
		}
		return k.number(n, true)
	case textValue:
		if n, ok := plainNumber(v.text); ok && k.field != nil && !k.field.json() {
			return k.number(n, true)
		}
	default:
	}
	return wrong
}

// number compares a number that is known, or is not.
func (k *condition) number(n money.Decimal, known bool) verdict {
	if !known {
		return fails
	}
	if b := k.bounds; b != nil {
		return truth((!b.above.set || n.Cmp(b.above.value) > 0) && (!b.below.set || n.Cmp(b.below.value) < 0) &&
			(!b.atLeast.set || n.Cmp(b.atLeast.value) >= 0) && (!b.atMost.set || n.Cmp(b.atMost.value) <= 0))
	}
	for i := range k.operands {
		if k.operands[i].isNum && n.Cmp(k.operands[i].number) == 0 || k.operands[i].text == "*" {
			return holds
		}
	}
	return fails
}

// jsonNumber reads a JSON number that the scanner has found; the usual ones
// have neither sign nor exponent and are read without allocation.
func jsonNumber(s string) (money.Decimal, error) {
	if strings.ContainsAny(s, "-eE") {
		return money.ParseJSONNumber(s)
	}
	return money.ParseDecimal(s)
}

// plainNumber reads digits with at most one point, as headers, queries, forms
// and paths carry them.
func plainNumber(s string) (money.Decimal, bool) {
	if s == "" || strings.Contains(s, "_") || len(s) > 100 {
		return money.Decimal{}, false
	}
	n, err := money.ParseDecimal(s)
	return n, err == nil
}
