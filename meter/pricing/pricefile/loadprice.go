package pricefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// price reads "price" anywhere: a number, free, by_model, or rates.
func (l *loader) price(n *Node, path string) pricing.Price {
	t := pricing.Table{Line: n.line, Column: n.col}
	switch {
	case n.Kind == MappingNode:
		return pricing.Price{Table: l.rates(n, path, "rates")}
	case n.Kind == ScalarNode && n.Text == "free":
		t.Free = true
	case n.Kind == ScalarNode && n.Text == "by_model":
		return pricing.Price{ByModel: true, Table: t}
	default:
		if n.Kind == ScalarNode && !strings.ContainsAny(n.Text, "0123456789") {
			l.fail(n, path, `%q is not a price; write a number, "free", "by_model" or rates%s`, n.Text, suggest(n.Text, []string{"free", "by_model"}))
			break
		}
		t.Request = l.rate(n, path)
	}
	return pricing.Price{Table: t}
}

// rates reads the rates of a mapping, which may have other keys of its section.
func (l *loader) rates(n *Node, path, name string) pricing.Table {
	t := pricing.Table{Line: n.line, Column: n.col}
	if len(n.Pairs) == 0 {
		l.fail(n, path, "has no rates")
	}
	for i := range n.Pairs {
		p := &n.Pairs[i]
		at := join(path, p.Key)
		switch p.Key {
		case "per_request":
			t.Request = l.rate(p.Value, at)
		case "minimum":
			t.Minimum = l.rate(p.Value, at)
		case "maximum":
			t.Maximum = l.rate(p.Value, at)
		case "per_token":
			l.tokenRates(&t, p, at, 0)
		case "per_1k_tokens":
			l.tokenRates(&t, p, at, -3)
		case "per_1m_tokens":
			l.tokenRates(&t, p, at, -6)
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
				l.unknownKey(p, path, valid)
				continue
			}
			if d, ok := l.decimal(p.Value, at); ok {
				t.Units = append(t.Units, pricing.UnitRate{Unit: unit, Rate: d})
			}
		}
	}
	if t.Minimum.Set && t.Maximum.Set && t.Minimum.Value.Cmp(t.Maximum.Value) > 0 {
		l.fail(n, path, "minimum is above maximum")
	}
	return t
}

func (l *loader) tokenRates(t *pricing.Table, p *Pair, path string, shift int) {
	set := func(k pricing.Kind, n *Node, d money.Decimal) {
		if t.Tokens[k].Set {
			l.fail(n, path, "the rate of %s is given twice", k)
			return
		}
		t.Tokens[k] = pricing.Rate{Value: d.Shift(shift), Set: true}
	}
	if p.Value.Kind != MappingNode {
		if d, ok := l.decimal(p.Value, path); ok {
			set(pricing.Input, p.Value, d)
			set(pricing.Output, p.Value, d)
		}
		return
	}
	if len(p.Value.Pairs) == 0 {
		l.fail(p.Value, path, "has no rates")
	}
	for i := range p.Value.Pairs {
		q := &p.Value.Pairs[i]
		k, ok := pricing.KindByName(q.Key)
		if !ok {
			l.unknownKey(q, path, pricing.KindNames())
			continue
		}
		if d, ok := l.decimal(q.Value, path+"."+q.Key); ok {
			set(k, q.Value, d)
		}
	}
}

// adjusts reads a list of adjustments, of an operation or (op nil) a model.
func (l *loader) adjusts(n *Node, path string, op *pricing.Operation) []pricing.Adjustment {
	if n == nil || !l.list(n, path) {
		return nil
	}
	if len(n.Items) == 0 {
		l.fail(n, path, "the list is empty")
	}
	var list []pricing.Adjustment
	for i, item := range n.Items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !l.object(item, at, "adjustment") {
			continue
		}
		a := pricing.Adjustment{Line: item.line, Column: item.col, When: l.conditions(item.Get("when"), at+".when", op, false)}
		times, price := item.Get("times"), item.Get("price")
		switch {
		case times != nil && price != nil:
			l.fail(item, at, `"times" and "price" exclude each other`)
			continue
		case times != nil:
			a.Times = l.rate(times, at+".times")
		case price != nil:
			l.adjustPrice(&a, price, at+".price", op)
		default:
			l.fail(item, at, `"times" or "price" is missing`)
			continue
		}
		if a.When != nil {
			list = append(list, a)
		}
	}
	return list
}

func (l *loader) adjustPrice(a *pricing.Adjustment, n *Node, path string, op *pricing.Operation) {
	p := l.price(n, path)
	switch {
	case p.ByModel && op == nil:
		l.fail(n, path, "a model's own price is by_model already")
	case p.ByModel:
		a.ByModel = true
	case n.Kind == MappingNode:
		a.Rates = &p.Table
		if op != nil {
			l.chargedUnits(op, n, path, &p.Table)
		}
	default:
		a.Price = &p.Table
	}
}
