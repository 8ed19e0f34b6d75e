package pricing

import (
	"strings"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// ListedPrice is one line of a price list: an operation, or a model of one
// that is priced by model.
type ListedPrice struct {
	Operation, Name, Feature string
	Model, ModelName         string // "" unless priced by model
	Unit                     string // what the credits are for: "request", "image", "1M input tokens"; "" if there are several
	Words                    string // "24 per image"
	Credits                  *money.Decimal
	// Standard is what one request costs that leaves everything to the file's
	// defaults: 210 for a video of 5 seconds at 42. nil: it has no such defaults.
	Standard *money.Decimal
	Money    *Money // Credits × credit.worth
	Adjusted bool   // conditions can change it
	Tags     []string
}

// PricesList is every price of the book in words, markup included, discounts
// of plans not.
func (b *Book) PricesList() []ListedPrice {
	var list []ListedPrice
	for _, op := range b.Operations {
		if !op.Price.ByModel {
			list = append(list, b.listed(op, nil, op.Price.Table))
			continue
		}
		for _, m := range b.Models {
			if !m.pricesSome(op) {
				continue
			}
			t := m.Table
			if !b.Markup.IsZero() {
				t.Times(one.Add(b.Markup))
			}
			list = append(list, b.listed(op, m, t))
		}
	}
	return list
}

func (b *Book) listed(op *Operation, m *Model, t Table) ListedPrice {
	p := ListedPrice{Operation: op.ID, Name: op.Name, Feature: op.Feature, Words: t.Words(), Adjusted: len(op.Adjust) > 0, Tags: op.Tags}
	if m != nil {
		p.Model, p.ModelName, p.Adjusted = m.Key, m.Name, p.Adjusted || len(m.Adjust) > 0
		p.Tags = append(p.Tags[:len(p.Tags):len(p.Tags)], m.Tags...)
	}
	if f := op.FreeTier; f != nil && !t.Free {
		p.Words += ", after " + f.String()
	}
	if unit, credits, ok := t.single(); ok {
		p.Unit, p.Credits, p.Standard = unit, &credits, op.standard(unit, credits)
		if w := b.Credit.Worth; w != nil {
			p.Money = &Money{credits.Mul(w.Amount), w.Currency}
		}
	}
	return p
}

// String is the free tier in words: "20 free requests a month".
func (f *FreeTier) String() string {
	unit := strings.ReplaceAll(f.Unit, "_", " ")
	if f.Count.Cmp(one) != 0 {
		unit += "s"
	}
	article := " a "
	if f.Every == calendar.Hour {
		article = " an "
	}
	return f.Count.String() + " free " + unit + article + f.Every.String()
}

// standard is the price of a request with the default quantities.
func (op *Operation) standard(unit string, credits money.Decimal) *money.Decimal {
	n := one
	for _, m := range op.Measures {
		if m.Unit == unit {
			if !m.Default.Set {
				return nil
			}
			n = m.Default.Value
		}
	}
	if q := op.Quantity; q != nil && q.Default.Set {
		n = n.Mul(q.Default.Value)
	}
	price := credits.Mul(n)
	return &price
}

// Each is what the price list counts by, when it says how much of something an
// amount is enough for: standard requests if they are more than one unit, else
// units.
func (p *ListedPrice) Each() (unit string, credits money.Decimal, ok bool) {
	switch {
	case p.Credits == nil:
		return "", credits, false
	case p.Standard != nil && p.Standard.Cmp(*p.Credits) != 0:
		return "request", *p.Standard, true
	}
	return p.Unit, *p.Credits, true
}

// single is the only rate of a table, if there is only one.
func (t *Table) single() (unit string, credits money.Decimal, ok bool) {
	switch {
	case t.Free:
		return "request", money.Decimal{}, true
	case t.HasTokens() || t.Minimum.Set || t.Maximum.Set:
		return "", credits, false
	case t.Request.Set && len(t.Units) == 0:
		return "request", t.Request.Value, true
	case !t.Request.Set && len(t.Units) == 1:
		return t.Units[0].Unit, t.Units[0].Rate, true
	}
	return "", credits, false
}

// Words is a table in words.
func (t *Table) Words() string {
	if t.Free {
		return "free"
	}
	var parts []string
	if t.Request.Set {
		parts = append(parts, t.Request.Value.String()+" per request")
	}
	for _, u := range t.Units {
		parts = append(parts, u.Rate.String()+" per "+strings.ReplaceAll(u.Unit, "_", " "))
	}
	for k := range NumKinds {
		if t.Tokens[k].Set {
			parts = append(parts, t.Tokens[k].Value.Shift(6).String()+" per 1M "+strings.ReplaceAll(k.String(), "_", " ")+" tokens")
		}
	}
	if t.Minimum.Set {
		parts = append(parts, "at least "+t.Minimum.Value.String())
	}
	if t.Maximum.Set {
		parts = append(parts, "at most "+t.Maximum.Value.String())
	}
	if len(parts) == 0 {
		return "free"
	}
	return strings.Join(parts, ", ")
}
