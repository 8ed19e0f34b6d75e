package pricefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

var (
	bareSubjects = map[string]pricing.Subject{
		"model": pricing.OnModel, "service_tier": pricing.OnServiceTier, "input_tokens": pricing.OnInputTokens,
		"output_tokens": pricing.OnOutputTokens, "hours": pricing.OnHours, "days": pricing.OnDays,
	}
	dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// conditions reads a when. Units must be measured by op, or, without one, by
// some operation. A where is decided before there is an answer.
func (l *loader) conditions(n *Node, op *pricing.Operation, where bool) *pricing.Conditions {
	if n == nil || !l.mapping(n) {
		return nil
	}
	cs := &pricing.Conditions{Zone: l.utc()}
	if v := n.Get("timezone"); v != nil {
		cs.Zone = l.zone(v)
		if n.Get("hours") == nil && n.Get("days") == nil {
			l.fail(v, `has no effect without "hours" or "days"`)
		}
	}
	for p := range n.entries() {
		if p.Key == "timezone" {
			continue
		}
		if k, ok := l.condition(p, op); ok {
			if where && (k.Field != nil && k.Field.InAnswer() || k.On == pricing.OnInputTokens || k.On == pricing.OnOutputTokens) {
				l.failKey(p, "%s is not known when a request arrives", p.Key)
				continue
			}
			cs.All = append(cs.All, k)
		}
	}
	if len(n.Pairs) == 0 {
		l.fail(n, "has no conditions")
	}
	return cs
}

func (l *loader) condition(p *Pair, op *pricing.Operation) (pricing.Condition, bool) {
	k := pricing.Condition{Text: p.Key + " = " + conditionText(p.Value)}
	if on, ok := bareSubjects[p.Key]; ok {
		k.On = on
	} else if f, _ := pricing.ParseField(p.Key); f != nil {
		k.Field = l.book.Fields.Add(f)
	} else if !l.conditionUnit(&k, p, op) {
		return k, false
	}
	if k.On == pricing.OnHours || k.On == pricing.OnDays {
		return k, l.clock(&k, p.Value)
	}
	switch p.Value.Kind {
	case MappingNode:
		k.Text = p.Key + " " + conditionText(p.Value)
		return k, l.bounds(&k, p.Value)
	case ListNode:
		if len(p.Value.Items) == 0 {
			l.fail(p.Value, "the list is empty, so the condition never holds")
			return k, false
		}
		for item := range p.Value.items() {
			if !l.operand(&k, item) {
				return k, false
			}
		}
		return k, true
	case ScalarNode, NullNode:
	}
	return k, l.operand(&k, p.Value)
}

// conditionUnit reads a name that must be a unit.
func (l *loader) conditionUnit(k *pricing.Condition, p *Pair, op *pricing.Operation) bool {
	k.On, k.Unit = pricing.OnUnit, p.Key
	if op != nil && op.Measured(p.Key) != nil || op == nil && l.units[p.Key] {
		return true
	}
	valid := []string{"model", "service_tier", "input_tokens", "output_tokens", "hours", "days", "timezone"}
	if op != nil {
		for _, m := range op.Measures {
			valid = append(valid, m.Unit)
		}
	}
	if strings.Contains(p.Key, ".") {
		_, problem := pricing.ParseField(p.Key)
		l.failKey(p, "%q %s", p.Key, problem)
		return false
	}
	hint := suggest(p.Key, valid)
	if hint == "" {
		hint = fmt.Sprintf("; a field of the request is written body.%s, header.%s and so on", p.Key, p.Key)
	}
	l.failKey(p, "unknown key %q%s", p.Key, hint)
	return false
}

func (l *loader) operand(k *pricing.Condition, n *Node) bool {
	if n.Kind != ScalarNode {
		l.fail(n, "a text, a number, a list or {above: …} is needed here, not %s", n.what())
		return false
	}
	o := pricing.Operand{Text: n.Text}
	if d, err := money.ParseDecimal(n.Text); err == nil && n.Plain {
		o.Number, o.IsNumber = d, true
		o.Text = strings.ReplaceAll(n.Text, "_", "")
	}
	if !o.IsNumber && o.Text != "*" && (k.On == pricing.OnInputTokens || k.On == pricing.OnOutputTokens || k.On == pricing.OnUnit) {
		l.fail(n, "%q is not a number; write digits or {above: …}", n.Text)
		return false
	}
	k.Operands = append(k.Operands, o)
	return true
}

func (l *loader) bounds(k *pricing.Condition, n *Node) bool {
	if !l.object(n, "bounds") {
		return false
	}
	if len(n.Pairs) == 0 {
		l.fail(n, "has no bounds; write above, below, at_least or at_most")
		return false
	}
	k.Bounds = &pricing.Bounds{
		Above: l.rate(n.Get("above")), Below: l.rate(n.Get("below")),
		AtLeast: l.rate(n.Get("at_least")), AtMost: l.rate(n.Get("at_most")),
	}
	if k.Bounds.Never() {
		l.fail(n, "no number is within these bounds, so the condition never holds")
		return false
	}
	return true
}

// fromAnswer makes sure that what decides a refund, or the end of a job, is said
// by the upstream: what the client writes into its request must not.
func (l *loader) fromAnswer(n *Node, cs *pricing.Conditions) *pricing.Conditions {
	if cs == nil {
		return nil
	}
	for i := range cs.All {
		if k := &cs.All[i]; k.Field != nil && k.Field.InAnswer() {
			return cs
		}
	}
	if len(cs.All) > 0 {
		l.fail(n, "only the request decides this, so a client could; write a field of the answer, such as response.body.status")
	}
	return cs
}

// clock reads hours and days: one text or a list.
func (l *loader) clock(k *pricing.Condition, n *Node) bool {
	items := slices.Collect(n.items())
	if n.Kind != ListNode {
		items = []*Node{n}
	}
	for _, item := range items {
		if k.On == pricing.OnDays {
			day := slices.IndexFunc(dayNames, item.is)
			if day < 0 {
				l.fail(item, "%s is not one of mon, tue, wed, thu, fri, sat, sun%s", item.what(), suggest(item.Text, dayNames))
				return false
			}
			k.Days |= 1 << time.Weekday(day)
			continue
		}
		window, ok := parseHours(item)
		if !ok {
			l.fail(item, `%s is not a time of day; write "22:00-06:00"`, item.what())
			return false
		}
		k.Hours = append(k.Hours, window)
	}
	if len(items) == 0 {
		l.fail(n, "the list is empty, so the condition never holds")
		return false
	}
	return true
}

func parseHours(n *Node) (window [2]int, ok bool) {
	from, to, found := strings.Cut(n.Text, "-")
	if n.Kind != ScalarNode || !found {
		return window, false
	}
	start, okFrom := minuteOfDay(strings.TrimSpace(from))
	end, okTo := minuteOfDay(strings.TrimSpace(to))
	return [2]int{start, end}, okFrom && okTo && start < 24*60 && start != end
}

func minuteOfDay(s string) (int, bool) {
	hour, minute, found := strings.Cut(s, ":")
	if !found || len(hour) > 2 || len(hour) == 0 || len(minute) != 2 {
		return 0, false
	}
	h, errHour := strconv.ParseUint(hour, 10, 8)
	m, errMinute := strconv.ParseUint(minute, 10, 8)
	if errHour != nil || errMinute != nil || h > 24 || m > 59 || h == 24 && m > 0 {
		return 0, false
	}
	return int(h*60 + m), true //nolint:gosec // of one day
}

// conditionText shows a condition's right side in explanations.
func conditionText(n *Node) string {
	switch n.Kind {
	case ListNode:
		var parts []string
		for _, item := range n.Items {
			parts = append(parts, conditionText(item))
		}
		return strings.Join(parts, " or ")
	case MappingNode:
		var parts []string
		for i := range n.Pairs {
			parts = append(parts, strings.ReplaceAll(n.Pairs[i].Key, "_", " ")+" "+conditionText(n.Pairs[i].Value))
		}
		return strings.Join(parts, " and ")
	case ScalarNode:
		return n.Text
	case NullNode:
	}
	return ""
}
