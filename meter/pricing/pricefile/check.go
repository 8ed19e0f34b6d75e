package pricefile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

// check looks for what is allowed but probably not meant.
func (l *loader) check() {
	l.neverMatching()
	l.unpricedFree()
	l.unbounded()
	for _, m := range l.book.Models {
		l.neverReported(m)
		l.outputMaximum(m)
		l.cachedAboveInput(m)
	}
	for _, op := range l.book.Operations {
		l.freeByZero(op)
		if op.Price.ByModel && len(l.book.Models) == 0 {
			l.warnAt(op.Line, op.Column, len(op.ID), "operations."+op.ID, `is priced by_model, but there are no "models"`)
		}
	}
	for _, p := range l.book.Plans {
		l.selected(p.Allow, "plans."+p.ID+".allow", p.Line, p.Column)
		l.selected(p.Deny, "plans."+p.ID+".deny", p.Line, p.Column)
		for i, g := range p.Grants {
			l.selected(g.OnlyFor, fmt.Sprintf("plans.%s.credits[%d].only_for", p.ID, i), p.Line, p.Column)
			l.selected(g.NotFor, fmt.Sprintf("plans.%s.credits[%d].not_for", p.ID, i), p.Line, p.Column)
		}
	}
	for _, p := range l.book.Packs {
		l.selected(p.OnlyFor, "packs."+p.ID+".only_for", p.Line, p.Column)
		l.selected(p.NotFor, "packs."+p.ID+".not_for", p.Line, p.Column)
	}
}

func (l *loader) warnAt(line, col, width int, path, message string) {
	l.add(line, col, width, path, message, true)
}

// unpricedFree warns where what has no price is free: then everything depends on
// each path being priced, and a request that is none of the API's is free, too.
func (l *loader) unpricedFree() {
	if l.book.Policies.UnpricedFree {
		l.warn(l.places["policies"].Get("unpriced"), `every request without an operation passes uncharged; let only paths with prices reach the meter, in the Caddyfile: "meter /v1/*"`)
	}
}

// unbounded warns of answers that nothing bounds: no output limit is written into
// requests, and the file does not say what the model can make at most.
func (l *loader) unbounded() {
	if l.book.Policies.ClampOutput {
		return
	}
	for _, m := range l.book.Models {
		if m.MaxOutputTokens == 0 && m.Table.Tokens[pricing.Output].Set {
			l.warnAt(m.Line, m.Column, len(m.Key), "models."+m.Key, "nothing bounds an answer of this model, because of policies.clamp_output: false; what it costs beyond its hold and the balance is lost. Write max_output_tokens")
		}
	}
}

// neverMatching finds operations that come after one that takes everything
// they could.
func (l *loader) neverMatching() {
	ops := l.book.Operations
	for j, later := range ops {
		for i := range j {
			earlier := ops[i]
			if earlier.Where != nil || !earlier.EffectiveFrom.IsZero() || len(later.Match) == 0 || !coversAll(earlier, later) {
				continue
			}
			l.warnAt(later.Line, later.Column, len(later.ID), "", fmt.Sprintf(
				"operations.%s can never match: operations.%s (%d:%d) comes first and matches everything it does",
				later.ID, earlier.ID, earlier.Line, earlier.Column))
			break
		}
	}
}

func coversAll(earlier, later *pricing.Operation) bool {
	return !slices.ContainsFunc(later.Match, func(q pricing.Pattern) bool {
		return !slices.ContainsFunc(earlier.Match, func(p pricing.Pattern) bool { return p.Covers(&q) })
	})
}

// outputMaximum warns where a hold can't know how long an answer may be.
func (l *loader) outputMaximum(m *pricing.Model) {
	if price, _ := m.Table.Token(pricing.Output); m.MaxOutputTokens > 0 || price.IsZero() {
		return
	}
	l.warnAt(m.Line, m.Column, len(m.Key), "", fmt.Sprintf(
		"models.%s has no max_output_tokens; %d tokens are held when a request sets no limit",
		m.Key, l.book.Policies.ReserveOutputTokens))
}

// neverReported finds rates of a model by units that nothing counts: they would
// never be charged. One that is spelled like a unit that exists is a mistake; tables
// of public prices have others, and models that wait for their operation.
func (l *loader) neverReported(m *pricing.Model) {
	n := l.places["models."+m.Key]
	if n == nil {
		return
	}
	for i := range n.Pairs {
		p := &n.Pairs[i]
		unit, ok := strings.CutPrefix(p.Key, "per_")
		if !ok || unit == "request" || strings.HasSuffix(unit, "token") || strings.HasSuffix(unit, "tokens") || l.counts(unit) {
			continue
		}
		known := pricing.ReportedUnits()
		if slices.Contains(known, unit) {
			l.add(p.line, p.col, p.width, "models."+m.Key, fmt.Sprintf("no operation that is priced by_model reports %s or measures it, so this is never charged", unit), true)
			continue
		}
		if hint := suggest(unit, append(known, slices.Collect(maps.Keys(l.units))...)); hint != "" {
			l.add(p.line, p.col, p.width, "models."+m.Key, fmt.Sprintf("no answer reports %q, so it would never be charged%s", unit, strings.Replace(hint, `"`, `"per_`, 1)), false)
			continue
		}
		l.add(p.line, p.col, p.width, "models."+m.Key, fmt.Sprintf("no answer reports %q and no operation measures it, so it is never charged; let the operation measure it, or write one of per_%s", unit, strings.Join(known, ", per_")), true)
	}
}

// counts reports whether an operation that is priced by model has a quantity of the unit.
func (l *loader) counts(unit string) bool {
	return slices.ContainsFunc(l.book.Operations, func(op *pricing.Operation) bool {
		return op.Price.ByModel && (op.Measured(unit) != nil || op.MayReport(unit))
	})
}

func (l *loader) cachedAboveInput(m *pricing.Model) {
	cached, input := m.Table.Tokens[pricing.CachedInput], m.Table.Tokens[pricing.Input]
	if !cached.Set || !input.Set || cached.Value.Cmp(input.Value) <= 0 {
		return
	}
	line, col, width, a, b := l.ratesPlace(m)
	l.warnAt(line, col, width, "", fmt.Sprintf(
		"models.%s prices cached_input above input (%s > %s); is a decimal missing?", m.Key, a, b))
}

// ratesPlace finds the rates of a model in the file, as they are written.
func (l *loader) ratesPlace(m *pricing.Model) (line, col, width int, cached, input string) {
	n := l.places["models."+m.Key]
	if n != nil {
		for i := range n.Pairs {
			p := &n.Pairs[i]
			c, in := p.Value.Get("cached_input"), p.Value.Get("input")
			if strings.HasPrefix(p.Key, "per_") && c != nil && in != nil {
				return p.line, p.col, p.width, c.Text, in.Text
			}
		}
	}
	c, in := m.Table.Tokens[pricing.CachedInput].Value, m.Table.Tokens[pricing.Input].Value
	return m.Line, m.Column, len(m.Key), c.String(), in.String()
}

// freeByZero warns of prices that a request can make nothing by asking for 0.
func (l *loader) freeByZero(op *pricing.Operation) {
	if op.Free || op.Price.ByModel || op.Price.Table.Request.Set && op.Quantity == nil ||
		op.Price.Table.Minimum.Set || op.Price.Table.HasTokens() {
		return
	}
	look := append([]*pricing.Measure{}, op.Measures...)
	if op.Quantity != nil {
		look = []*pricing.Measure{op.Quantity}
	}
	for _, m := range look {
		if _, charged := op.Price.Table.Unit(m.Unit); !charged && m != op.Quantity || m.Field.InAnswer() {
			continue
		}
		if m.Min.Set && !m.Min.Value.IsZero() {
			return
		}
		path := "operations." + op.ID + ".quantity"
		if m != op.Quantity {
			path = "operations." + op.ID + ".measure." + m.Unit
		}
		l.warnAt(m.Line, m.Column, 1, path, `a request for 0 is free; write "min: 1" here or a "minimum" in the price`)
	}
}

// selected warns of a selector that names something that does not exist.
func (l *loader) selected(s *selector.Selector, path string, line, col int) {
	if s == nil {
		return
	}
	var ids, features, tags []string
	for _, op := range l.book.Operations {
		ids = append(ids, op.ID)
		features = append(features, op.Feature)
		tags = append(tags, op.Tags...)
	}
	for _, m := range l.book.Models {
		tags = append(tags, m.Tags...)
	}
	look := func(what string, patterns, names []string) {
		for _, p := range patterns {
			if !slices.ContainsFunc(names, func(name string) bool { return name != "" && selector.Glob(p, name) }) {
				l.warnAt(line, col, 1, path, fmt.Sprintf("nothing has the %s %q%s", what, p, suggest(p, names)))
			}
		}
	}
	look("operation id", s.Operations, ids)
	look("feature", s.Features, features)
	look("tag", s.Tags, tags)
}
