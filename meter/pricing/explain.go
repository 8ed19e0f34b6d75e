package pricing

import (
	"fmt"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// Line is one step of a calculation.
type Line struct {
	Label        string        // "input", "adjust", "markup", …
	Text         string        // "10,000 tokens × 2.50 / 1M"
	Total        money.Decimal // the price after this step; for rates, the sum so far
	Line, Column int           // in the price file; 0 if the step has no place
}

// Explanation is a price, step by step.
type Explanation struct {
	Operation *Operation
	Model     *Model // nil: none
	Lines     []Line
	Quote     Quote
	Hold      bool // Quote is a hold; else a final cost
	book      *Book
}

// Grouping puts a comma before every third digit: "10,000".
func Grouping(s string) string {
	whole, fraction, point := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		return whole + "." + fraction
	}
	return whole
}

// Explain is Hold, step by step.
func (e Estimate) Explain() (*Explanation, error) {
	r := e.r
	x := &Explanation{Operation: r.op, Model: r.Model(), Hold: true, book: r.book}
	if r.Free() {
		return x, nil
	}
	q, err := e.quote(-1)
	if err != nil {
		return nil, err
	}
	if r.modelLater() {
		x.Model = r.book.exact[q.Model]
	}
	x.Quote, err = e.by(x.Model, -1, q.supposed, &x.Lines)
	return x, err
}

// Breakdown is the calculation in one line: "5 second × 42, × 2 (body.resolution = 1080p)".
func (e *Explanation) Breakdown() string {
	parts := make([]string, 0, len(e.Lines))
	for _, l := range e.Lines {
		switch l.Label {
		case "adjust", "markup", "plan", "quantity", "minimum", "maximum", "free tier":
			parts = append(parts, l.Label+" "+l.Text)
		default:
			if strings.Contains(l.Text, " tokens ") {
				parts = append(parts, l.Label+" "+l.Text)
			} else {
				parts = append(parts, l.Text)
			}
		}
	}
	return strings.Join(parts, "; ")
}

// String is the explanation as "farebox meter prices explain" prints it.
func (e *Explanation) String() string {
	var s strings.Builder
	if e.Operation == nil {
		return "operation   none, the request is free (policies.unpriced)\n"
	}
	fmt.Fprintf(&s, "operation   %s  (%s:%d:%d)", e.Operation.ID, e.book.File, e.Operation.Line, e.Operation.Column)
	if e.Model != nil {
		fmt.Fprintf(&s, "          model %s (%d:%d)", e.Model.Key, e.Model.Line, e.Model.Column)
	}
	s.WriteByte('\n')
	for _, l := range e.Lines {
		at := ""
		if l.Line > 0 {
			at = fmt.Sprintf("  (%d:%d)", l.Line, l.Column)
		}
		fmt.Fprintf(&s, "  %-18s %-44s %14s%s\n", l.Label, l.Text, l.Total, at)
	}
	label, after := "cost", ""
	if e.Hold {
		label, after = "hold", " before the request, settled to the real usage afterwards"
	}
	fmt.Fprintf(&s, "%-12s%s %s%s\n", label, e.Quote.Amount.Text(e.book.Credit.Decimals), e.book.Credit.UnitFor(e.Quote.Amount), after)
	return s.String()
}
