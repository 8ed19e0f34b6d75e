package pricing

import (
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/selector"
)

func (b *Book) exactKey(key string) *Model { return b.exact[key] }

// lookup is the entry that prices a model by its name: the exact name, the
// name without its date, the pattern that fits the name, the one that fits the
// name without its date. Nil if there is none.
func (b *Book) lookup(name string, at time.Time) *Model {
	if m := b.exact[name]; m != nil && !m.pattern && m.effective(at) {
		return m
	}
	bare, dated := withoutDate(name)
	if dated {
		if m := b.exact[bare]; m != nil && !m.pattern && m.effective(at) {
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

func (m *Model) effective(at time.Time) bool { return m.from.IsZero() || !at.Before(m.from) }

// withoutDate cuts -YYYYMMDD or -YYYY-MM-DD off a name.
func withoutDate(name string) (string, bool) {
	for _, layout := range []string{"-dddddddd", "-dddd-dd-dd"} {
		cut := len(name) - len(layout)
		if cut > 0 && isLayout(name[cut:], layout) {
			return name[:cut], true
		}
	}
	return name, false
}

func isLayout(s, layout string) bool {
	for i := range len(layout) {
		if digit := s[i] >= '0' && s[i] <= '9'; layout[i] == 'd' && !digit || layout[i] == '-' && s[i] != '-' {
			return false
		}
	}
	return true
}

// prices reports whether an entry has a price for an operation: any rate but
// those of units that the operation does not measure and the API not report.
// Otherwise a per-second model would make images for nothing.
func (m *Model) prices(op *Operation, lowerPath string) bool {
	if m.table.free || m.table.request.set || m.table.hasTokens() {
		return true
	}
	if len(m.table.units) == 0 {
		return m.table.minimum.set
	}
	for _, u := range m.table.units {
		if op.measured(u.unit) != nil || reportsUnit(op.API, lowerPath, u.unit) {
			return true
		}
	}
	return false
}

func (op *Operation) measured(unit string) *measured {
	for _, m := range op.measures {
		if m.unit == unit {
			return m
		}
	}
	return nil
}

// reported lists the units that the known APIs report in their answers, by the
// end of the path.
var reported = []struct{ suffix, units string }{
	{"/chat/completions", " web_search image character query "},
	{"/completions", " web_search "},
	{"/responses", " web_search image query session "},
	{"/messages", " web_search web_fetch session "},
	{"/images/generations", " image "},
	{"/images/edits", " image "},
	{"/images/variations", " image "},
	{"/audio/transcriptions", " second "},
	{"/audio/translations", " second "},
	{"/audio/speech", " character second "},
	{"/ocr", " page "},
	{"/rerank", " search_unit "},
	{"/chat", " search_unit web_search "},
	{"/embed", " search_unit image "},
	{"/videos", " second "},
	{"/interactions", " web_search query "},
}

// byAPI are the units of paths that do not say which API they are.
var byAPI = map[string]string{
	"openai":    " web_search image second page character query session search_unit ",
	"anthropic": " web_search web_fetch session ",
	"gemini":    " web_search image second character query ",
}

// reportsUnit reports whether answers on this path can report a unit.
func reportsUnit(api, lowerPath, unit string) bool {
	if api == "other" {
		return false
	}
	unit = " " + unit + " "
	for _, r := range reported {
		if strings.HasSuffix(lowerPath, r.suffix) && strings.Contains(r.units, unit) {
			return true
		}
	}
	if strings.Contains(byAPI[api], unit) {
		return true
	}
	_, gemini := modelInPath(lowerPath)
	return gemini && strings.Contains(byAPI["gemini"], unit)
}

// mayReport is reportsUnit for a pattern: a "*" at its end could be any path.
func (op *Operation) mayReport(unit string) bool {
	for i := range op.patterns {
		p := op.patterns[i].path
		if reportsUnit(op.API, p, unit) {
			return true
		}
		if open := strings.HasSuffix(p, "*"); !open || op.API == "other" {
			continue
		}
		for _, r := range reported {
			if strings.Contains(r.units, " "+unit+" ") && mayEndIn(p, r.suffix) {
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
