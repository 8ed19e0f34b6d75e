package pricing

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

var (
	bareSubjects = map[string]subject{
		"model": onModel, "service_tier": onServiceTier, "input_tokens": onInputTokens,
		"output_tokens": onOutputTokens, "hours": onHours, "days": onDays,
	}
	dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// conditions reads a when. Units must be measured by op, or, without one, by
// some operation. A where is decided before there is an answer.
func (l *loader) conditions(n *node, path string, op *Operation, where bool) *conditions {
	if n == nil || !l.mapping(n, path) {
		return nil
	}
	cs := &conditions{zone: l.utc()}
	if v := n.get("timezone"); v != nil {
		cs.zone = l.zone(v, path+".timezone")
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
			if where && (k.field != nil && k.field.answer() || k.on == onInputTokens || k.on == onOutputTokens) {
				l.add(p.line, p.col, p.width, path, fmt.Sprintf("%s is not known when a request arrives", p.key), false)
				continue
			}
			cs.all = append(cs.all, k)
		}
	}
	if len(n.pairs) == 0 {
		l.fail(n, path, "has no conditions")
	}
	return cs
}

func (l *loader) condition(p *pair, path string, op *Operation) (condition, bool) {
	at := join(path, p.key)
	k := condition{text: p.key + " = " + conditionText(p.value)}
	if on, ok := bareSubjects[p.key]; ok {
		k.on = on
	} else if f, _ := parseField(p.key); f != nil {
		k.field = l.book.fields.add(f)
	} else if !l.conditionUnit(&k, p, path, op) {
		return k, false
	}
	if k.on == onHours || k.on == onDays {
		return k, l.clock(&k, p.value, at)
	}
	switch p.value.kind {
	case mappingNode:
		k.text = p.key + " " + conditionText(p.value)
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
func (l *loader) conditionUnit(k *condition, p *pair, path string, op *Operation) bool {
	k.on, k.unit = onUnit, p.key
	if op != nil && op.measured(p.key) != nil || op == nil && l.units[p.key] {
		return true
	}
	valid := []string{"model", "service_tier", "input_tokens", "output_tokens", "hours", "days", "timezone"}
	if op != nil {
		for _, m := range op.measures {
			valid = append(valid, m.unit)
		}
	}
	if strings.Contains(p.key, ".") {
		_, problem := parseField(p.key)
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

func (l *loader) operand(k *condition, n *node, path string) bool {
	if n.kind != scalarNode {
		l.fail(n, path, "a text, a number, a list or {above: …} is needed here, not %s", n.what())
		return false
	}
	o := operand{text: n.text}
	if d, err := money.ParseDecimal(n.text); err == nil && n.plain {
		o.number, o.isNum = d, true
		o.text = strings.ReplaceAll(n.text, "_", "")
	}
	if !o.isNum && o.text != "*" && (k.on == onInputTokens || k.on == onOutputTokens || k.on == onUnit) {
		l.fail(n, path, "%q is not a number; write digits or {above: …}", n.text)
		return false
	}
	k.operands = append(k.operands, o)
	return true
}

func (l *loader) bounds(k *condition, n *node, path string) bool {
	if !l.object(n, path, boundKeys) {
		return false
	}
	if len(n.pairs) == 0 {
		l.fail(n, path, "has no bounds; write above, below, at_least or at_most")
		return false
	}
	k.bounds = &bounds{
		above: l.rate(n.get("above"), path+".above"), below: l.rate(n.get("below"), path+".below"),
		atLeast: l.rate(n.get("at_least"), path+".at_least"), atMost: l.rate(n.get("at_most"), path+".at_most"),
	}
	if k.bounds.never() {
		l.fail(n, path, "no number is within these bounds, so the condition never holds")
		return false
	}
	return true
}

// fromAnswer makes sure that what decides a refund, or the end of a job, is said
// by the upstream: what the client writes into its request must not.
func (l *loader) fromAnswer(n *node, path string, cs *conditions) *conditions {
	if cs == nil {
		return nil
	}
	for i := range cs.all {
		if k := &cs.all[i]; k.field != nil && k.field.answer() {
			return cs
		}
	}
	if len(cs.all) > 0 {
		l.fail(n, path, "only the request decides this, so a client could; write a field of the answer, such as response.body.status")
	}
	return cs
}

// clock reads hours and days: one text or a list.
func (l *loader) clock(k *condition, n *node, path string) bool {
	items := n.items
	if n.kind != listNode {
		items = []*node{n}
	}
	for i, item := range items {
		at := path
		if n.kind == listNode {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if k.on == onDays {
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
			k.days |= 1 << time.Weekday(day)
			continue
		}
		window, ok := parseHours(item)
		if !ok {
			l.fail(item, at, `%s is not a time of day; write "22:00-06:00"`, item.what())
			return false
		}
		k.hours = append(k.hours, window)
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
