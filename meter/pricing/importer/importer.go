// Package importer turns public price tables into models: lines of a price file.
//
//	table, err := importer.LiteLLM(text, importer.Options{Models: []string{"gpt-5*"}})
//	fmt.Print(table.YAML())
//	for _, n := range table.Notes { … } // what the lines do not say
//
// Numbers go from the text of the table to the text of the file without ever
// becoming a float. What a price file cannot express becomes a note, never a
// price that is nearly right.
package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Options select entries of a table.
type Options struct {
	Provider string   // "" for all
	Models   []string // names, with "*" for any run of characters; empty for all
	// PerUSD is what one USD of the table is in credits; zero is 1.
	PerUSD money.Decimal
}

func (o *Options) wants(name, provider string) bool {
	return (o.Provider == "" || o.Provider == provider) &&
		(len(o.Models) == 0 || slices.ContainsFunc(o.Models, func(m string) bool { return selector.Glob(m, name) }))
}

// Table is what was read: entries in the order of the table.
type Table struct {
	Entries []*Entry
	Notes   []Note
	names   map[string]bool // of the whole table, also of what was not selected
}

// Has reports whether the table knows a model, selected or not.
func (t *Table) Has(model string) bool { return t.names[model] }

// Note is a field that the lines do not express, or not without an assumption.
type Note struct{ Model, Field, Why string }

// String is "gpt-5  input_cost_per_token_batches: …".
func (n Note) String() string { return fmt.Sprintf("%s  %s: %s", n.Model, n.Field, n.Why) }

// Summary counts the notes by field, the most frequent first.
func (t *Table) Summary() string {
	if len(t.Notes) == 0 {
		return "every price field is expressed"
	}
	count := map[string]int{}
	for _, n := range t.Notes {
		count[n.Field]++
	}
	fields := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	for i, f := range fields {
		fields[i] = fmt.Sprintf("%s ×%d", f, count[f])
	}
	word := "notes"
	if len(t.Notes) == 1 {
		word = "note"
	}
	return fmt.Sprintf("%d %s: %s", len(t.Notes), word, strings.Join(fields, ", "))
}

// Entry is one model.
type Entry struct {
	Name      string
	base      rates
	rows      []row
	maxOutput int64
}

// Free reports whether nothing that the entry prices costs anything.
func (e *Entry) Free() bool {
	return e.base.nothing() && !slices.ContainsFunc(e.rows, func(r row) bool { return !r.rates.nothing() })
}

// rates are in credits: tokens each, units each.
type rates struct {
	tokens [pricing.NumKinds]*money.Decimal
	units  []pricing.UnitRate
}

func (r *rates) unit(name string, d money.Decimal) {
	r.units = append(r.units, pricing.UnitRate{Unit: name, Rate: d})
}

func (r *rates) empty() bool { return !r.hasTokens() && len(r.units) == 0 }

func (r *rates) hasTokens() bool {
	return slices.ContainsFunc(r.tokens[:], func(d *money.Decimal) bool { return d != nil })
}

// paysTokens reports whether any token costs something.
func (r *rates) paysTokens() bool {
	return slices.ContainsFunc(r.tokens[:], func(d *money.Decimal) bool { return d != nil && !d.IsZero() })
}

func (r *rates) nothing() bool {
	return !r.paysTokens() && !slices.ContainsFunc(r.units, func(u pricing.UnitRate) bool { return !u.Rate.IsZero() })
}

// row is an entry of adjust: under a condition, these rates.
type row struct {
	when  string // "input_tokens: {above: 200_000}"
	rates rates
}

// build is one entry in the making.
type build struct {
	*Entry
	table *Table
	per   money.Decimal
}

func (o *Options) build(t *Table, name string) *build {
	per := o.PerUSD
	if per.IsZero() {
		per = money.FromInt(1)
	}
	return &build{Entry: &Entry{Name: name}, table: t, per: per}
}

func (b *build) note(field, why string, args ...any) {
	b.table.Notes = append(b.table.Notes, Note{b.Name, field, fmt.Sprintf(why, args...)})
}

// price reads a number of the table, in USD, as credits. A table has numbers
// with and without quotes.
func (b *build) price(field, text string) (money.Decimal, bool) {
	text = strings.Trim(text, `"`)
	d, err := money.ParseJSONNumber(text)
	if err != nil {
		b.note(field, "%q is not a price", text)
		return d, false
	}
	return d.Mul(b.per), true
}

// finish adds the entry to the table, unless it has no price at all.
func (b *build) finish() {
	if b.base.hasTokens() && !b.base.paysTokens() && len(b.base.units) > 0 && len(b.rows) == 0 {
		b.base.tokens = [pricing.NumKinds]*money.Decimal{} // "0 per token" next to a price per query says nothing
	}
	if b.base.empty() {
		b.note("left out", "no price remains; requests for it stay refused")
		return
	}
	b.table.Entries = append(b.table.Entries, b.Entry)
}
