package pricefile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/pricing"
)

func (l *loader) operations(n *Node) {
	if n == nil || !l.mapping(n) {
		return
	}
	if len(n.Pairs) == 0 {
		l.fail(n, "a price file prices at least one operation")
	}
	for p := range n.entries() {
		op := l.operation(p)
		l.book.Operations = append(l.book.Operations, op)
		l.places["operations."+op.ID] = p.Value
	}
}

func (l *loader) operation(p *Pair) *pricing.Operation {
	l.id(p)
	op := &pricing.Operation{ID: p.Key, Name: p.Key, API: "auto", Line: p.line, Column: p.col}
	n := p.Value
	if !l.object(n, "operation") {
		return op
	}
	set(n, "name", &op.Name, l.text)
	set(n, "feature", &op.Feature, l.text)
	op.Tags = l.tags(n.Get("tags"))
	set(n, "api", &op.API, l.word("operation.api"))
	op.Match = l.match(n.Get("match"))
	l.modelSource(op, n.Get("model"))
	l.measure(op, n.Get("measure"))
	if v := n.Get("quantity"); v != nil {
		op.Quantity = l.measured(v, "")
	}
	l.freeTier(op, n.Get("free_tier"))
	op.EffectiveFrom = l.instant(n.Get("effective_from"))
	if v := n.Get("price"); v != nil {
		op.Price = l.price(v)
		l.chargedUnits(op, v, &op.Price.Table)
	}
	if op.NoModel && op.Price.ByModel {
		l.fail(n.Get("price"), `by_model needs a model, but "model: none" says there is none`)
	}
	op.Where = l.conditions(n.Get("where"), op, true)
	op.Adjust = l.adjusts(n.Get("adjust"), op)
	l.job(op, n.Get("job"))
	return op
}

// chargedUnits checks that every unit with a rate has a quantity.
func (l *loader) chargedUnits(op *pricing.Operation, n *Node, t *pricing.Table) {
	for _, u := range t.Units {
		if op.Measured(u.Unit) == nil && !op.MayReport(u.Unit) {
			rates := []string{}
			for i := range op.Measures {
				rates = append(rates, "per_"+op.Measures[i].Unit)
			}
			l.fail(n, `per_%s is charged, but "measure" has no "%s"%s`, u.Unit, u.Unit, suggest("per_"+u.Unit, rates))
		}
	}
}

var (
	routeForm = regexp.MustCompile(`^(?:(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) )?(/[^ ]*)$`)
	methods   = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
)

func (l *loader) match(n *Node) []pricing.Pattern {
	if n == nil {
		return nil
	}
	items := []*Node{n}
	if n.Kind == ListNode {
		items = slices.Collect(n.items())
	}
	if len(items) == 0 {
		l.fail(n, "the list is empty, so nothing can match")
	}
	var list []pricing.Pattern
	for _, item := range items {
		if p, ok := l.route(item); ok {
			list = append(list, p)
		}
	}
	return list
}

func (l *loader) route(n *Node) (pricing.Pattern, bool) {
	if n.Kind != ScalarNode {
		l.fail(n, `a method and a path are needed here, such as "POST /v1/images", not %s`, n.what())
		return pricing.Pattern{}, false
	}
	m := routeForm.FindStringSubmatch(n.Text)
	if m == nil {
		l.fail(n, "%s", routeProblem(n.Text))
		return pricing.Pattern{}, false
	}
	p := pricing.Pattern{Method: m[1], Path: strings.ToLower(m[2]), Text: n.Text, Line: n.line, Column: n.col}
	if len(p.Path) > 1 {
		p.Path = strings.TrimSuffix(p.Path, "/")
	}
	if strings.ContainsAny(p.Path, "?#%") {
		l.fail(n, "a pattern is a decoded path without its query")
		return p, false
	}
	return p, true
}

// pathOf is what of an address, or of a path without its slash, can be matched.
func pathOf(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		_, s, _ = strings.Cut(rest, "/")
	}
	return "/" + s
}

func routeProblem(s string) string {
	method, rest, two := strings.Cut(s, " ")
	switch {
	case two && slices.Contains(methods, method) && !strings.HasPrefix(rest, "/"):
		return fmt.Sprintf(`the path must start with "/"; did you mean "%s %s"?`, method, pathOf(strings.TrimSpace(rest)))
	case two && strings.HasPrefix(rest, "/") && slices.Contains(methods, strings.ToUpper(method)):
		return fmt.Sprintf(`methods are written in capitals; did you mean "%s %s"?`, strings.ToUpper(method), rest)
	case two && strings.HasPrefix(rest, "/"):
		return fmt.Sprintf("%q is not a method%s", method, suggest(strings.ToUpper(method), methods))
	case !two && !strings.HasPrefix(s, "/") && s != "" && !slices.Contains(methods, s):
		return fmt.Sprintf(`the path must start with "/"; did you mean "%s"?`, pathOf(s))
	}
	return fmt.Sprintf(`%q is not a method and a path; write "POST /v1/images"`, s)
}

func (l *loader) modelSource(op *pricing.Operation, n *Node) {
	switch {
	case n == nil:
	case n.is("none"):
		op.NoModel = true
	default:
		op.ModelFrom, _ = l.field(n)
	}
}

func (l *loader) measure(op *pricing.Operation, n *Node) {
	if n == nil || !l.mapping(n) {
		return
	}
	for p := range n.entries() {
		if _, token := pricing.KindByName(p.Key); token {
			l.failKey(p, "%q is a kind of token; give the unit another name", p.Key)
			continue
		}
		if !unitForm.MatchString(p.Key) || p.Key == "request" || p.Key == "token" || strings.HasSuffix(p.Key, "_tokens") {
			l.failKey(p, `%q can't be a unit; use small letters, digits and "_"`, p.Key)
			continue
		}
		if m := l.measured(p.Value, p.Key); m != nil {
			op.Measures = append(op.Measures, m)
			l.units[p.Key] = true
		}
	}
}

// measured reads a quantity: a field, or a mapping with more about it.
func (l *loader) measured(n *Node, unit string) *pricing.Measure {
	m := &pricing.Measure{Unit: unit, Whole: unit != "second" && unit != "minute" && unit != "hour", Line: n.line, Column: n.col}
	if n.Kind == ScalarNode {
		var ok bool
		if m.Field, ok = l.field(n); !ok {
			return nil
		}
		if m.Field.InAnswer() {
			l.fail(n, `only the answer says it, so nothing would be held before; write {from: %s, reserve: 60}, with the most that one request uses`, m.Field.Text)
		}
		return m
	}
	if !l.object(n, "measured") {
		return nil
	}
	from := n.Get("from")
	if from == nil {
		return nil
	}
	var ok bool
	if m.Field, ok = l.field(from); !ok {
		return nil
	}
	m.Default = l.rate(n.Get("default"))
	m.Max = l.rate(n.Get("max"))
	m.Min = l.rate(n.Get("min"))
	m.Reserve = l.rate(n.Get("reserve"))
	set(n, "text", &m.Text, l.boolean)
	if m.Max.Set && m.Min.Set && m.Max.Value.Cmp(m.Min.Value) < 0 {
		l.fail(n, "max is less than min, so no quantity fits")
	}
	if d := m.Default; d.Set && (m.Max.Set && d.Value.Cmp(m.Max.Value) > 0 || m.Min.Set && d.Value.Cmp(m.Min.Value) < 0) {
		l.fail(n.Get("default"), "is not between min and max; no request that says how much could ask for it")
	}
	if v := n.Get("reserve"); v != nil && !m.Field.InAnswer() {
		l.warn(v, "has no effect: %s is known before the answer", m.Field.Text)
	}
	if m.Field.InAnswer() && m.Reserved().IsZero() {
		l.fail(n, `only the answer says it, so nothing would be held before; write "reserve": the most that one request uses`)
	}
	return m
}

func (l *loader) freeTier(op *pricing.Operation, n *Node) {
	if n == nil || !l.mapping(n) {
		return
	}
	tier := &pricing.FreeTier{}
	for p := range n.entries() {
		if p.Key == "every" {
			tier.Every, _ = l.every(p.Value)
			continue
		}
		if tier.Unit != "" {
			l.failKey(p, `a free tier has one quantity and "every"`)
			return
		}
		if p.Key != "request" && op.Measured(p.Key) == nil && !op.MayReport(p.Key) {
			valid := []string{"request", "every"}
			for _, m := range op.Measures {
				valid = append(valid, m.Unit)
			}
			l.unknownKey(p, valid)
			return
		}
		tier.Unit = p.Key
		tier.Count, _ = l.decimal(p.Value)
	}
	l.required(n, "every", `write "every: month"`)
	if tier.Unit == "" {
		l.fail(n, "nothing is free; write a quantity, such as request: 20")
		return
	}
	op.FreeTier = tier
}

func (l *loader) job(op *pricing.Operation, n *Node) {
	if n == nil || !l.object(n, "job") {
		return
	}
	job := &pricing.Job{MaxAge: calendar.Duration{Count: 2, Unit: calendar.Day}}
	if v := n.Get("id"); v != nil {
		if job.ID, _ = l.field(v); job.ID != nil && !job.ID.InAnswer() {
			l.fail(v, "%s is known before there is a job; write where the answer has the id, such as response.body.id", job.ID.Text)
		}
	}
	if v := n.Get("status"); v != nil {
		p, ok := l.route(v)
		if ok && strings.Count(p.Path, "{id}") != 1 {
			l.fail(v, `must contain "{id}" once, for the id of the job`)
		}
		job.Status = p
	}
	job.FailedWhen = l.fromAnswer(n.Get("failed_when"), l.conditions(n.Get("failed_when"), op, false))
	job.DoneWhen = l.fromAnswer(n.Get("done_when"), l.conditions(n.Get("done_when"), op, false))
	set(n, "max_age", &job.MaxAge, l.duration)
	job.LostRefund = l.says(n, "job.when_lost", "refund")
	l.jobWebhook(job, n.Get("webhook"))
	if job.ID != nil && job.FailedWhen != nil {
		op.Job = job
	}
}

// jobWebhook reads the route that an upstream calls when a job is over.
func (l *loader) jobWebhook(job *pricing.Job, n *Node) {
	if n == nil || !l.object(n, "webhook") {
		return
	}
	setPointer(n, "match", &job.Webhook, l.route)
	if v := n.Get("id"); v != nil {
		f, problem := pricing.ParseField(v.Text)
		if v.Kind != ScalarNode || f == nil || f.From != pricing.FromBody {
			l.fail(v, "%s%s: the id is read in the webhook's JSON body; write body.id", v.what(), spaced(problem))
			return
		}
		job.WebhookID = f
	}
}

func spaced(s string) string {
	if s == "" {
		return s
	}
	return " " + s
}

// utc is the zone of conditions until one is named.
func (l *loader) utc() *time.Location {
	if z := l.book.Policies.Timezone; z != nil {
		return z
	}
	return time.UTC
}
