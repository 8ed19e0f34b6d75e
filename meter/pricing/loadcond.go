package pricing

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

var (
	bareSubjects = map[string]Subject{
		"model": OnModel, "service_tier": OnServiceTier, "input_tokens": OnInputTokens,
		"output_tokens": OnOutputTokens, "hours": OnHours, "days": OnDays,
	}
	dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// conditions reads a when. Units must be measured by op, or, without one, by
// some operation. A where is decided before there is an answer.
func (l *loader) conditions(n *node, path string, op *Operation, where bool) *Conditions {
	if n == nil || !l.mapping(n, path) {
		return nil
	}
	cs := &Conditions{Zone: l.utc()}
	if v := n.get("timezone"); v != nil {
		cs.Zone = l.zone(v, path+".timezone")
		if n.get("hours") == nil && n.get("days") == nil {
			l.fail(v, path+".timezone", `has no effect without "hours" or "days"`)
		}
	}
	for i := range n.pairs {
		p := &n.pairs[i]
		if p.key == "timezone" {
			continue
		}
		if k, ok := l.condition(p, path, op); ok {
			if where && (k.Field != nil && k.Field.InAnswer() || k.On == OnInputTokens || k.On == OnOutputTokens) {
				l.add(p.line, p.col, p.width, path, fmt.Sprintf("%s is not known when a request arrives", p.key), false)
				continue
			}
			cs.All = append(cs.All, k)
		}
	}
	if len(n.pairs) == 0 {
		l.fail(n, path, "has no conditions")
	}
	return cs
}

func (l *loader) condition(p *pair, path string, op *Operation) (Condition, bool) {
	at := join(path, p.key)
	k := Condition{Text: p.key + " = " + conditionText(p.value)}
	if on, ok := bareSubjects[p.key]; ok {
		k.On = on
	} else if f, _ := ParseField(p.key); f != nil {
		k.Field = l.book.Fields.Add(f)
	} else if !l.conditionUnit(&k, p, path, op) {
		return k, false
	}
	if k.On == OnHours || k.On == OnDays {
		return k, l.clock(&k, p.value, at)
	}
	switch p.value.kind {
	case mappingNode:
		k.Text = p.key + " " + conditionText(p.value)
		return k, l.bounds(&k, p.value, at)
	case listNode:
		if len(p.value.items) == 0 {
			l.fail(p.value, at, "the list is empty, so the condition never holds")
			return k, false
		}
		for i, item := range p.value.items {
			if !l.operand(&k, item, fmt.Sprintf("%s[%d]", at, i)) {
				return k, false
			}
		}
		return k, true
	case scalarNode, nullNode:
	}
	return k, l.operand(&k, p.value, at)
}

// conditionUnit reads a name that must be a unit.
func (l *loader) conditionUnit(k *Condition, p *pair, path string, op *Operation) bool {
	k.On, k.Unit = OnUnit, p.key
	if op != nil && op.Measured(p.key) != nil || op == nil && l.units[p.key] {
		return true
	}
	valid := []string{"model", "service_tier", "input_tokens", "output_tokens", "hours", "days", "timezone"}
	if op != nil {
		for _, m := range op.Measures {
			valid = append(valid, m.Unit)
		}
	}
	if strings.Contains(p.key, ".") {
		_, problem := ParseField(p.key)
		l.add(p.line, p.col, p.width, path, fmt.Sprintf("%q %s", p.key, problem), false)
		return false
	}
	hint := suggest(p.key, valid)
	if hint == "" {
		hint = fmt.Sprintf("; a field of the request is written body.%s, header.%s and so on", p.key, p.key)
	}
	l.add(p.line, p.col, p.width, path, fmt.Sprintf("unknown key %q%s", p.key, hint), false)
	return false
}

func (l *loader) operand(k *Condition, n *node, path string) bool {
	if n.kind != scalarNode {
		l.fail(n, path, "a text, a number, a list or {above: …} is needed here, not %s", n.what())
		return false
	}
	o := Operand{Text: n.text}
	if d, err := money.ParseDecimal(n.text); err == nil && n.plain {
		o.Number, o.IsNumber = d, true
		o.Text = strings.ReplaceAll(n.text, "_", "")
	}
	if !o.IsNumber && o.Text != "*" && (k.On == OnInputTokens || k.On == OnOutputTokens || k.On == OnUnit) {
		l.fail(n, path, "%q is not a number; write digits or {above: …}", n.text)
		return false
	}
	k.Operands = append(k.Operands, o)
	return true
}

func (l *loader) bounds(k *Condition, n *node, path string) bool {
	if !l.object(n, path, boundKeys) {
		return false
	}
	if len(n.pairs) == 0 {
		l.fail(n, path, "has no bounds; write above, below, at_least or at_most")
		return false
	}
	k.Bounds = &Bounds{
		Above: l.rate(n.get("above"), path+".above"), Below: l.rate(n.get("below"), path+".below"),
		AtLeast: l.rate(n.get("at_least"), path+".at_least"), AtMost: l.rate(n.get("at_most"), path+".at_most"),
	}
	if k.Bounds.Never() {
		l.fail(n, path, "no number is within these bounds, so the condition never holds")
		return false
	}
	return true
}

// fromAnswer makes sure that what decides a refund, or the end of a job, is said
// by the upstream: what the client writes into its request must not.
func (l *loader) fromAnswer(n *node, path string, cs *Conditions) *Conditions {
	if cs == nil {
		return nil
	}
	for i := range cs.All {
		if k := &cs.All[i]; k.Field != nil && k.Field.InAnswer() {
			return cs
		}
	}
	if len(cs.All) > 0 {
		l.fail(n, path, "only the request decides this, so a client could; write a field of the answer, such as response.body.status")
	}
	return cs
}

// clock reads hours and days: one text or a list.
func (l *loader) clock(k *Condition, n *node, path string) bool {
	items := n.items
	if n.kind != listNode {
		items = []*node{n}
	}
	for i, item := range items {
		at := path
		if n.kind == listNode {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if k.On == OnDays {
			day := -1
			for d, name := range dayNames {
				if item.kind == scalarNode && item.text == name {
					day = d
				}
			}
			if day < 0 {
				l.fail(item, at, "%s is not one of mon, tue, wed, thu, fri, sat, sun%s", item.what(), suggest(item.text, dayNames))
				return false
			}
			k.Days |= 1 << time.Weekday(day)
			continue
		}
		window, ok := parseHours(item)
		if !ok {
			l.fail(item, at, `%s is not a time of day; write "22:00-06:00"`, item.what())
			return false
		}
		k.Hours = append(k.Hours, window)
	}
	if len(items) == 0 {
		l.fail(n, path, "the list is empty, so the condition never holds")
		return false
	}
	return true
}

func parseHours(n *node) (window [2]int, ok bool) {
	from, to, found := strings.Cut(n.text, "-")
	if n.kind != scalarNode || !found {
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
func conditionText(n *node) string {
	switch n.kind {
	case listNode:
		var parts []string
		for _, item := range n.items {
			parts = append(parts, conditionText(item))
		}
		return strings.Join(parts, " or ")
	case mappingNode:
		var parts []string
		for i := range n.pairs {
			parts = append(parts, strings.ReplaceAll(n.pairs[i].key, "_", " ")+" "+conditionText(n.pairs[i].value))
		}
		return strings.Join(parts, " and ")
	case scalarNode:
		return n.text
	case nullNode:
	}
	return ""
}
