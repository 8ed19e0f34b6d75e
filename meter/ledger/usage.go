package ledger

import (
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// Label is a column of reports that the operator has defined, and its value.
type Label struct{ Name, Value string }

// Usage is what an answer was priced by.
type Usage struct {
	Quantities []Quantity
	Marks      []Mark
}

// Quantity is a counted unit: 610 image, 12034 input.
type Quantity struct {
	Unit  string
	Count money.Decimal
}

// Mark is something else that a price depended on: tier flex.
type Mark struct{ Name, Value string }

// String is the usage for people: "input=12 output=30 tier:flex".
func (u Usage) String() string {
	words := make([]string, 0, len(u.Quantities)+len(u.Marks))
	for _, q := range u.Quantities {
		words = append(words, q.Unit+"="+q.Count.String())
	}
	for _, m := range u.Marks {
		words = append(words, m.Name+":"+m.Value)
	}
	return strings.Join(words, " ")
}

// Count is how much of a unit was used; not ok if the usage does not say.
func (u Usage) Count(unit string) (n money.Decimal, ok bool) {
	i := slices.IndexFunc(u.Quantities, func(q Quantity) bool { return q.Unit == unit })
	if i < 0 {
		return n, false
	}
	return u.Quantities[i].Count, true
}
