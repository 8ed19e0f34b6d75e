package change

import (
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

var one = money.FromInt(1)

// Scale is what a recorded cost becomes in another book whose price for the
// same request is the same but for one factor. That needs no quantities: three
// pictures at twice the price cost twice as much. False if the prices differ in
// any other way.
func Scale(old, other *pricing.Book, rec *pricing.Recorded, was, is *pricing.Plan, cost money.Amount) (money.Amount, bool) {
	a, b := old.Operation(rec.Operation), other.Operation(rec.Operation)
	if a == nil || b == nil || a.Price.ByModel != b.Price.ByModel || old.Credit.Decimals != other.Credit.Decimals || !sameConditions(a.Adjust, b.Adjust) {
		return 0, false
	}
	s := scale{from: one, to: one}
	if !a.Price.ByModel {
		if !s.tables(&a.Price.Table, &b.Price.Table) {
			return 0, false
		}
	} else {
		m, n := rec.Entry(old), rec.Entry(other)
		if m == nil || n == nil || !sameConditions(m.Adjust, n.Adjust) || !s.tables(&m.Table, &n.Table) {
			return 0, false
		}
		s.from, s.to = s.from.Mul(one.Add(old.Markup)), s.to.Mul(one.Add(other.Markup))
	}
	s.plans(was, is)
	if s.from.Cmp(s.to) == 0 {
		return cost, true
	}
	if s.bounded || a.FreeTier != nil || b.FreeTier != nil || s.from.IsZero() {
		return 0, false
	}
	total := cost.Decimal(old.Credit.Decimals).Mul(s.to)
	scaled, err := money.Div(total, s.from, old.Credit.Decimals)
	if err == nil && scaled.Decimal(old.Credit.Decimals).Mul(s.from).Cmp(total) < 0 {
		scaled++ // prices are rounded up
	}
	return scaled, err == nil
}

// scale is the factor to ÷ from between two prices.
type scale struct {
	from, to money.Decimal
	bounded  bool // by a minimum or maximum, which does not scale
}

// tables reports whether every rate changes by the same factor, and takes it.
func (s *scale) tables(a, b *pricing.Table) bool {
	type pair struct{ from, to money.Decimal }
	pairs := []pair{{a.Request.Value, b.Request.Value}}
	for _, unit := range unitsOf(a, b) {
		x, _ := a.Unit(unit)
		y, _ := b.Unit(unit)
		pairs = append(pairs, pair{x, y})
	}
	for k := range pricing.NumKinds {
		x, _ := a.Token(k)
		y, _ := b.Token(k)
		pairs = append(pairs, pair{x, y})
	}
	found := false
	for _, p := range pairs {
		if p.from.IsZero() && p.to.IsZero() {
			continue
		}
		if !found {
			s.from, s.to, found = p.from, p.to, true
		}
		if p.from.Mul(s.to).Cmp(p.to.Mul(s.from)) != 0 {
			return false
		}
	}
	s.bounded = a.Minimum.Set || a.Maximum.Set || b.Minimum.Set || b.Maximum.Set
	return a.Minimum == b.Minimum && a.Maximum == b.Maximum || s.from.Cmp(s.to) != 0
}

func (s *scale) plans(was, is *pricing.Plan) {
	s.from, s.to = s.from.Mul(was.Keeps()), s.to.Mul(is.Keeps())
}

// sameConditions: the same adjustments in the same order, and only factors,
// which do not care what they multiply; or none.
func sameConditions(a, b []pricing.Adjustment) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := &a[i], &b[i]
		if x.When.Text() != y.When.Text() || !x.Times.Set || !y.Times.Set || x.Times.Value.Cmp(y.Times.Value) != 0 {
			return false
		}
	}
	return true
}
