package pricefile

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

func (l *loader) plans(n *Node) {
	if n == nil || !l.mapping(n, "plans") {
		return
	}
	for i := range n.Pairs {
		p := l.plan(&n.Pairs[i])
		l.book.Plans = append(l.book.Plans, p)
		l.places["plans."+p.ID] = n.Pairs[i].Value
	}
}

func (l *loader) plan(at *Pair) *pricing.Plan {
	path := join("plans", at.Key)
	l.id(at, path)
	p := &pricing.Plan{ID: at.Key, Name: at.Key, Proration: "none", DiscountText: "0%", BillingPeriod: calendar.Month, Line: at.line, Column: at.col}
	n := at.Value
	if n.Kind == NullNode {
		return p // a plan without credits and without limits
	}
	if !l.object(n, path, "plan") {
		return p
	}
	set(n, path, "name", &p.Name, l.text)
	if v := n.Get("credits"); v != nil && l.list(v, path+".credits") {
		for i, item := range v.Items {
			if g := l.grant(item, fmt.Sprintf("%s.credits[%d]", path, i)); g != nil {
				p.Grants = append(p.Grants, g)
			}
		}
	}
	l.planPrice(p, n.Get("price"), path+".price")
	p.Allow = l.selector(n.Get("allow"), path+".allow")
	p.Deny = l.selector(n.Get("deny"), path+".deny")
	if v := n.Get("discount"); v != nil {
		l.discount(p, v, path+".discount")
	}
	l.overage(p, n, path)
	setPointer(n, path, "lasts", &p.Lasts, l.duration)
	p.RenewsWhenPaid = l.says(n, path, "plan.renews", "when_paid")
	l.caps(p, n.Get("caps"), path+".caps")
	set(n, path, "proration", &p.Proration, l.word("plan.proration"))
	if n.Get("estimate") != nil {
		bytes := l.says(n, path, "plan.estimate", "bytes")
		p.EstimateBytes = &bytes
	}
	if v := n.Get("metadata"); v != nil && l.mapping(v, path+".metadata") {
		p.Metadata = metadata(v)
	}
	return p
}

func (l *loader) discount(p *pricing.Plan, v *Node, path string) {
	d, ok := l.percent(v, path)
	if !ok {
		return
	}
	if _, ok := one.Sub(d); !ok {
		l.fail(v, path, "%s is more than everything", v.Text)
		return
	}
	p.Discount, p.DiscountText = d, v.Text
}

var one = money.FromInt(1)

var planPriceForm = regexp.MustCompile(`^([^/]*[^/ ])( / (.*))?$`)

// planPrice reads "29 USD / month" and settles the billing period.
func (l *loader) planPrice(p *pricing.Plan, n *Node, path string) {
	for _, g := range p.Grants {
		if g.Renewed && g.Every >= calendar.Month {
			p.BillingPeriod = g.Every
			break
		}
	}
	if n == nil {
		return
	}
	if n.Kind == ScalarNode && n.Text == "custom" {
		p.Custom, p.PriceText = true, n.Text
		return
	}
	m := planPriceForm.FindStringSubmatch(n.Text)
	if n.Kind != ScalarNode || m == nil {
		l.notMoney(n, path)
		return
	}
	price, ok := parseMoney(m[1])
	if !ok {
		l.notMoney(&Node{Kind: ScalarNode, Text: m[1], line: n.line, col: n.col, width: n.width}, path)
		return
	}
	p.Price, p.PriceText = &price, n.Text
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

func (l *loader) grant(n *Node, path string) *pricing.Grant {
	if !l.object(n, path, "grant") {
		return nil
	}
	g := &pricing.Grant{}
	set(n, path, "type", &g.Type, l.grantType)
	if v := n.Get("amount"); v != nil {
		if g.Unlimited = v.Kind == ScalarNode && v.Text == "unlimited"; !g.Unlimited {
			g.Amount, _ = l.amount(v, path+".amount")
		}
	}
	every, expires, rollover := n.Get("every"), n.Get("expires"), n.Get("rollover")
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
		case expires.Kind == ScalarNode && expires.Text == "never":
		case expires.Kind == ScalarNode && expires.Text == "end_of_plan":
			g.Expires = pricing.ExpiresWithPlan
		default:
			g.Expires = pricing.ExpiresAfter
			g.ExpiresAfter, _ = l.duration(expires, path+".expires")
		}
	}
	g.OnlyFor = l.selector(n.Get("only_for"), path+".only_for")
	g.NotFor = l.selector(n.Get("not_for"), path+".not_for")
	return g
}

func (l *loader) rollover(g *pricing.Grant, n *Node, path string) {
	switch {
	case n.Kind == ScalarNode && n.Text == "none":
		g.Rollover = pricing.RolloverNone
	case n.Kind == ScalarNode && n.Text == "all":
		g.Rollover = pricing.RolloverAll
	case n.Kind == ScalarNode && !strings.ContainsAny(n.Text, "0123456789"):
		l.fail(n, path, "%q is not none, all or an amount%s", n.Text, suggest(n.Text, []string{"none", "all"}))
	default:
		g.Rollover = pricing.RolloverLimit
		g.RolloverLimit, _ = l.amount(n, path)
	}
}

func (l *loader) overage(p *pricing.Plan, n *Node, path string) {
	when, how := n.Get("when_empty"), n.Get("overage")
	on := l.says(n, path, "plan.when_empty", "overage")
	if how != nil && when == nil {
		l.fail(how, path+".overage", `has no effect without "when_empty: overage"`)
		return
	}
	o := &pricing.Overage{Times: one}
	if how != nil && l.object(how, path+".overage", "overage") {
		if v := how.Get("limit"); v != nil && (v.Kind != ScalarNode || v.Text != "none") {
			o.Limited = true
			o.Limit, _ = l.amount(v, path+".overage.limit")
		}
		set(how, path+".overage", "times", &o.Times, l.decimal)
	}
	if on {
		p.Overage = o
	}
}

func (l *loader) caps(p *pricing.Plan, n *Node, path string) {
	if n == nil || !l.list(n, path) {
		return
	}
	for i, item := range n.Items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !l.object(item, at, "cap") {
			continue
		}
		c := pricing.Cap{}
		set(item, at, "per", &c.Per, l.word("cap.per"))
		set(item, at, "amount", &c.Amount, l.amount)
		set(item, at, "every", &c.Every, l.every)
		p.Caps = append(p.Caps, c)
	}
}

// metadata is a mapping as JSON, in the order of the file, numbers as written.
func metadata(n *Node) json.RawMessage {
	var b strings.Builder
	writeJSON(&b, n)
	return json.RawMessage(b.String())
}

func writeJSON(b *strings.Builder, n *Node) {
	switch n.Kind {
	case NullNode:
		b.WriteString("null")
	case MappingNode:
		b.WriteByte('{')
		for i := range n.Pairs {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(quoteJSON(n.Pairs[i].Key))
			b.WriteByte(':')
			writeJSON(b, n.Pairs[i].Value)
		}
		b.WriteByte('}')
	case ListNode:
		b.WriteByte('[')
		for i, item := range n.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, item)
		}
		b.WriteByte(']')
	case ScalarNode:
		if d, err := money.ParseDecimal(n.Text); n.Plain && err == nil {
			b.WriteString(d.String())
		} else if n.boolean {
			b.WriteString(n.Text)
		} else {
			b.Write(quoteJSON(n.Text))
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
