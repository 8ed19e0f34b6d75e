package meter

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/dialect"
)

// Whoever searches the web is billed per search, whatever the answer calls it.
func TestSearchesAreOneUnitUnderAnyName(t *testing.T) {
	three, two := dialect.Count{N: 3, OK: true}, dialect.Count{N: 2, OK: true}
	for name, c := range map[string]struct {
		requests dialect.Requests
		want     string
	}{
		"web searches":                     {dialect.Requests{WebSearch: three}, "web_search=3"},
		"Perplexity's queries":             {dialect.Requests{Search: two}, "web_search=2"},
		"both, which are the same ones":    {dialect.Requests{WebSearch: three, Search: two}, "web_search=3"},
		"an explicit zero is data":         {dialect.Requests{WebSearch: dialect.Count{OK: true}, Search: two}, "web_search=0"},
		"nothing that was said is nothing": {dialect.Requests{}, ""},
	} {
		text := ""
		for _, u := range usageOf(dialect.Usage{Requests: c.requests}).Units {
			text += u.Unit + "=" + u.Count.String()
		}
		if text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}
