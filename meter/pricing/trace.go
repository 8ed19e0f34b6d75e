package pricing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// trace is how a price was computed. The evaluation writes it once; the price,
// its explanation and what the journal keeps of it are read from it.
type trace struct {
	keep  bool // the steps will be read; holds only need the total
	steps []step
	times money.Decimal // what the operation's quantity came to
	total money.Decimal // after the last step
}

// step is one step. Its words are only found when somebody reads them.
type step struct {
	label     string // "input", "adjust", "markup", …
	n, price  money.Decimal
	total     money.Decimal // after this step; for rates, the sum so far
	token     bool
	bound     bool        // n is a bound
	adjust    *Adjustment // of "adjust"
	whose     byte        // its list: 'm' for the model's, 'o' for the operation's
	index     int         // in that list
	plan      *Plan       // of "plan"
	field     *Field      // of "quantity"
	line, col int
}

func (t *trace) add(s step) {
	if t.keep {
		t.steps = append(t.steps, s)
	}
	t.total = s.total
}

// resum sets the total after an adjustment.
func (t *trace) resum(total money.Decimal) {
	if t.keep {
		t.steps[len(t.steps)-1].total = total
	}
	t.total = total
}

// lines are the steps in words.
func (t *trace) lines() []Line {
	list := make([]Line, 0, len(t.steps))
	for i := range t.steps {
		s := &t.steps[i]
		list = append(list, Line{s.label, s.text(), s.total, s.line, s.col})
	}
	return list
}

func (s *step) text() string {
	switch {
	case s.adjust != nil:
		return s.adjust.words()
	case s.plan != nil:
		return s.plan.ID + " discount " + s.plan.DiscountText
	case s.field != nil:
		return s.field.Text + " × " + s.n.String()
	case s.token && s.bound:
		return fmt.Sprintf("at most %s tokens × %s / 1M", Grouping(s.n.String()), s.price.Shift(6))
	case s.token:
		return fmt.Sprintf("%s tokens × %s / 1M", Grouping(s.n.String()), s.price.Shift(6))
	}
	switch s.label {
	case "free tier":
		return "covers the whole request"
	case "markup":
		return s.n.Shift(2).String() + "%"
	case "minimum", "maximum":
		return s.total.String()
	}
	return fmt.Sprintf("%s %s × %s", Grouping(s.n.String()), s.label, s.price)
}

// words are an adjustment as explanations show it: "service_tier = flex × 0.5".
func (a *Adjustment) words() string {
	texts := make([]string, 0, len(a.When.All))
	for i := range a.When.All {
		texts = append(texts, a.When.All[i].Text)
	}
	text := strings.Join(texts, ", ")
	switch {
	case a.Times.Set:
		return text + " × " + a.Times.Value.String()
	case a.ByModel:
		return text + ": by_model"
	case a.Price != nil && a.Price.Free:
		return text + ": free"
	case a.Price != nil:
		return text + ": " + a.Price.Request.Value.String()
	}
	return text + ": " + a.Rates.Words()
}

// marks are what the journal keeps of a calculation in addition to the usage.
func (k *calculation) marks() (m Marks) {
	if k.r.op.Quantity != nil {
		m.times = Rate{k.trace.times, true}
	}
	m.pricedBy, m.named = k.entry, k.c.model
	for _, q := range k.c.quantities {
		m.units = append(m.units, UnitCount{q.measure.Unit, q.value})
	}
	for _, u := range k.table.units() {
		k.counted(&m, u.Unit)
	}
	for i := range k.trace.steps {
		if s := &k.trace.steps[i]; s.adjust != nil {
			m.Adjusts = append(m.Adjusts, string(s.whose)+strconv.Itoa(s.index))
		}
	}
	if m.Tier = k.c.tier; m.Tier != "" && !plainWord.MatchString(m.Tier) {
		m.Tier = "?" // whatever a client or an upstream has written there stays out
	}
	if k.plan != nil && k.plan.keep.Set {
		m.Plan = k.plan.ID
	}
	return m
}

// counted notes a unit that the answer did not report and that was charged as
// it was asked for.
func (k *calculation) counted(m *Marks, unit string) {
	if slices.ContainsFunc(m.units, func(u UnitCount) bool { return u.Unit == unit }) {
		return
	}
	if n, said := k.reported(unit); !said && !n.IsZero() {
		m.units = append(m.units, UnitCount{unit, n})
	}
}
