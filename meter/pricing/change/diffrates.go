package change

import (
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// priceChanges compares the prices of an operation.
func priceChanges(id string, a, b *pricing.Price) []Change {
	if a.ByModel != b.ByModel {
		return []Change{{Section: "operations", ID: id, What: "price", Old: a.Words(), New: b.Words()}}
	}
	if a.ByModel {
		return nil
	}
	return tableChanges("operations", id, "", &a.Table, &b.Table)
}

// tableChanges compares two tables rate by rate; note says under which
// condition they are in force. A kind of token without a rate has its lender's.
func tableChanges(section, id, note string, a, b *pricing.Table) (list []Change) {
	add := func(what string, from, to money.Decimal, isOld, isNew bool) {
		if from.Cmp(to) == 0 {
			return
		}
		c := Change{Section: section, ID: id, What: what + note, Old: from.String(), New: to.String(), From: &from, To: &to}
		if !isOld {
			c.Old = "nothing"
		}
		if !isNew {
			c.New = "nothing"
		}
		list = append(list, c)
	}
	add("per request", a.Request.Value, b.Request.Value, a.Request.Set, b.Request.Set)
	for _, unit := range unitsOf(a, b) {
		from, isOld := a.Unit(unit)
		to, isNew := b.Unit(unit)
		add("per "+strings.ReplaceAll(unit, "_", " "), from, to, isOld, isNew)
	}
	for k := range pricing.NumKinds {
		if a.Tokens[k].Set || b.Tokens[k].Set {
			from, lentA := a.Token(k)
			to, lentB := b.Token(k)
			add(k.String()+" per 1M", from.Shift(6), to.Shift(6), a.Tokens[lentA].Set, b.Tokens[lentB].Set)
		}
	}
	add("minimum", a.Minimum.Value, b.Minimum.Value, a.Minimum.Set, b.Minimum.Set)
	add("maximum", a.Maximum.Value, b.Maximum.Value, a.Maximum.Set, b.Maximum.Set)
	return list
}

func unitsOf(a, b *pricing.Table) (units []string) {
	for _, u := range a.Units {
		units = append(units, u.Unit)
	}
	for _, u := range b.Units {
		if _, known := a.Unit(u.Unit); !known {
			units = append(units, u.Unit)
		}
	}
	return units
}

// Jumps lists the rates that another price file changes by more than a share of
// what they were (0.5: by half). What both files price is compared as requests
// would find it: a model's name may be caught by a pattern in one of them. What
// is new has nothing to be compared with, what is gone is refused.
func Jumps(old, other *pricing.Book, limit money.Decimal, at time.Time) (jumps []Change) {
	var all []Change
	for _, op := range other.Operations {
		if was := old.Operation(op.ID); was != nil {
			all = append(all, priceChanges(op.ID, &was.Price, &op.Price)...)
			if was.Price.ByModel == op.Price.ByModel {
				all = append(all, adjustChanges("operations", op.ID, was.Price.Table, op.Price.Table, was.Adjust, op.Adjust)...)
			}
		}
	}
	for _, name := range modelNames(old, other) {
		was, is := old.NamedModel(name, at), other.NamedModel(name, at)
		if was == nil || is == nil {
			continue
		}
		a, b := marked(old, was), marked(other, is)
		all = append(all, tableChanges("models", name, "", &a, &b)...)
		all = append(all, adjustChanges("models", name, a, b, was.Adjust, is.Adjust)...)
	}
	for _, c := range all {
		if c.exceeds(limit) {
			jumps = append(jumps, c)
		}
	}
	return jumps
}

// exceeds: a price of another form can't be compared, so a person has to look.
func (c *Change) exceeds(limit money.Decimal) bool {
	if c.From == nil || c.To == nil {
		return true
	}
	by, more := c.To.Sub(*c.From)
	if !more {
		by, _ = c.From.Sub(*c.To)
	}
	return by.Cmp(c.From.Mul(limit)) > 0
}

func modelNames(a, b *pricing.Book) (names []string) {
	for _, m := range b.Models {
		names = append(names, m.Key)
	}
	for _, m := range a.Models {
		if b.Model(m.Key) == nil {
			names = append(names, m.Key)
		}
	}
	return names
}

// marked is the table of a model with the markup.
func marked(b *pricing.Book, m *pricing.Model) pricing.Table {
	t := m.Table
	if !b.Markup.IsZero() {
		t.Times(one.Add(b.Markup))
	}
	return t
}

// adjustChanges compares what two entries cost under the conditions that either
// of them has, each condition alone.
func adjustChanges(section, id string, a, b pricing.Table, was, is []pricing.Adjustment) (list []Change) {
	seen := map[string]bool{}
	for _, adj := range append(append([]pricing.Adjustment(nil), is...), was...) {
		when := adj.When.Text()
		if seen[when] {
			continue
		}
		seen[when] = true
		x, y := a, b
		before, after := under(&x, when, was), under(&y, when, is)
		if before == after {
			continue // only the rates have changed, and they are listed already
		}
		list = append(list, beyond(tableChanges(section, id, " ("+when+")", &x, &y), tableChanges(section, id, " ("+when+")", &a, &b))...)
	}
	return list
}

// beyond are the changes that are not changes of the ordinary rates as well.
func beyond(list, ordinary []Change) []Change {
	return slices.DeleteFunc(list, func(c Change) bool {
		return slices.ContainsFunc(ordinary, func(o Change) bool { return o.What == c.What && o.Old == c.Old && o.New == c.New })
	})
}

// under changes a table as the adjustments with this condition do, and says how.
func under(t *pricing.Table, when string, list []pricing.Adjustment) (how string) {
	for i := range list {
		adj := &list[i]
		if adj.When.Text() != when {
			continue
		}
		switch {
		case adj.ByModel:
			how += "by_model; "
		case adj.Price != nil:
			*t = *adj.Price
			how += t.Words() + "; "
		case adj.Times.Set:
			t.Times(adj.Times.Value)
			how += "times " + adj.Times.Value.String() + "; "
		default:
			t.Replace(adj.Rates)
			how += adj.Rates.Words() + "; "
		}
	}
	return how
}
