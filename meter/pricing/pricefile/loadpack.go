package pricefile

import (
	"strings"

	"github.com/farebox-dev/farebox/meter/pricing"
)

func (l *loader) packs(n *Node) {
	if n == nil || !l.mapping(n) {
		return
	}
	for p := range n.entries() {
		l.book.Packs = append(l.book.Packs, l.pack(p))
		l.places["packs."+p.Key] = p.Value
	}
}

func (l *loader) pack(at *Pair) *pricing.Pack {
	l.id(at)
	p := &pricing.Pack{ID: at.Key, Name: at.Key, Type: "top_up", Line: at.line, Column: at.col}
	n := at.Value
	if !l.object(n, "pack") {
		return p
	}
	set(n, "name", &p.Name, l.text)
	if v := n.Get("price"); v != nil {
		l.packPrice(p, v)
	}
	if v := n.Get("credits"); v != nil {
		if p.ByPrice = v.is("by_price"); !p.ByPrice {
			p.Credits, _ = l.amount(v)
		} else {
			l.byPrice(p, v)
		}
	}
	if v := n.Get("expires"); v != nil && !v.is("never") {
		if d, ok := l.duration(v); ok {
			p.Expires = &d
		}
	}
	set(n, "type", &p.Type, l.grantType)
	if v := n.Get("only_plans"); v != nil {
		p.OnlyPlans = l.texts(v)
		if v.Kind == ListNode && len(v.Items) == 0 {
			l.fail(v, "the list is empty, so this pack could not be bought")
		}
	}
	p.OnlyFor = l.selector(n.Get("only_for"))
	p.NotFor = l.selector(n.Get("not_for"))
	return p
}

// byPrice checks that money can be turned into credits.
func (l *loader) byPrice(p *pricing.Pack, v *Node) {
	worth := l.book.Credit.Worth
	switch {
	case worth == nil:
		l.fail(v, `by_price needs credit.worth; write "worth: 0.01 USD" there`)
	case p.Price.Currency != "" && p.Price.Currency != worth.Currency:
		l.fail(v, "the price is in %s, but credit.worth in %s", p.Price.Currency, worth.Currency)
	}
}

// packPrice reads "5 USD" or "5 USD to 100 USD".
func (l *loader) packPrice(p *pricing.Pack, n *Node) {
	least, most, two := strings.Cut(n.Text, " to ")
	if n.Kind != ScalarNode || !two {
		p.Price, _ = l.money(n)
		return
	}
	part := func(text string) (pricing.Money, bool) {
		return l.money(n.part(text))
	}
	from, okFrom := part(least)
	to, okTo := part(most)
	if !okFrom || !okTo {
		return
	}
	p.Price, p.MaxPrice = from, &to
	switch {
	case from.Currency != to.Currency:
		l.fail(n, "the range is in two currencies")
	case from.Amount.Cmp(to.Amount) > 0:
		l.fail(n, "the range ends below its start")
	}
}
