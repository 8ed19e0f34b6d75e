package pricing

import "github.com/farebox-dev/farebox/meter/money"

// rate is one number of a price table, and whether it was written.
type rate struct {
	value money.Decimal
	set   bool
}

// unitRate is the rate of one unit: per_image.
type unitRate struct {
	unit string
	rate money.Decimal
}

// table is a price: rates per request, per token kind and per unit, with a
// floor and a ceiling for the whole request. Token rates are per single token.
type table struct {
	request          rate
	tokens           [NumKinds]rate
	units            []unitRate // never changed in place
	minimum, maximum rate
	free             bool // written as "free": nothing costs anything
	line, col        int
}

func (t *table) unit(name string) (money.Decimal, bool) {
	for i := range t.units {
		if t.units[i].unit == name {
			return t.units[i].rate, true
		}
	}
	return money.Decimal{}, false
}

// hasTokens reports whether any token kind has a rate.
func (t *table) hasTokens() bool {
	for k := range t.tokens {
		if t.tokens[k].set {
			return true
		}
	}
	return false
}

// times multiplies every rate; minimum and maximum are not rates.
func (t *table) times(f money.Decimal) {
	t.request.value = t.request.value.Mul(f)
	for k := range t.tokens {
		if t.tokens[k].set {
			t.tokens[k].value = t.tokens[k].value.Mul(f)
		}
	}
	if len(t.units) > 0 {
		units := make([]unitRate, len(t.units))
		for i, u := range t.units {
			units[i] = unitRate{u.unit, u.rate.Mul(f)}
		}
		t.units = units
	}
}

// replace overwrites the rates that o names and leaves the others.
func (t *table) replace(o *table) {
	if o.request.set {
		t.request = o.request
	}
	for k := range o.tokens {
		if o.tokens[k].set {
			t.tokens[k] = o.tokens[k]
		}
	}
	if len(o.units) > 0 {
		units := append([]unitRate(nil), t.units...)
	next:
		for _, u := range o.units {
			for i := range units {
				if units[i].unit == u.unit {
					units[i].rate = u.rate
					continue next
				}
			}
			units = append(units, u)
		}
		t.units = units
	}
	if o.minimum.set {
		t.minimum = o.minimum
	}
	if o.maximum.set {
		t.maximum = o.maximum
	}
	t.free = false
}

// dearer raises every rate to that of o, if that is more: no usage costs less by
// the result than by either.
func (t *table) dearer(o *table) {
	most := func(x, y rate) rate {
		if !x.set || y.set && y.value.Cmp(x.value) > 0 {
			return y
		}
		return x
	}
	t.request = most(t.request, o.request)
	own := *t // rates are lent between kinds
	for k := range NumKinds {
		a, _ := own.token(k)
		b, _ := o.token(k)
		if t.tokens[k] = (rate{a, true}); b.Cmp(a) > 0 {
			t.tokens[k].value = b
		}
	}
	units := append([]unitRate(nil), t.units...)
next:
	for _, u := range o.units {
		for i := range units {
			if units[i].unit == u.unit {
				if u.rate.Cmp(units[i].rate) > 0 {
					units[i].rate = u.rate
				}
				continue next
			}
		}
		units = append(units, u)
	}
	t.units = units
	t.minimum = most(t.minimum, o.minimum)
	if t.maximum = most(t.maximum, o.maximum); !own.maximum.set || !o.maximum.set {
		t.maximum = rate{}
	}
	t.free = own.free && o.free
}

// token is the rate of a kind, its own or lent.
func (t *table) token(k Kind) (money.Decimal, Kind) {
	for !t.tokens[k].set {
		if lender[k] == k {
			return money.Decimal{}, k
		}
		k = lender[k]
	}
	return t.tokens[k].value, k
}

// adjust is one entry of an adjust list.
type adjust struct {
	when      *conditions
	factor    rate   // times
	rates     *table // price with a mapping
	whole     *table // price with a number or free
	byModel   bool   // price: by_model
	line, col int
}

// price is what an operation's price says: a table, or the model's.
type price struct {
	byModel bool
	table   table
}
