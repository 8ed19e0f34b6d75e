package pricefile

import (
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// price reads "price" anywhere: a number, free, by_model, or rates.
func (l *loader) price(n *Node) pricing.Price {
	t := pricing.Table{Line: n.line, Column: n.col}
	switch {
	case n.Kind == MappingNode:
		return pricing.Price{Table: l.rates(n, "rates")}
	case n.is("free"):
		t.Free = true
	case n.is("by_model"):
		return pricing.Price{ByModel: true, Table: t}
	default:
		if n.Kind == ScalarNode && !strings.ContainsAny(n.Text, "0123456789") {
			l.fail(n, `%q is not a price; write a number, "free", "by_model" or rates%s`, n.Text, suggest(n.Text, []string{"free", "by_model"}))
			break
		}
		t.Request = l.rate(n)
	}
	return pricing.Price{Table: t}
}

// rates reads the rates of a mapping, which may have other keys of its section.
func (l *loader) rates(n *Node, name string) pricing.Table {
	t := pricing.Table{Line: n.line, Column: n.col}
	if len(n.Pairs) == 0 {
		l.fail(n, "has no rates")
	}
	for p := range n.entries() {
		switch p.Key {
		case "per_request":
			t.Request = l.rate(p.Value)
		case "minimum":
			t.Minimum = l.rate(p.Value)
		case "maximum":
			t.Maximum = l.rate(p.Value)
		case "per_token":
			l.tokenRates(&t, p, 0)
		case "per_1k_tokens":
			l.tokenRates(&t, p, -3)
		case "per_1m_tokens":
			l.tokenRates(&t, p, -6)
		default:
			valid := section(name).Names()
			if slices.Contains(valid, p.Key) {
				continue
			}
			unit, ok := strings.CutPrefix(p.Key, "per_")
			if !ok || !unitForm.MatchString(unit) || strings.HasSuffix(unit, "tokens") {
				for u := range l.units {
					valid = append(valid, "per_"+u)
				}
				l.unknownKey(p, valid)
				continue
			}
			if d, ok := l.decimal(p.Value); ok {
				t.Units = append(t.Units, pricing.UnitRate{Unit: unit, Rate: d})
			}
		}
	}
	if t.Minimum.Set && t.Maximum.Set && t.Minimum.Value.Cmp(t.Maximum.Value) > 0 {
		l.fail(n, "minimum is above maximum")
	}
	return t
}

func (l *loader) tokenRates(t *pricing.Table, p *Pair, shift int) {
	set := func(k pricing.Kind, n *Node, d money.Decimal) {
		if t.Tokens[k].Set {
			l.fail(n, "the rate of %s is given twice", k)
			return
		}
		t.Tokens[k] = pricing.Rate{Value: d.Shift(shift), Set: true}
	}
	if p.Value.Kind != MappingNode {
		if d, ok := l.decimal(p.Value); ok {
			set(pricing.Input, p.Value, d)
			set(pricing.Output, p.Value, d)
		}
		return
	}
	if len(p.Value.Pairs) == 0 {
		l.fail(p.Value, "has no rates")
	}
	for q := range p.Value.entries() {
		k, ok := pricing.KindByName(q.Key)
		if !ok {
			l.unknownKey(q, pricing.KindNames())
			continue
		}
		if d, ok := l.decimal(q.Value); ok {
			set(k, q.Value, d)
		}
	}
}

// adjusts reads a list of adjustments, of an operation or (op nil) a model.
func (l *loader) adjusts(n *Node, op *pricing.Operation) []pricing.Adjustment {
	if n == nil || !l.list(n) {
		return nil
	}
	if len(n.Items) == 0 {
		l.fail(n, "the list is empty")
	}
	var list []pricing.Adjustment
	for item := range n.items() {
		if !l.object(item, "adjustment") {
			continue
		}
		a := pricing.Adjustment{Line: item.line, Column: item.col, When: l.conditions(item.Get("when"), op, false)}
		times, price := item.Get("times"), item.Get("price")
		switch {
		case times != nil && price != nil:
			l.fail(item, `"times" and "price" exclude each other`)
			continue
		case times != nil:
			a.Times = l.rate(times)
		case price != nil:
			l.adjustPrice(&a, price, op)
		default:
			l.fail(item, `"times" or "price" is missing`)
			continue
		}
		if a.When != nil {
			list = append(list, a)
		}
	}
	return list
}

func (l *loader) adjustPrice(a *pricing.Adjustment, n *Node, op *pricing.Operation) {
	p := l.price(n)
	switch {
	case p.ByModel && op == nil:
		l.fail(n, "a model's own price is by_model already")
	case p.ByModel:
		a.ByModel = true
	case n.Kind == MappingNode:
		a.Rates = &p.Table
		if op != nil {
			l.chargedUnits(op, n, &p.Table)
		}
	default:
		a.Price = &p.Table
	}
}
