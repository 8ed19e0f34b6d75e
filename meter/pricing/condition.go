package pricing

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Subject is what the left side of a condition names.
type Subject uint8

const (
	OnField Subject = iota
	OnModel
	OnServiceTier
	OnInputTokens
	OnOutputTokens
	OnUnit
	OnHours
	OnDays
)

// Operand is one accepted text or number of a condition.
type Operand struct {
	Text     string
	Number   money.Decimal
	IsNumber bool // written as a number
}

// Bounds are above, below, at_least and at_most.
type Bounds struct{ Above, Below, AtLeast, AtMost Rate }

// Never reports whether no number is within the bounds.
func (b *Bounds) Never() bool {
	for _, low := range []Rate{b.Above, b.AtLeast} {
		for _, high := range []Rate{b.Below, b.AtMost} {
			if !low.Set || !high.Set {
				continue
			}
			strict := low == b.Above && b.Above.Set || high == b.Below && b.Below.Set
			if c := low.Value.Cmp(high.Value); c > 0 || c == 0 && strict {
				return true
			}
		}
	}
	return false
}

// Condition is one entry of a when; it holds if any operand fits, or if all
// bounds do.
type Condition struct {
	On       Subject
	Field    *Field
	Unit     string
	Operands []Operand
	Bounds   *Bounds
	Hours    [][2]int // minutes of the day, from and to
	Days     uint8    // bit n: time.Weekday(n)
	Text     string   // "service_tier = flex", for explanations
}

// Conditions all have to hold.
type Conditions struct {
	All  []Condition
	Zone *time.Location // of hours and days
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
type assumptions map[*Conditions]bool

func (c *circumstances) quantity(unit string) (money.Decimal, bool) {
	for i := range c.quantities {
		if c.quantities[i].measure.Unit == unit {
			return c.quantities[i].value, true
		}
	}
	return money.Decimal{}, false
}

// hold decides a list. If something stood where a number was wanted, and all
// else holds, the field is returned with wrong.
func (cs *Conditions) hold(c *circumstances) (verdict, *Condition) {
	var bad *Condition
	for i := range cs.All {
		switch cs.All[i].decide(cs, c) {
		case fails:
			return fails, nil
		case wrong:
			if bad == nil {
				bad = &cs.All[i]
			}
		case holds:
		}
	}
	if bad != nil {
		return wrong, bad
	}
	return holds, nil
}

func (k *Condition) decide(cs *Conditions, c *circumstances) verdict {
	switch k.On {
	case OnField:
		values := c.request
		if k.Field.InAnswer() {
			values = c.answer
		}
		if values == nil {
			return truth(c.any || c.assumed[cs])
		}
		return k.fits(&values[k.Field.slot])
	case OnModel:
		v := textOrAbsent(c.model)
		return k.fits(&v)
	case OnServiceTier:
		v := textOrAbsent(c.tier)
		return k.fits(&v)
	case OnInputTokens:
		return k.number(c.input, c.tokens)
	case OnOutputTokens:
		return k.number(c.output, c.tokens)
	case OnUnit:
		q, ok := c.quantity(k.Unit)
		return k.number(q, ok)
	case OnHours:
		t := c.at.In(cs.Zone)
		return k.hour(t.Hour()*60 + t.Minute())
	case OnDays:
		return truth(k.Days&(1<<c.at.In(cs.Zone).Weekday()) != 0)
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
	return value{Kind: textValue, Text: s}
}

func (k *Condition) hour(minute int) verdict {
	for _, h := range k.Hours {
		if h[0] < h[1] && minute >= h[0] && minute < h[1] ||
			h[0] > h[1] && (minute >= h[0] || minute < h[1]) {
			return holds
		}
	}
	return fails
}

// fits compares what a field holds.
func (k *Condition) fits(v *value) verdict {
	if v.Kind == absent {
		return fails
	}
	if k.Bounds != nil {
		return k.within(v)
	}
	if v.Kind == otherValue {
		return fails
	}
	for i := range k.Operands {
		o := &k.Operands[i]
		if v.Kind == numberValue && o.IsNumber {
			if n, err := jsonNumber(v.Text); err == nil && n.Cmp(o.Number) == 0 {
				return holds
			}
			continue
		}
		if selector.Glob(o.Text, v.Text) {
			return holds
		}
	}
	return fails
}

// within compares with bounds. Numbers too large or too small to be kept are
// beyond every bound.
func (k *Condition) within(v *value) verdict {
	switch v.Kind {
	case numberValue:
		n, err := jsonNumber(v.Text)
		switch {
		case errors.Is(err, money.ErrNegative):
			return truth(!k.Bounds.Above.Set && !k.Bounds.AtLeast.Set)
		case errors.Is(err, money.ErrOverflow) && strings.ContainsAny(v.Text, "-"):
			return k.number(money.Decimal{}, true)
		case errors.Is(err, money.ErrOverflow):
			return truth(!k.Bounds.Below.Set && !k.Bounds.AtMost.Set)
		case err != nil:
			return wrong
		}
		return k.number(n, true)
	case textValue:
		if n, ok := plainNumber(v.Text); ok && k.Field != nil && !k.Field.json() {
			return k.number(n, true)
		}
	default:
	}
	return wrong
}

// number compares a number that is known, or is not.
func (k *Condition) number(n money.Decimal, known bool) verdict {
	if !known {
		return fails
	}
	if b := k.Bounds; b != nil {
		return truth((!b.Above.Set || n.Cmp(b.Above.Value) > 0) && (!b.Below.Set || n.Cmp(b.Below.Value) < 0) &&
			(!b.AtLeast.Set || n.Cmp(b.AtLeast.Value) >= 0) && (!b.AtMost.Set || n.Cmp(b.AtMost.Value) <= 0))
	}
	for i := range k.Operands {
		if k.Operands[i].IsNumber && n.Cmp(k.Operands[i].Number) == 0 || k.Operands[i].Text == "*" {
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

// groupedDigits are numbers written as 200_000; without the "_" they are the same.
var groupedDigits = regexp.MustCompile(`([0-9])_([0-9])`)

// Text is the conditions in words: "input_tokens above 200000".
func (cs *Conditions) Text() string {
	if cs == nil {
		return ""
	}
	var parts []string
	for i := range cs.All {
		parts = append(parts, groupedDigits.ReplaceAllString(cs.All[i].Text, "$1$2"))
	}
	return strings.Join(parts, ", ")
}
