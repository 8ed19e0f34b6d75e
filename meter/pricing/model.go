package pricing

import (
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/selector"
)

// NamedModel is the entry with this key, or the one that prices a model of this name.
func (b *Book) NamedModel(name string, at time.Time) *Model {
	if m := b.exact[name]; m != nil && (m.IsPattern || m.effective(at)) {
		return m
	}
	return b.ModelFor(name, at)
}

// ModelFor is the entry that prices a model by its name: the exact name, the
// name without its date, the pattern that fits the name, the one that fits the
// name without its date. Nil if there is none; unlisted_model does not count.
func (b *Book) ModelFor(name string, at time.Time) *Model {
	if m := b.exact[name]; m != nil && !m.IsPattern && m.effective(at) {
		return m
	}
	bare, dated := selector.WithoutDate(name)
	if dated {
		if m := b.exact[bare]; m != nil && !m.IsPattern && m.effective(at) {
			return m
		}
	}
	if m := b.fitting(name, at); m != nil || !dated {
		return m
	}
	return b.fitting(bare, at)
}

// fitting is the first pattern that fits; they are sorted by what counts.
func (b *Book) fitting(name string, at time.Time) *Model {
	for _, m := range b.patterns {
		if selector.Glob(m.Key, name) && m.effective(at) {
			return m
		}
	}
	return nil
}

func (m *Model) effective(at time.Time) bool {
	return m.EffectiveFrom.IsZero() || !at.Before(m.EffectiveFrom)
}

// prices reports whether an entry has a price for an operation: any rate but
// those of units that the operation does not measure and the API not report.
// Otherwise a per-second model would make images for nothing.
func (m *Model) prices(op *Operation, lowerPath string) bool {
	if m.Table.Free || m.Table.Request.Set || m.Table.HasTokens() {
		return true
	}
	if len(m.Table.Units) == 0 {
		return m.Table.Minimum.Set
	}
	return slices.ContainsFunc(m.Table.Units, func(u UnitRate) bool {
		return op.Measured(u.Unit) != nil || reportsUnit(op.API, lowerPath, u.Unit)
	})
}

// Measured is how the operation measures a unit, nil if it does not.
func (op *Operation) Measured(unit string) *Measure {
	for _, m := range op.Measures {
		if m.Unit == unit {
			return m
		}
	}
	return nil
}

// reported lists the units that the known APIs report in their answers, by the
// end of the path.
var reported = []struct {
	suffix string
	units  []string
}{
	{"/chat/completions", []string{"web_search"}},
	{"/completions", []string{"web_search"}},
	{"/responses", []string{"web_search"}},
	{"/messages", []string{"web_search", "web_fetch"}},
	{"/images/generations", []string{"image"}},
	{"/images/edits", []string{"image"}},
	{"/images/variations", []string{"image"}},
	{"/audio/transcriptions", []string{"second"}},
	{"/audio/translations", []string{"second"}},
	{"/audio/speech", []string{"character", "second"}},
	{"/ocr", []string{"page"}},
	{"/rerank", []string{"search_unit"}},
	{"/v2/chat", []string{"search_unit", "web_search"}},
	{"/v2/embed", []string{"search_unit", "image"}},
	{"/interactions", []string{"web_search"}},
	{":predict", []string{"image", "character"}},
	{":predictlongrunning", []string{"second", "video"}},
}

// ReportedUnits are all units that answers report, each once.
func ReportedUnits() []string {
	var list []string
	for _, r := range reported {
		for _, unit := range r.units {
			if !slices.Contains(list, unit) {
				list = append(list, unit)
			}
		}
	}
	return list
}

// byAPI are the units of paths that the table above does not know, where the
// operation or the form of the path says which API it is.
var byAPI = map[string][]string{
	"openai":    {"web_search", "image", "second", "page", "character", "search_unit", "video"},
	"anthropic": {"web_search", "web_fetch"},
	"gemini":    {"web_search"},
}

// reportsUnit reports whether answers on this path can report a unit.
func reportsUnit(api, lowerPath, unit string) bool {
	if api == "other" {
		return false
	}
	for i := range reported {
		if strings.HasSuffix(lowerPath, reported[i].suffix) {
			return slices.Contains(reported[i].units, unit)
		}
	}
	if _, gemini := modelInPath(lowerPath); gemini {
		api = "gemini"
	}
	return slices.Contains(byAPI[api], unit)
}

// MayReport is reportsUnit for a pattern: a "*" at its end could be any path.
func (op *Operation) MayReport(unit string) bool {
	for i := range op.Match {
		p := op.Match[i].Path
		if reportsUnit(op.API, p, unit) {
			return true
		}
		if open := strings.HasSuffix(p, "*"); !open || op.API == "other" {
			continue
		}
		for _, r := range reported {
			if slices.Contains(r.units, unit) && mayEndIn(p, r.suffix) {
				return true
			}
		}
	}
	return false
}

// mayEndIn reports whether a pattern that ends in "*" could fit a path with
// this end, as its last segment or segments.
func mayEndIn(pattern, suffix string) bool {
	head := strings.TrimSuffix(pattern, "*")
	if strings.HasSuffix(head, "/") || strings.Contains(head, "*") {
		return true
	}
	i := strings.LastIndexByte(head, '/')
	return strings.Contains(suffix, head[max(i, 0):])
}

// Where only the answer says which model has worked, the hold is that of the
// dearest of those that it may name.

// answeringModels are the models that an answer may name, of those that can be
// the dearest.
func (b *Book) answeringModels(op *Operation) (list []*Model) {
	for _, m := range b.Models {
		if m.pricesSome(op) {
			list = append(list, m)
		}
	}
	return dearest(list)
}

// pricesSome reports whether an entry prices requests of the operation on
// some of its paths.
func (m *Model) pricesSome(op *Operation) bool {
	for i := range op.Match {
		if m.prices(op, op.Match[i].Path) {
			return true
		}
	}
	return slices.ContainsFunc(m.Table.Units, func(u UnitRate) bool { return op.MayReport(u.Unit) })
}

// dearest drops the candidates that can never be the dearest: those without
// adjustments that another one without adjustments, and without a ceiling, is
// at least as dear as in everything. Of thousands of models a few are left.
func dearest(list []*Model) []*Model {
	var kept []*Model
	for i, m := range list {
		beaten := false
		for j, o := range list {
			if i != j && m.beatenBy(o) && (!o.beatenBy(m) || i >= j) {
				beaten = true
				break
			}
		}
		if !beaten {
			kept = append(kept, m)
		}
	}
	return kept
}

func (m *Model) beatenBy(o *Model) bool {
	if len(m.Adjust)+len(o.Adjust)+len(m.Reserve)+len(o.Reserve) > 0 || !m.EffectiveFrom.Equal(o.EffectiveFrom) || o.Table.Maximum.Set ||
		m.MaxOutputTokens != o.MaxOutputTokens && o.MaxOutputTokens != 0 && (m.MaxOutputTokens == 0 || m.MaxOutputTokens > o.MaxOutputTokens) ||
		m.MaxOutputTokens != 0 && o.MaxOutputTokens == 0 {
		return false
	}
	if m.Table.Request.Value.Cmp(o.Table.Request.Value) > 0 || m.Table.Minimum.Value.Cmp(o.Table.Minimum.Value) > 0 {
		return false
	}
	for k := range NumKinds {
		mine, _ := m.Table.Token(k)
		other, _ := o.Table.Token(k)
		if mine.Cmp(other) > 0 {
			return false
		}
	}
	for _, u := range m.Table.Units {
		if other, _ := o.Table.Unit(u.Unit); u.Rate.Cmp(other) > 0 {
			return false
		}
	}
	return true
}
