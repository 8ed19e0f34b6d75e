package pricing

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

var operationKeys = []string{
	"name", "feature", "match", "where", "tags", "api", "model", "measure", "quantity", "free_tier", "price",
	"adjust", "job", "effective_from",
}

func (l *loader) operations(n *node) {
	if n == nil || !l.mapping(n, "operations") {
		return
	}
	if len(n.pairs) == 0 {
		l.fail(n, "operations", "a price file prices at least one operation")
	}
	l.book.operations = make(map[string]*Operation, len(n.pairs))
	for i := range n.pairs {
		p := &n.pairs[i]
		op := l.operation(p)
		op.index = len(l.book.Operations)
		l.book.Operations = append(l.book.Operations, op)
		l.book.operations[op.ID] = op
		l.places["operations."+op.ID] = p.value
	}
}

func (l *loader) operation(p *pair) *Operation {
	path := join("operations", p.key)
	l.id(p, path)
	op := &Operation{ID: p.key, Name: p.key, API: "auto", Line: p.line, Column: p.col, book: l.book}
	n := p.value
	if !l.object(n, path, operationKeys) {
		return op
	}
	l.required(p.value, path, "match", `write "match: POST /v1/…"`)
	l.required(p.value, path, "price", `write a number, "free", "by_model" or rates`)
	if v := n.get("name"); v != nil {
		op.Name, _ = l.text(v, path+".name")
	}
	if v := n.get("feature"); v != nil {
		op.Feature, _ = l.text(v, path+".feature")
	}
	op.Tags = l.tags(n.get("tags"), path+".tags")
	if v := n.get("api"); v != nil {
		if s, ok := l.enum(v, path+".api", "auto", "openai", "anthropic", "gemini", "other"); ok {
			op.API = s
		}
	}
	op.patterns = l.match(n.get("match"), path+".match")
	l.modelSource(op, n.get("model"), path+".model")
	l.measure(op, n.get("measure"), path+".measure")
	if v := n.get("quantity"); v != nil {
		op.quantity = l.measured(v, path+".quantity", "")
	}
	l.freeTier(op, n.get("free_tier"), path+".free_tier")
	op.from = l.instant(n.get("effective_from"), path+".effective_from")
	if v := n.get("price"); v != nil {
		op.price = l.price(v, path+".price")
		l.chargedUnits(op, v, path+".price", &op.price.table)
	}
	op.where = l.conditions(n.get("where"), path+".where", op, true)
	op.adjusts = l.adjusts(n.get("adjust"), path+".adjust", op)
	l.job(op, n.get("job"), path+".job")
	return op
}

// chargedUnits checks that every unit with a rate has a quantity.
func (l *loader) chargedUnits(op *Operation, n *node, path string, t *table) {
	for _, u := range t.units {
		if op.measured(u.unit) == nil && !op.mayReport(u.unit) {
			l.fail(n, path, `per_%s is charged, but "measure" has no "%s"`, u.unit, u.unit)
		}
	}
}

var (
	routeForm = regexp.MustCompile(`^(?:(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) )?(/[^ ]*)$`)
	methods   = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
)

func (l *loader) match(n *node, path string) []pattern {
	if n == nil {
		return nil
	}
	if n.kind != listNode {
		if p, ok := l.route(n, path); ok {
			return []pattern{p}
		}
		return nil
	}
	if len(n.items) == 0 {
		l.fail(n, path, "the list is empty, so nothing can match")
	}
	var list []pattern
	for i, item := range n.items {
		if p, ok := l.route(item, fmt.Sprintf("%s[%d]", path, i)); ok {
			list = append(list, p)
		}
	}
	return list
}

func (l *loader) route(n *node, path string) (pattern, bool) {
	if n.kind != scalarNode {
		l.fail(n, path, `a method and a path are needed here, such as "POST /v1/images", not %s`, n.what())
		return pattern{}, false
	}
	m := routeForm.FindStringSubmatch(n.text)
	if m == nil {
		l.fail(n, path, "%s", routeProblem(n.text))
		return pattern{}, false
	}
	p := pattern{method: m[1], path: strings.ToLower(m[2]), text: n.text, line: n.line, col: n.col}
	if len(p.path) > 1 {
		p.path = strings.TrimSuffix(p.path, "/")
	}
	if strings.ContainsAny(p.path, "?#%") {
		l.fail(n, path, "a pattern is a decoded path without its query")
		return p, false
	}
	return p, true
}

func routeProblem(s string) string {
	method, rest, two := strings.Cut(s, " ")
	switch {
	case two && contains(methods, method) && !strings.HasPrefix(rest, "/"):
		return fmt.Sprintf(`the path must start with "/"; did you mean "%s /%s"?`, method, strings.TrimSpace(rest))
	case two && strings.HasPrefix(rest, "/") && contains(methods, strings.ToUpper(method)):
		return fmt.Sprintf(`methods are written in capitals; did you mean "%s %s"?`, strings.ToUpper(method), rest)
	case two && strings.HasPrefix(rest, "/"):
		return fmt.Sprintf("%q is not a method%s", method, suggest(strings.ToUpper(method), methods))
	case !two && !strings.HasPrefix(s, "/") && s != "" && !contains(methods, s):
		return fmt.Sprintf(`the path must start with "/"; did you mean "/%s"?`, s)
	}
	return fmt.Sprintf(`%q is not a method and a path; write "POST /v1/images"`, s)
}

func (l *loader) modelSource(op *Operation, n *node, path string) {
	switch {
	case n == nil:
	case n.kind == scalarNode && n.text == "none":
		op.noModel = true
	default:
		op.modelFrom, _ = l.field(n, path)
	}
}

func (l *loader) measure(op *Operation, n *node, path string) {
	if n == nil || !l.mapping(n, path) {
		return
	}
	for i := range n.pairs {
		p := &n.pairs[i]
		if !unitForm.MatchString(p.key) || p.key == "request" || p.key == "token" || strings.HasSuffix(p.key, "_tokens") {
			l.add(p.line, p.col, p.width, path, fmt.Sprintf(`%q can't be a unit; use small letters, digits and "_"`, p.key), false)
			continue
		}
		if m := l.measured(p.value, path+"."+p.key, p.key); m != nil {
			op.measures = append(op.measures, m)
			l.units[p.key] = true
		}
	}
}

// measured reads a quantity: a field, or a mapping with more about it.
func (l *loader) measured(n *node, path, unit string) *measured {
	m := &measured{unit: unit, whole: unit != "second" && unit != "minute" && unit != "hour", line: n.line, column: n.col}
	if n.kind == scalarNode {
		var ok bool
		if m.field, ok = l.field(n, path); !ok {
			return nil
		}
		return m
	}
	if !l.object(n, path, []string{"from", "default", "max", "min", "reserve", "text"}) {
		return nil
	}
	from := n.get("from")
	if from == nil {
		l.required(n, path, "from", "write the field to read, such as body.n")
		return nil
	}
	var ok bool
	if m.field, ok = l.field(from, path+".from"); !ok {
		return nil
	}
	m.fallback = l.rate(n.get("default"), path+".default")
	m.max = l.rate(n.get("max"), path+".max")
	m.min = l.rate(n.get("min"), path+".min")
	m.reserve = l.rate(n.get("reserve"), path+".reserve")
	if v := n.get("text"); v != nil {
		m.text, _ = l.boolean(v, path+".text")
	}
	if m.max.set && m.min.set && m.max.value.Cmp(m.min.value) < 0 {
		l.fail(n, path, "max is less than min, so no quantity fits")
	}
	if v := n.get("reserve"); v != nil && !m.field.answer() {
		l.warn(v, path+".reserve", "has no effect: %s is known before the answer", m.field.text)
	}
	if m.field.answer() && !m.reserve.set && !m.fallback.set && !m.max.set {
		l.warn(n, path, `nothing is held before the answer; write "reserve"`)
	}
	return m
}

func (l *loader) freeTier(op *Operation, n *node, path string) {
	if n == nil || !l.mapping(n, path) {
		return
	}
	tier := &FreeTier{}
	for i := range n.pairs {
		p := &n.pairs[i]
		if p.key == "every" {
			tier.Every, _ = l.every(p.value, path+".every")
			continue
		}
		if tier.Unit != "" {
			l.add(p.line, p.col, p.width, path, "a free tier has one quantity and \"every\"", false)
			return
		}
		if p.key != "request" && op.measured(p.key) == nil && !op.mayReport(p.key) {
			valid := []string{"request", "every"}
			for _, m := range op.measures {
				valid = append(valid, m.unit)
			}
			l.unknownKey(p, path, valid)
			return
		}
		tier.Unit = p.key
		tier.Count, _ = l.decimal(p.value, join(path, p.key))
	}
	l.required(n, path, "every", `write "every: month"`)
	if tier.Unit == "" {
		l.fail(n, path, "nothing is free; write a quantity, such as request: 20")
		return
	}
	op.FreeTier = tier
}

func (l *loader) job(op *Operation, n *node, path string) {
	if n == nil || !l.object(n, path, []string{"id", "status", "failed_when"}) {
		return
	}
	l.required(n, path, "id", "write where the answer has the id of the job")
	l.required(n, path, "status", `write "GET /v1/videos/{id}"`)
	l.required(n, path, "failed_when", "write what a failed job's status says")
	job := &Job{}
	if v := n.get("id"); v != nil {
		job.id, _ = l.field(v, path+".id")
	}
	if v := n.get("status"); v != nil {
		p, ok := l.route(v, path+".status")
		if ok && strings.Count(p.path, "{id}") != 1 {
			l.fail(v, path+".status", `must hold "{id}" once, where the id of the job stands`)
		}
		job.text = p.path
		p.path = strings.ReplaceAll(p.path, "{id}", "*")
		job.status = p
	}
	job.failed = l.conditions(n.get("failed_when"), path+".failed_when", op, false)
	if job.id != nil && job.failed != nil {
		op.Job = job
	}
}

// price reads "price" anywhere: a number, free, by_model, or rates.
func (l *loader) price(n *node, path string) price {
	t := table{line: n.line, col: n.col}
	switch {
	case n.kind == mappingNode:
		return price{table: l.rates(n, path, nil)}
	case n.kind == scalarNode && n.text == "free":
		t.free = true
	case n.kind == scalarNode && n.text == "by_model":
		return price{byModel: true, table: t}
	default:
		if n.kind == scalarNode && !strings.ContainsAny(n.text, "0123456789") {
			l.fail(n, path, `%q is not a price; write a number, "free", "by_model" or rates%s`, n.text, suggest(n.text, []string{"free", "by_model"}))
			break
		}
		t.request = l.rate(n, path)
	}
	return price{table: t}
}

var rateKeys = []string{"per_request", "per_token", "per_1k_tokens", "per_1m_tokens", "minimum", "maximum"}

// rates reads the rates of a mapping; more lists keys that mean other things.
func (l *loader) rates(n *node, path string, more []string) table {
	t := table{line: n.line, col: n.col}
	if len(n.pairs) == 0 {
		l.fail(n, path, "has no rates")
	}
	for i := range n.pairs {
		p := &n.pairs[i]
		at := join(path, p.key)
		switch p.key {
		case "per_request":
			t.request = l.rate(p.value, at)
		case "minimum":
			t.minimum = l.rate(p.value, at)
		case "maximum":
			t.maximum = l.rate(p.value, at)
		case "per_token":
			l.tokenRates(&t, p, at, 0)
		case "per_1k_tokens":
			l.tokenRates(&t, p, at, -3)
		case "per_1m_tokens":
			l.tokenRates(&t, p, at, -6)
		default:
			if contains(more, p.key) {
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
				t.units = append(t.units, unitRate{unit, d})
			}
		}
	}
	if t.minimum.set && t.maximum.set && t.minimum.value.Cmp(t.maximum.value) > 0 {
		l.fail(n, path, "minimum is above maximum")
	}
	return t
}

func (l *loader) tokenRates(t *table, p *pair, path string, shift int) {
	set := func(k Kind, n *node, d money.Decimal) {
		if t.tokens[k].set {
			l.fail(n, path, "the rate of %s is given twice", k)
			return
		}
		t.tokens[k] = rate{d.Shift(shift), true}
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
func (l *loader) adjusts(n *node, path string, op *Operation) []adjust {
	if n == nil || !l.list(n, path) {
		return nil
	}
	if len(n.items) == 0 {
		l.fail(n, path, "the list is empty")
	}
	var list []adjust
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !l.object(item, at, []string{"when", "times", "price"}) {
			continue
		}
		l.required(item, at, "when", "an adjustment without a condition belongs into the price itself")
		a := adjust{line: item.line, col: item.col, when: l.conditions(item.get("when"), at+".when", op, false)}
		times, price := item.get("times"), item.get("price")
		switch {
		case times != nil && price != nil:
			l.fail(item, at, `"times" and "price" exclude each other`)
			continue
		case times != nil:
			a.factor = l.rate(times, at+".times")
		case price != nil:
			l.adjustPrice(&a, price, at+".price", op)
		default:
			l.fail(item, at, `"times" or "price" is missing`)
			continue
		}
		if a.when != nil {
			list = append(list, a)
		}
	}
	return list
}

func (l *loader) adjustPrice(a *adjust, n *node, path string, op *Operation) {
	p := l.price(n, path)
	switch {
	case p.byModel && op == nil:
		l.fail(n, path, "a model's own price is by_model already")
	case p.byModel:
		a.byModel = true
	case n.kind == mappingNode:
		a.rates = &p.table
		if op != nil && !op.price.byModel {
			l.chargedUnits(op, n, path, &p.table)
		}
	default:
		a.whole = &p.table
	}
}

// utc is the zone of conditions until one is named.
func (l *loader) utc() *time.Location {
	if z := l.book.Policies.Timezone; z != nil {
		return z
	}
	return time.UTC
}
