package pricing

import (
	"slices"

	"github.com/farebox-dev/farebox/meter/money"
)

// Rate is one number of a price table, and whether it was written.
type Rate struct {
	Value money.Decimal
	Set   bool
}

// UnitRate is the rate of one unit: per_image.
type UnitRate struct {
	Unit string
	Rate money.Decimal
}

// Table is a price: rates per request, per token kind and per unit, with a
// floor and a ceiling for the whole request. Token rates are per single token.
type Table struct {
	Request          Rate
	Tokens           [NumKinds]Rate
	Units            []UnitRate // never changed in place
	Minimum, Maximum Rate
	Free             bool // written as "free": nothing costs anything
	Line, Column     int
}

func (t *Table) Unit(name string) (money.Decimal, bool) {
	for i := range t.Units {
		if t.Units[i].Unit == name {
			return t.Units[i].Rate, true
		}
	}
	return money.Decimal{}, false
}

// units are those with a rate; a calculation that the free tier covers has no table.
func (t *Table) units() []UnitRate {
	if t == nil {
		return nil
	}
	return t.Units
}

// HasTokens reports whether any token kind has a rate.
func (t *Table) HasTokens() bool {
	for k := range t.Tokens {
		if t.Tokens[k].Set {
			return true
		}
	}
	return false
}

// Times multiplies every rate; minimum and maximum are not rates.
func (t *Table) Times(f money.Decimal) {
	t.Request.Value = t.Request.Value.Mul(f)
	for k := range t.Tokens {
		if t.Tokens[k].Set {
			t.Tokens[k].Value = t.Tokens[k].Value.Mul(f)
		}
	}
	if len(t.Units) > 0 {
		units := make([]UnitRate, len(t.Units))
		for i, u := range t.Units {
			units[i] = UnitRate{u.Unit, u.Rate.Mul(f)}
		}
		t.Units = units
	}
}

// Replace overwrites the rates that o names and leaves the others.
func (t *Table) Replace(o *Table) {
	if o.Request.Set {
		t.Request = o.Request
	}
	for k := range o.Tokens {
		if o.Tokens[k].Set {
			t.Tokens[k] = o.Tokens[k]
		}
	}
	if len(o.Units) > 0 {
		t.mergeUnits(o.Units, func(_, other money.Decimal) money.Decimal { return other })
	}
	if o.Minimum.Set {
		t.Minimum = o.Minimum
	}
	if o.Maximum.Set {
		t.Maximum = o.Maximum
	}
	t.Free = false
}

// mergeUnits adds the units that are new; of the others, choose gives the rate.
func (t *Table) mergeUnits(others []UnitRate, choose func(own, other money.Decimal) money.Decimal) {
	units := slices.Clone(t.Units)
	for _, u := range others {
		if i := slices.IndexFunc(units, func(own UnitRate) bool { return own.Unit == u.Unit }); i >= 0 {
			units[i].Rate = choose(units[i].Rate, u.Rate)
		} else {
			units = append(units, u)
		}
	}
	t.Units = units
}

// dearer raises every rate to that of o, if that is more: no usage costs less by
// the result than by either.
func (t *Table) dearer(o *Table) {
	most := func(x, y Rate) Rate {
		if !x.Set || y.Set && y.Value.Cmp(x.Value) > 0 {
			return y
		}
		return x
	}
	t.Request = most(t.Request, o.Request)
	own := *t // rates are lent between kinds
	for k := range NumKinds {
		a, _ := own.Token(k)
		b, _ := o.Token(k)
		if t.Tokens[k] = (Rate{a, true}); b.Cmp(a) > 0 {
			t.Tokens[k].Value = b
		}
	}
	t.mergeUnits(o.Units, func(own, other money.Decimal) money.Decimal {
		if other.Cmp(own) > 0 {
			return other
		}
		return own
	})
	t.Minimum = most(t.Minimum, o.Minimum)
	if t.Maximum = most(t.Maximum, o.Maximum); !own.Maximum.Set || !o.Maximum.Set {
		t.Maximum = Rate{}
	}
	t.Free = own.Free && o.Free
}

// Token is the rate of a kind, its own or lent.
func (t *Table) Token(k Kind) (money.Decimal, Kind) {
	for !t.Tokens[k].Set {
		if lender[k] == k {
			return money.Decimal{}, k
		}
		k = lender[k]
	}
	return t.Tokens[k].Value, k
}

// adjust is one entry of an adjust list.
type Adjustment struct {
	When         *Conditions
	Times        Rate   // times
	Rates        *Table // price with a mapping
	Price        *Table // price with a number or free
	ByModel      bool   // price: by_model
	Line, Column int
}

// Price is what an operation's price says: a table, or the model's.
type Price struct {
	ByModel bool
	Table   Table
}

// Words is a price in words.
func (p *Price) Words() string {
	if p.ByModel {
		return "by_model"
	}
	return p.Table.Words()
}
