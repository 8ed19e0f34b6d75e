package pricefile

import (
	"strings"

	"github.com/farebox-dev/farebox/meter/pricing"
)

func (l *loader) packs(n *Node) {
	if n == nil || !l.mapping(n, "packs") {
		return
	}
	for i := range n.Pairs {
		p := l.pack(&n.Pairs[i])
		l.book.Packs = append(l.book.Packs, p)
		l.places["packs."+p.ID] = n.Pairs[i].Value
	}
}

func (l *loader) pack(at *Pair) *pricing.Pack {
	path := join("packs", at.Key)
	l.id(at, path)
	p := &pricing.Pack{ID: at.Key, Name: at.Key, Type: "top_up", Line: at.line, Column: at.col}
	n := at.Value
	if !l.object(n, path, "pack") {
		return p
	}
	set(n, path, "name", &p.Name, l.text)
	if v := n.Get("price"); v != nil {
		l.packPrice(p, v, path+".price")
	}
	if v := n.Get("credits"); v != nil {
		if p.ByPrice = v.Kind == ScalarNode && v.Text == "by_price"; !p.ByPrice {
			p.Credits, _ = l.amount(v, path+".credits")
		} else {
			l.byPrice(p, v, path+".credits")
		}
	}
	if v := n.Get("expires"); v != nil && (v.Kind != ScalarNode || v.Text != "never") {
		if d, ok := l.duration(v, path+".expires"); ok {
			p.Expires = &d
		}
	}
	set(n, path, "type", &p.Type, l.grantType)
	if v := n.Get("only_plans"); v != nil {
		p.OnlyPlans = l.texts(v, path+".only_plans")
		if v.Kind == ListNode && len(v.Items) == 0 {
			l.fail(v, path+".only_plans", "the list is empty, so this pack could not be bought")
		}
	}
	p.OnlyFor = l.selector(n.Get("only_for"), path+".only_for")
	p.NotFor = l.selector(n.Get("not_for"), path+".not_for")
	return p
}

// byPrice checks that money can be turned into credits.
func (l *loader) byPrice(p *pricing.Pack, v *Node, path string) {
	worth := l.book.Credit.Worth
	switch {
	case worth == nil:
		l.fail(v, path, `by_price needs credit.worth; write "worth: 0.01 USD" there`)
	case p.Price.Currency != "" && p.Price.Currency != worth.Currency:
		l.fail(v, path, "the price is in %s, but credit.worth in %s", p.Price.Currency, worth.Currency)
	}
}

// packPrice reads "5 USD" or "5 USD to 100 USD".
func (l *loader) packPrice(p *pricing.Pack, n *Node, path string) {
	least, most, two := strings.Cut(n.Text, " to ")
	if n.Kind != ScalarNode || !two {
		p.Price, _ = l.money(n, path)
		return
	}
	part := func(text string) (pricing.Money, bool) {
		return l.money(&Node{Kind: ScalarNode, Text: text, line: n.line, col: n.col, width: n.width}, path)
	}
	from, okFrom := part(least)
	to, okTo := part(most)
	if !okFrom || !okTo {
		return
	}
	p.Price, p.MaxPrice = from, &to
	switch {
	case from.Currency != to.Currency:
		l.fail(n, path, "the range is in two currencies")
	case from.Amount.Cmp(to.Amount) > 0:
		l.fail(n, path, "the range ends below its start")
	}
}
