package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// LiteLLM reads the price map that LiteLLM publishes: an object of models, each
// with fields such as input_cost_per_token, in USD.
func LiteLLM(text []byte, o Options) (*Table, error) {
	models, err := members(text)
	if err != nil {
		return nil, fmt.Errorf("not a price map (an object of models): %w", err)
	}
	t := &Table{names: map[string]bool{}}
	for _, m := range models {
		fields, err := members(m.value)
		if err != nil || m.key == "sample_spec" { // a date, and the explanation of the fields
			continue
		}
		t.names[m.key] = true
		if o.wants(m.key, find(fields, "litellm_provider").text()) {
			l := &litellm{build: o.build(t, m.key), fields: fields, mode: find(fields, "mode").text(), tokenPrices: variants{}, unitPrices: map[string]money.Decimal{}}
			l.read()
		}
	}
	if len(t.names) == 0 {
		return nil, errors.New("no models in it; a price map looks like {\"gpt-5\": {\"input_cost_per_token\": 1.25e-06, …}, …}")
	}
	return t, nil
}

// litellm is one entry of the map being read.
type litellm struct {
	*build
	fields      []member
	mode        string
	tokenPrices variants
	unitPrices  map[string]money.Decimal // by field
}

func (l *litellm) read() {
	for _, f := range l.fields {
		l.field(f)
	}
	l.tokens(l.tokenPrices)
	l.units()
	l.checkOutput()
	l.finish()
}

func (l *litellm) field(f member) {
	k, v, isToken := tokenField(f.key)
	switch {
	case f.null():
	case isToken:
		if d, ok := l.price(f.key, f.text()); ok {
			if was := l.tokenPrices.set(v, k, d); was != nil && was.Cmp(d) != 0 {
				l.note(f.key, "another field gives another price for %s; the first one is taken", k)
			}
		}
	case f.key == "max_output_tokens":
		l.outputMaximum(f)
	case f.key == "search_context_cost_per_query":
		l.webSearch(f)
	case f.key == "tiered_pricing":
		l.tiers(f)
	case unitFields[f.key]:
		if d, ok := l.price(f.key, f.text()); ok {
			l.unitPrices[f.key] = d
		}
	case reasons[f.key] != "":
		l.note(f.key, "%s", reasons[f.key])
	case strings.HasSuffix(f.key, "_batches"):
		l.note(f.key, "the requests inside a batch file are not seen one by one; price the batch as an operation")
	case isPrice(f.key):
		l.note(f.key, "has no place in a price file; write it as an adjust if it concerns you")
	}
}

// reasons are fields that are known and have no place here.
var reasons = map[string]string{
	"input_dbu_cost_per_token":              "the same price in another currency",
	"output_dbu_cost_per_token":             "the same price in another currency",
	"vector_store_cost_per_gb_per_day":      "storage costs by time, not by request",
	"file_search_cost_per_gb_per_day":       "storage costs by time, not by request",
	"cache_creation_input_audio_token_cost": "there is no kind of token for audio that is written to a cache; it costs what cache_write costs",
	"provider_specific_entry":               "factors for regions and speeds; write them as adjust with times",
}

// isPrice recognises prices that nothing here knows: better one note too many.
func isPrice(field string) bool {
	words := []string{"cost", "price", "pricing", "multiplier", "fee"}
	return !strings.HasPrefix(field, "supports_") && slices.ContainsFunc(words, func(word string) bool { return strings.Contains(field, word) })
}

func (l *litellm) outputMaximum(f member) {
	d, err := money.ParseJSONNumber(f.text())
	if n, whole := d.Int64(); err == nil && whole && n > 0 {
		l.maxOutput = n
	} else if err != nil || !d.IsZero() {
		l.note(f.key, "%q is not a count of tokens", f.text())
	}
}

// webSearch is a price per search, the same or by the size of the context.
func (l *litellm) webSearch(f member) {
	sizes, err := members(f.value)
	if err != nil {
		l.note(f.key, "is not an object of sizes")
		return
	}
	prices := map[string]money.Decimal{}
	for _, s := range sizes {
		size, known := strings.CutPrefix(s.key, "search_context_size_")
		if d, ok := l.price(f.key, s.text()); ok && known {
			prices[size] = d
		}
	}
	base, ok := prices["medium"] // what a request without a size gets
	if !ok {
		l.note(f.key, "has no price for medium, the size of a request that names none")
		return
	}
	l.base.unit("web_search", base)
	for _, size := range []string{"low", "high"} {
		if d, ok := prices[size]; ok && d.Cmp(base) != 0 {
			r := row{when: "body.web_search_options.search_context_size: " + size}
			r.rates.unit("web_search", d)
			l.rows = append(l.rows, r)
		}
	}
}

// tiers are prices by the length of the prompt, as a list of ranges.
func (l *litellm) tiers(f member) {
	list, err := elements(f.value)
	if err != nil {
		l.note(f.key, "is not a list of ranges")
		return
	}
	for i, raw := range list {
		tier, err := members(raw)
		bounds, errRange := elements(find(tier, "range").value)
		if err != nil || errRange != nil || len(bounds) != 2 {
			l.note(f.key, "ranges of something else than input tokens; write them as adjust with the field of the request")
			return
		}
		from, err := money.ParseJSONNumber(string(bounds[0]))
		n, whole := from.Int64()
		if err != nil || !whole || i == 0 && n > 0 {
			l.note(f.key, "ranges that do not begin with 0, or not with whole numbers")
			return
		}
		l.tier(f.key, variant{above: n}, tier)
	}
}

func (l *litellm) tier(field string, v variant, tier []member) {
	for _, p := range tier {
		k, plain, ok := tokenField(p.key)
		switch {
		case p.key == "range":
		case !ok || plain != (variant{}):
			l.note(field, "%s in a range has no place in a price file", p.key)
		default:
			if d, ok := l.price(field, p.text()); ok {
				l.tokenPrices.set(v, k, d)
			}
		}
	}
}

// checkOutput: nothing is free by accident.
func (l *litellm) checkOutput() {
	if l.base.tokens[pricing.Input] == nil || l.base.tokens[pricing.Output] != nil || l.base.tokens[pricing.Input].IsZero() {
		return
	}
	switch l.mode {
	case "chat", "completion", "responses":
		l.note("output_cost_per_token", "is missing, so output would cost nothing; add it")
	}
}
