package change

import (
	"fmt"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
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
func Diff(old, other *pricing.Book) []Change {
	d := &differ{old: old, other: other}
	a, b := pricefile.Parse(old.Text), pricefile.Parse(other.Text)
	for _, section := range pricefile.Sections[0].Names() {
		switch section {
		case "version":
		case "operations", "models", "plans", "packs":
			d.entries(section, a.Get(section), b.Get(section))
		default:
			d.values(section, "", "", a.Get(section), b.Get(section))
		}
	}
	return d.changes
}

type differ struct {
	old, other *pricing.Book
	changes    []Change
}

func (d *differ) add(c Change) { d.changes = append(d.changes, c) }

// entries compares the entries of a section by their ids.
func (d *differ) entries(section string, a, b *pricefile.Node) {
	if a == nil {
		a = &pricefile.Node{}
	}
	if b == nil {
		b = &pricefile.Node{}
	}
	for i := range b.Pairs {
		id := b.Pairs[i].Key
		was := a.Get(id)
		if was == nil {
			d.add(Change{Section: section, ID: id, New: words(d.other, section, id, b.Pairs[i].Value)})
			continue
		}
		d.rates(section, id)
		d.parts(section, id, was, b.Pairs[i].Value)
	}
	for i := range a.Pairs {
		if id := a.Pairs[i].Key; b.Get(id) == nil {
			d.add(Change{Section: section, ID: id, Old: words(d.old, section, id, a.Pairs[i].Value)})
		}
	}
	if section == "operations" { // the first that matches wins
		if x, y := order(a, b), order(b, a); x != y {
			d.add(Change{Section: section, What: "order", Old: x, New: y})
		}
	}
}

// order are the entries that both have, as the first of them has them.
func order(a, b *pricefile.Node) string {
	var ids []string
	for i := range a.Pairs {
		if b.Get(a.Pairs[i].Key) != nil {
			ids = append(ids, a.Pairs[i].Key)
		}
	}
	return strings.Join(ids, ", ")
}

// words are a whole entry in words: its price, or all of it.
func words(b *pricing.Book, section, id string, n *pricefile.Node) string {
	switch section {
	case "operations":
		return b.Operation(id).Price.Words()
	case "models":
		return b.Model(id).Table.Words()
	}
	return flow(n)
}

// rates compares what an entry that both files have costs.
func (d *differ) rates(section, id string) {
	switch section {
	case "operations":
		d.changes = append(d.changes, priceChanges(id, &d.old.Operation(id).Price, &d.other.Operation(id).Price)...)
	case "models":
		d.changes = append(d.changes, tableChanges("models", id, "", &d.old.Model(id).Table, &d.other.Model(id).Table)...)
	}
}

// parts compares all of an entry but its rates, which may be written in other
// denominators and mean the same.
func (d *differ) parts(section, id string, a, b *pricefile.Node) {
	isRate := func(key string) bool {
		return section == "operations" && key == "price" || section == "models" && (strings.HasPrefix(key, "per_") || key == "minimum" || key == "maximum")
	}
	for _, key := range keysOf(a, b) {
		if !isRate(key) {
			d.values(section, id, key, a.Get(key), b.Get(key))
		}
	}
}

// keysOf are the keys of b, then those that only a has.
func keysOf(a, b *pricefile.Node) (keys []string) {
	for i := range b.Pairs {
		keys = append(keys, b.Pairs[i].Key)
	}
	for i := range a.Pairs {
		if b.Get(a.Pairs[i].Key) == nil {
			keys = append(keys, a.Pairs[i].Key)
		}
	}
	return keys
}

// values compares two values of any form, and goes into them where that says more.
func (d *differ) values(section, id, what string, a, b *pricefile.Node) {
	x, y := flow(a), flow(b)
	switch {
	case x == y:
	case a != nil && b != nil && a.Kind == pricefile.MappingNode && b.Kind == pricefile.MappingNode:
		for _, key := range keysOf(a, b) {
			d.values(section, id, strings.TrimPrefix(what+"."+key, "."), a.Get(key), b.Get(key))
		}
	case a != nil && b != nil && a.Kind == pricefile.ListNode && b.Kind == pricefile.ListNode && len(a.Items) == len(b.Items) && mappings(a) && mappings(b):
		for i := range a.Items {
			d.values(section, id, fmt.Sprintf("%s[%d]", what, i), a.Items[i], b.Items[i])
		}
	default:
		d.add(Change{Section: section, ID: id, What: what, Old: x, New: y})
	}
}

func mappings(n *pricefile.Node) bool {
	return !slices.ContainsFunc(n.Items, func(item *pricefile.Node) bool { return item.Kind != pricefile.MappingNode })
}

// flow is a value in one line. Numbers that are the same are written the same.
func flow(n *pricefile.Node) string {
	if n == nil {
		return ""
	}
	var parts []string
	switch n.Kind {
	case pricefile.MappingNode:
		for i := range n.Pairs {
			parts = append(parts, n.Pairs[i].Key+": "+flow(n.Pairs[i].Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case pricefile.ListNode:
		for _, item := range n.Items {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case pricefile.ScalarNode:
		if v, err := money.ParseDecimal(n.Text); err == nil && n.Plain {
			return pricing.Grouping(v.String())
		}
		return n.Text
	case pricefile.NullNode:
	}
	return "nothing"
}

// DiffModel lists what is different in another book's entry of a model: its
// rates and adjustments, not its name or tags. Nothing if other has no such entry.
func DiffModel(old, other *pricing.Book, key string) []Change {
	is := other.Model(key)
	if is == nil {
		return nil
	}
	was := old.Model(key)
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
