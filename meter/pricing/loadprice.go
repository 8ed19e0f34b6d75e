package pricing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// price reads "price" anywhere: a number, free, by_model, or rates.
func (l *loader) price(n *node, path string) Price {
	t := Table{Line: n.line, Column: n.col}
	switch {
	case n.kind == mappingNode:
		return Price{Table: l.rates(n, path, nil)}
	case n.kind == scalarNode && n.text == "free":
		t.Free = true
	case n.kind == scalarNode && n.text == "by_model":
		return Price{ByModel: true, Table: t}
	default:
		if n.kind == scalarNode && !strings.ContainsAny(n.text, "0123456789") {
			l.fail(n, path, `%q is not a price; write a number, "free", "by_model" or rates%s`, n.text, suggest(n.text, []string{"free", "by_model"}))
			break
		}
		t.Request = l.rate(n, path)
	}
	return Price{Table: t}
}

var rateKeys = []string{"per_request", "per_token", "per_1k_tokens", "per_1m_tokens", "minimum", "maximum"}

// rates reads the rates of a mapping; more lists keys that mean other things.
func (l *loader) rates(n *node, path string, more []string) Table {
	t := Table{Line: n.line, Column: n.col}
	if len(n.pairs) == 0 {
		l.fail(n, path, "has no rates")
	}
	for i := range n.pairs {
		p := &n.pairs[i]
		at := join(path, p.key)
		switch p.key {
		case "per_request":
			t.Request = l.rate(p.value, at)
		case "minimum":
			t.Minimum = l.rate(p.value, at)
		case "maximum":
			t.Maximum = l.rate(p.value, at)
		case "per_token":
			l.tokenRates(&t, p, at, 0)
		case "per_1k_tokens":
			l.tokenRates(&t, p, at, -3)
		case "per_1m_tokens":
			l.tokenRates(&t, p, at, -6)
		default:
			if slices.Contains(more, p.key) {
				continue
			}
			unit, ok := strings.CutPrefix(p.key, "per_")
			if !ok || !unitForm.MatchString(unit) || strings.HasSuffix(unit, "tokens") {
				valid := append(append([]string{}, rateKeys...), more...)
				for u := range l.units {
					valid = append(valid, "per_"+u)
				}
				l.unknownKey(p, path, valid)
				continue
			}
			if d, ok := l.decimal(p.value, at); ok {
				t.Units = append(t.Units, UnitRate{unit, d})
			}
		}
	}
	if t.Minimum.Set && t.Maximum.Set && t.Minimum.Value.Cmp(t.Maximum.Value) > 0 {
		l.fail(n, path, "minimum is above maximum")
	}
	return t
}

func (l *loader) tokenRates(t *Table, p *pair, path string, shift int) {
	set := func(k Kind, n *node, d money.Decimal) {
		if t.Tokens[k].Set {
			l.fail(n, path, "the rate of %s is given twice", k)
			return
		}
		t.Tokens[k] = Rate{d.Shift(shift), true}
	}
	if p.value.kind != mappingNode {
		if d, ok := l.decimal(p.value, path); ok {
			set(Input, p.value, d)
			set(Output, p.value, d)
		}
		return
	}
	if len(p.value.pairs) == 0 {
		l.fail(p.value, path, "has no rates")
	}
	for i := range p.value.pairs {
		q := &p.value.pairs[i]
		k, ok := KindByName(q.key)
		if !ok {
			l.unknownKey(q, path, kindNames[:])
			continue
		}
		if d, ok := l.decimal(q.value, path+"."+q.key); ok {
			set(k, q.value, d)
		}
	}
}

// adjusts reads a list of adjustments, of an operation or (op nil) a model.
func (l *loader) adjusts(n *node, path string, op *Operation) []Adjustment {
	if n == nil || !l.list(n, path) {
		return nil
	}
	if len(n.items) == 0 {
		l.fail(n, path, "the list is empty")
	}
	var list []Adjustment
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !l.object(item, at, adjustKeys) {
			continue
		}
		l.required(item, at, "when", "an adjustment without a condition belongs into the price itself")
		a := Adjustment{Line: item.line, Column: item.col, When: l.conditions(item.get("when"), at+".when", op, false)}
		times, price := item.get("times"), item.get("price")
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

func (l *loader) adjustPrice(a *Adjustment, n *node, path string, op *Operation) {
	p := l.price(n, path)
	switch {
	case p.ByModel && op == nil:
		l.fail(n, path, "a model's own price is by_model already")
	case p.ByModel:
		a.ByModel = true
	case n.kind == mappingNode:
		a.Rates = &p.Table
		if op != nil {
			l.chargedUnits(op, n, path, &p.Table)
		}
	default:
		a.Price = &p.Table
	}
}
