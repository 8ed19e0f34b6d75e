package pricing

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

var grantKeys = []string{"type", "amount", "every", "rollover", "expires", "only_for", "not_for"}

var planKeys = []string{
	"name", "price", "credits", "allow", "deny", "discount", "when_empty", "overage", "lasts", "renews", "caps",
	"proration", "estimate", "metadata",
}

func (l *loader) plans(n *node) {
	if n == nil || !l.mapping(n, "plans") {
		return
	}
	for i := range n.pairs {
		p := l.plan(&n.pairs[i])
		l.book.Plans = append(l.book.Plans, p)
		l.places["plans."+p.ID] = n.pairs[i].value
	}
}

func (l *loader) plan(at *pair) *Plan {
	path := join("plans", at.key)
	l.id(at, path)
	p := &Plan{ID: at.key, Name: at.key, Proration: "none", DiscountText: "0%", BillingPeriod: calendar.Month, Line: at.line, Column: at.col}
	n := at.value
	if n.kind == nullNode {
		return p // a plan without credits and without limits
	}
	if !l.object(n, path, planKeys) {
		return p
	}
	if v := n.get("name"); v != nil {
		p.Name, _ = l.text(v, path+".name")
	}
	if v := n.get("credits"); v != nil && l.list(v, path+".credits") {
		for i, item := range v.items {
			if g := l.grant(item, fmt.Sprintf("%s.credits[%d]", path, i)); g != nil {
				p.Grants = append(p.Grants, g)
			}
		}
	}
	l.planPrice(p, n.get("price"), path+".price")
	p.Allow = l.selector(n.get("allow"), path+".allow")
	p.Deny = l.selector(n.get("deny"), path+".deny")
	if v := n.get("discount"); v != nil {
		l.discount(p, v, path+".discount")
	}
	l.overage(p, n, path)
	if v := n.get("lasts"); v != nil {
		if d, ok := l.duration(v, path+".lasts"); ok {
			p.Lasts = &d
		}
	}
	if v := n.get("renews"); v != nil {
		word, _ := l.enum(v, path+".renews", "automatic", "when_paid")
		p.RenewsWhenPaid = word == "when_paid"
	}
	l.caps(p, n.get("caps"), path+".caps")
	if v := n.get("proration"); v != nil {
		if word, ok := l.enum(v, path+".proration", "none", "time"); ok {
			p.Proration = word
		}
	}
	if v := n.get("estimate"); v != nil {
		p.EstimateBytes = new(bool)
		*p.EstimateBytes = l.estimate(v, path+".estimate")
	}
	if v := n.get("metadata"); v != nil && l.mapping(v, path+".metadata") {
		p.Metadata = metadata(v)
	}
	return p
}

func (l *loader) discount(p *Plan, v *node, path string) {
	d, ok := l.percent(v, path)
	if !ok {
		return
	}
	if _, ok := one.Sub(d); !ok {
		l.fail(v, path, "%s is more than everything", v.text)
		return
	}
	p.Discount, p.DiscountText = d, v.text
}

var planPriceForm = regexp.MustCompile(`^([^/]*[^/ ])( / (.*))?$`)

// planPrice reads "29 USD / month" and settles the billing period.
func (l *loader) planPrice(p *Plan, n *node, path string) {
	for _, g := range p.Grants {
		if g.Renewed && g.Every >= calendar.Month {
			p.BillingPeriod = g.Every
			break
		}
	}
	if n == nil {
		return
	}
	if n.kind == scalarNode && n.text == "custom" {
		p.Custom, p.PriceText = true, n.text
		return
	}
	m := planPriceForm.FindStringSubmatch(n.text)
	if n.kind != scalarNode || m == nil {
		l.notMoney(n, path)
		return
	}
	price, ok := parseMoney(m[1])
	if !ok {
		l.notMoney(&node{kind: scalarNode, text: m[1], line: n.line, col: n.col, width: n.width}, path)
		return
	}
	p.Price, p.PriceText = &price, n.text
	if m[2] == "" {
		return
	}
	switch m[3] {
	case "month", "quarter", "year":
		p.BillingPeriod, _ = calendar.ParseUnit(m[3])
	default:
		l.fail(n, path, "%q is not one of month, quarter, year%s", m[3], suggest(m[3], []string{"month", "quarter", "year"}))
	}
}

func (l *loader) grant(n *node, path string) *Grant {
	if !l.object(n, path, grantKeys) {
		return nil
	}
	g := &Grant{}
	l.required(n, path, "type", "write a type such as subscription")
	l.required(n, path, "amount", "write an amount, or unlimited")
	if v := n.get("type"); v != nil {
		g.Type, _ = l.grantType(v, path+".type")
	}
	if v := n.get("amount"); v != nil {
		if g.Unlimited = v.kind == scalarNode && v.text == "unlimited"; !g.Unlimited {
			g.Amount, _ = l.amount(v, path+".amount")
		}
	}
	every, expires, rollover := n.get("every"), n.get("expires"), n.get("rollover")
	if every != nil && expires != nil {
		l.fail(n, path, `"every" and "expires" exclude each other; renewed credits end at renewal (or "rollover: all")`)
	}
	if every != nil {
		g.Every, g.Renewed = l.every(every, path+".every")
	}
	if rollover != nil {
		l.rollover(g, rollover, path+".rollover")
		if every == nil {
			l.warn(rollover, path+".rollover", `has no effect without "every"`)
		}
	}
	if expires != nil {
		switch {
		case expires.kind == scalarNode && expires.text == "never":
		case expires.kind == scalarNode && expires.text == "end_of_plan":
			g.Expires = ExpiresWithPlan
		default:
			g.Expires = ExpiresAfter
			g.ExpiresAfter, _ = l.duration(expires, path+".expires")
		}
	}
	g.OnlyFor = l.selector(n.get("only_for"), path+".only_for")
	g.NotFor = l.selector(n.get("not_for"), path+".not_for")
	return g
}

func (l *loader) rollover(g *Grant, n *node, path string) {
	switch {
	case n.kind == scalarNode && n.text == "none":
		g.Rollover = RolloverNone
	case n.kind == scalarNode && n.text == "all":
		g.Rollover = RolloverAll
	case n.kind == scalarNode && !strings.ContainsAny(n.text, "0123456789"):
		l.fail(n, path, "%q is not none, all or an amount%s", n.text, suggest(n.text, []string{"none", "all"}))
	default:
		g.Rollover = RolloverLimit
		g.RolloverLimit, _ = l.amount(n, path)
	}
}

func (l *loader) overage(p *Plan, n *node, path string) {
	when, how := n.get("when_empty"), n.get("overage")
	on := false
	if when != nil {
		word, _ := l.enum(when, path+".when_empty", "block", "overage")
		on = word == "overage"
	}
	if how != nil && when == nil {
		l.fail(how, path+".overage", `has no effect without "when_empty: overage"`)
		return
	}
	o := &Overage{Times: one}
	if how != nil && l.object(how, path+".overage", overageKeys) {
		if v := how.get("limit"); v != nil && (v.kind != scalarNode || v.text != "none") {
			o.Limited = true
			o.Limit, _ = l.amount(v, path+".overage.limit")
		}
		if v := how.get("times"); v != nil {
			o.Times, _ = l.decimal(v, path+".overage.times")
		}
	}
	if on {
		p.Overage = o
	}
}

func (l *loader) caps(p *Plan, n *node, path string) {
	if n == nil || !l.list(n, path) {
		return
	}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !l.object(item, at, capKeys) {
			continue
		}
		c := Cap{}
		l.required(item, at, "per", "write account, member or key")
		l.required(item, at, "amount", "write an amount")
		l.required(item, at, "every", `write "every: month"`)
		if v := item.get("per"); v != nil {
			c.Per, _ = l.enum(v, at+".per", "account", "member", "key")
		}
		if v := item.get("amount"); v != nil {
			c.Amount, _ = l.amount(v, at+".amount")
		}
		if v := item.get("every"); v != nil {
			c.Every, _ = l.every(v, at+".every")
		}
		p.Caps = append(p.Caps, c)
	}
}

// metadata is a mapping as JSON, in the order of the file, numbers as written.
func metadata(n *node) json.RawMessage {
	var b strings.Builder
	writeJSON(&b, n)
	return json.RawMessage(b.String())
}

func writeJSON(b *strings.Builder, n *node) {
	switch n.kind {
	case nullNode:
		b.WriteString("null")
	case mappingNode:
		b.WriteByte('{')
		for i := range n.pairs {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(quoteJSON(n.pairs[i].key))
			b.WriteByte(':')
			writeJSON(b, n.pairs[i].value)
		}
		b.WriteByte('}')
	case listNode:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, item)
		}
		b.WriteByte(']')
	case scalarNode:
		if d, err := money.ParseDecimal(n.text); n.plain && err == nil {
			b.WriteString(d.String())
		} else if n.boolean {
			b.WriteString(n.text)
		} else {
			b.Write(quoteJSON(n.text))
		}
	}
}

func quoteJSON(s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`)
	}
	return text
}
