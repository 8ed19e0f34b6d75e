package pricing

import (
	"fmt"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// Change is one difference between two price files.
type Change struct {
	Section  string // "operations", "plans", "policies", …
	ID       string // of the entry; "" in sections without entries
	What     string // "per image", "input", "credits[0].amount"; "" for a whole entry
	Old, New string // in words; "" for what is not in the file
	// From and To are set for rates: in credits, tokens per million.
	From, To *money.Decimal
}

// String is "operations image  per image: 1 → 2 (+100%)".
func (c Change) String() string {
	name := strings.TrimSpace(c.Section + " " + c.ID)
	if c.What != "" {
		name += "  " + c.What
	}
	switch {
	case c.Old == "":
		return "added    " + name + ": " + c.New
	case c.New == "":
		return "removed  " + name + ": " + c.Old
	}
	text := fmt.Sprintf("changed  %s: %s → %s", name, c.Old, c.New)
	if p := c.Percent(); p != "" {
		text += " (" + p + ")"
	}
	return text
}

// Percent is by how much a rate changed: "+100%"; "" if that can't be said.
func (c Change) Percent() string {
	if c.From == nil || c.To == nil || c.From.IsZero() {
		return ""
	}
	sign := "+"
	by, more := c.To.Sub(*c.From)
	if !more {
		sign = "−"
		by, _ = c.From.Sub(*c.To)
	}
	tenths, err := money.Div(by.Shift(2), *c.From, 1)
	if err != nil {
		return ""
	}
	return sign + tenths.Decimal(1).String() + "%"
}

// Diff lists what is different in another price file, in the order of that file.
func Diff(old, other *Book) []Change {
	d := &differ{old: old, other: other}
	a, b := old.tree(), other.tree()
	for _, section := range sections {
		switch section {
		case "version":
		case "operations", "models", "plans", "packs":
			d.entries(section, a.get(section), b.get(section))
		default:
			d.values(section, "", "", a.get(section), b.get(section))
		}
	}
	return d.changes
}

// tree reads the text of the book once more; it has been read before, so it
// can be.
func (b *Book) tree() *node {
	return parseYAML(b.Text, func(int, int, int, string, string) {})
}

type differ struct {
	old, other *Book
	changes    []Change
}

func (d *differ) add(c Change) { d.changes = append(d.changes, c) }

// entries compares the entries of a section by their ids.
func (d *differ) entries(section string, a, b *node) {
	if a == nil {
		a = &node{}
	}
	if b == nil {
		b = &node{}
	}
	for i := range b.pairs {
		id := b.pairs[i].key
		was := a.get(id)
		if was == nil {
			d.add(Change{Section: section, ID: id, New: d.other.words(section, id, b.pairs[i].value)})
			continue
		}
		d.rates(section, id)
		d.parts(section, id, was, b.pairs[i].value)
	}
	for i := range a.pairs {
		if id := a.pairs[i].key; b.get(id) == nil {
			d.add(Change{Section: section, ID: id, Old: d.old.words(section, id, a.pairs[i].value)})
		}
	}
	if section == "operations" { // the first that matches wins
		if x, y := order(a, b), order(b, a); x != y {
			d.add(Change{Section: section, What: "order", Old: x, New: y})
		}
	}
}

// order are the entries that both have, as the first of them has them.
func order(a, b *node) string {
	var ids []string
	for i := range a.pairs {
		if b.get(a.pairs[i].key) != nil {
			ids = append(ids, a.pairs[i].key)
		}
	}
	return strings.Join(ids, ", ")
}

// words are a whole entry in words: its price, or all of it.
func (b *Book) words(section, id string, n *node) string {
	switch section {
	case "operations":
		return b.operations[id].Price.Words()
	case "models":
		return b.exact[id].Table.Words()
	}
	return flow(n)
}

func (p *Price) Words() string {
	if p.ByModel {
		return "by_model"
	}
	return p.Table.Words()
}

// rates compares what an entry that both files have costs.
func (d *differ) rates(section, id string) {
	switch section {
	case "operations":
		d.changes = append(d.changes, priceChanges(id, &d.old.operations[id].Price, &d.other.operations[id].Price)...)
	case "models":
		d.changes = append(d.changes, tableChanges("models", id, "", &d.old.exact[id].Table, &d.other.exact[id].Table)...)
	}
}

// parts compares all of an entry but its rates, which may be written in other
// denominators and mean the same.
func (d *differ) parts(section, id string, a, b *node) {
	isRate := func(key string) bool {
		return section == "operations" && key == "price" || section == "models" && (strings.HasPrefix(key, "per_") || key == "minimum" || key == "maximum")
	}
	for _, key := range keysOf(a, b) {
		if !isRate(key) {
			d.values(section, id, key, a.get(key), b.get(key))
		}
	}
}

// keysOf are the keys of b, then those that only a has.
func keysOf(a, b *node) (keys []string) {
	for i := range b.pairs {
		keys = append(keys, b.pairs[i].key)
	}
	for i := range a.pairs {
		if b.get(a.pairs[i].key) == nil {
			keys = append(keys, a.pairs[i].key)
		}
	}
	return keys
}

// values compares two values of any form, and goes into them where that says more.
func (d *differ) values(section, id, what string, a, b *node) {
	x, y := flow(a), flow(b)
	switch {
	case x == y:
	case a != nil && b != nil && a.kind == mappingNode && b.kind == mappingNode:
		for _, key := range keysOf(a, b) {
			d.values(section, id, strings.TrimPrefix(what+"."+key, "."), a.get(key), b.get(key))
		}
	case a != nil && b != nil && a.kind == listNode && b.kind == listNode && len(a.items) == len(b.items) && mappings(a) && mappings(b):
		for i := range a.items {
			d.values(section, id, fmt.Sprintf("%s[%d]", what, i), a.items[i], b.items[i])
		}
	default:
		d.add(Change{Section: section, ID: id, What: what, Old: x, New: y})
	}
}

func mappings(n *node) bool {
	for _, item := range n.items {
		if item.kind != mappingNode {
			return false
		}
	}
	return true
}

// flow is a value in one line. Numbers that are the same are written the same.
func flow(n *node) string {
	if n == nil {
		return ""
	}
	var parts []string
	switch n.kind {
	case mappingNode:
		for i := range n.pairs {
			parts = append(parts, n.pairs[i].key+": "+flow(n.pairs[i].value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case listNode:
		for _, item := range n.items {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case scalarNode:
		if v, err := money.ParseDecimal(n.text); err == nil && n.plain {
			return Grouping(v.String())
		}
		return n.text
	case nullNode:
	}
	return "nothing"
}

// DiffModel lists what is different in another book's entry of a model: its
// rates and adjustments, not its name or tags. Nothing if other has no such entry.
func DiffModel(old, other *Book, key string) []Change {
	is := other.exact[key]
	if is == nil {
		return nil
	}
	was := old.exact[key]
	if was == nil {
		return []Change{{Section: "models", ID: key, New: is.Table.Words()}}
	}
	list := tableChanges("models", key, "", &was.Table, &is.Table)
	list = append(list, adjustChanges("models", key, was.Table, is.Table, was.Adjust, is.Adjust)...)
	if was.MaxOutputTokens != is.MaxOutputTokens && is.MaxOutputTokens > 0 {
		list = append(list, Change{
			Section: "models", ID: key, What: "max_output_tokens",
			Old: fmt.Sprint(was.MaxOutputTokens), New: fmt.Sprint(is.MaxOutputTokens),
		})
	}
	return list
}
