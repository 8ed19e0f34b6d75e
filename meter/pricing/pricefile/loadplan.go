package pricefile

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

func (l *loader) plans(n *Node) {
	if n == nil || !l.mapping(n) {
		return
	}
	for p := range n.entries() {
		l.book.Plans = append(l.book.Plans, l.plan(p))
		l.places["plans."+p.Key] = p.Value
	}
}

func (l *loader) plan(at *Pair) *pricing.Plan {
	l.id(at)
	p := &pricing.Plan{ID: at.Key, Name: at.Key, Proration: "none", DiscountText: "0%", BillingPeriod: calendar.Month, Line: at.line, Column: at.col}
	n := at.Value
	if n.Kind == NullNode {
		return p // a plan without credits and without limits
	}
	if !l.object(n, "plan") {
		return p
	}
	set(n, "name", &p.Name, l.text)
	if v := n.Get("credits"); v != nil && l.list(v) {
		for item := range v.items() {
			if g := l.grant(item); g != nil {
				p.Grants = append(p.Grants, g)
			}
		}
	}
	l.planPrice(p, n.Get("price"))
	p.Allow = l.selector(n.Get("allow"))
	p.Deny = l.selector(n.Get("deny"))
	if v := n.Get("discount"); v != nil {
		l.discount(p, v)
	}
	l.overage(p, n)
	setPointer(n, "lasts", &p.Lasts, l.duration)
	p.RenewsWhenPaid = l.says(n, "plan.renews", "when_paid")
	l.caps(p, n.Get("caps"))
	l.concurrent(&p.MaxConcurrent, n.Get("max_concurrent"))
	set(n, "proration", &p.Proration, l.word("plan.proration"))
	if n.Get("estimate") != nil {
		bytes := l.says(n, "plan.estimate", "bytes")
		p.EstimateBytes = &bytes
	}
	if v := n.Get("metadata"); v != nil && l.mapping(v) {
		p.Metadata = metadata(v)
	}
	return p
}

func (l *loader) discount(p *pricing.Plan, v *Node) {
	d, ok := l.percent(v)
	if !ok {
		return
	}
	if _, ok := one.Sub(d); !ok {
		l.fail(v, "%s is more than everything", v.Text)
		return
	}
	p.Discount, p.DiscountText = d, v.Text
}

var one = money.FromInt(1)

var planPriceForm = regexp.MustCompile(`^([^/]*[^/ ])( / (.*))?$`)

// planPrice reads "29 USD / month" and settles the billing period.
func (l *loader) planPrice(p *pricing.Plan, n *Node) {
	for _, g := range p.Grants {
		if g.Renewed && g.Every >= calendar.Month {
			p.BillingPeriod = g.Every
			break
		}
	}
	if n == nil {
		return
	}
	if n.is("custom") {
		p.Custom, p.PriceText = true, n.Text
		return
	}
	m := planPriceForm.FindStringSubmatch(n.Text)
	if n.Kind != ScalarNode || m == nil {
		l.notMoney(n)
		return
	}
	price, ok := parseMoney(m[1])
	if !ok {
		l.notMoney(n.part(m[1]))
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
		l.fail(n, "%q is not one of month, quarter, year%s", m[3], suggest(m[3], []string{"month", "quarter", "year"}))
	}
}

func (l *loader) grant(n *Node) *pricing.Grant {
	if !l.object(n, "grant") {
		return nil
	}
	g := &pricing.Grant{}
	set(n, "type", &g.Type, l.grantType)
	if v := n.Get("amount"); v != nil {
		if g.Unlimited = v.is("unlimited"); !g.Unlimited {
			g.Amount, _ = l.amount(v)
		}
	}
	every, expires, rollover := n.Get("every"), n.Get("expires"), n.Get("rollover")
	if every != nil && expires != nil {
		l.fail(n, `"every" and "expires" exclude each other; renewed credits end at renewal (or "rollover: all")`)
	}
	if every != nil {
		g.Every, g.Renewed = l.every(every)
	}
	if rollover != nil {
		l.rollover(g, rollover)
		if every == nil {
			l.warn(rollover, `has no effect without "every"`)
		}
	}
	if expires != nil {
		switch {
		case expires.is("never"):
		case expires.is("end_of_plan"):
			g.Expires = pricing.ExpiresWithPlan
		default:
			g.Expires = pricing.ExpiresAfter
			g.ExpiresAfter, _ = l.duration(expires)
		}
	}
	g.OnlyFor = l.selector(n.Get("only_for"))
	g.NotFor = l.selector(n.Get("not_for"))
	return g
}

func (l *loader) rollover(g *pricing.Grant, n *Node) {
	switch {
	case n.is("none"):
		g.Rollover = pricing.RolloverNone
	case n.is("all"):
		g.Rollover = pricing.RolloverAll
	case n.Kind == ScalarNode && !strings.ContainsAny(n.Text, "0123456789"):
		l.fail(n, "%q is not none, all or an amount%s", n.Text, suggest(n.Text, []string{"none", "all"}))
	default:
		g.Rollover = pricing.RolloverLimit
		g.RolloverLimit, _ = l.amount(n)
	}
}

func (l *loader) overage(p *pricing.Plan, n *Node) {
	when, how := n.Get("when_empty"), n.Get("overage")
	on := l.says(n, "plan.when_empty", "overage")
	if how != nil && when == nil {
		l.fail(how, `has no effect without "when_empty: overage"`)
		return
	}
	o := &pricing.Overage{Times: one}
	if how != nil && l.object(how, "overage") {
		if v := how.Get("limit"); v != nil && !v.is("none") {
			o.Limited = true
			o.Limit, _ = l.amount(v)
		}
		set(how, "times", &o.Times, l.decimal)
	}
	if on {
		p.Overage = o
	}
}

func (l *loader) caps(p *pricing.Plan, n *Node) {
	if n == nil || !l.list(n) {
		return
	}
	for item := range n.items() {
		if !l.object(item, "cap") {
			continue
		}
		c := pricing.Cap{}
		set(item, "per", &c.Per, l.word("cap.per"))
		set(item, "amount", &c.Amount, l.amount)
		set(item, "every", &c.Every, l.every)
		p.Caps = append(p.Caps, c)
	}
}

func (l *loader) concurrent(m *pricing.MaxConcurrent, n *Node) {
	if n == nil || !l.object(n, "concurrent") {
		return
	}
	set(n, "account", &m.Account, l.count)
	set(n, "member", &m.Member, l.count)
	set(n, "key", &m.Key, l.count)
	if *m == (pricing.MaxConcurrent{}) {
		l.fail(n, "limits nothing; write {account: 20}, with account, member or key")
	}
}

// count reads a number of things, which is at least 1.
func (l *loader) count(n *Node) (int, bool) {
	i, ok := l.positive(n)
	if ok && i > mostCount {
		l.fail(n, "%s is more than %d", n.Text, mostCount)
		return 0, false
	}
	return int(i), ok && i > 0
}

const mostCount = 1_000_000

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
