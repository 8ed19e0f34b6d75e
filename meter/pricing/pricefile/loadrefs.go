package pricefile

import (
	"fmt"
	"slices"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// references checks what one section says about another.
func (l *loader) references(root *Node) {
	l.defaultPlan(root.Get("default_plan"))
	b := l.book
	if name := b.Policies.UnlistedModel; name != "" {
		if !slices.Contains(l.modelNames(), name) {
			n := root.Get("policies").Get("unlisted_model")
			l.fail(n, `there is no model %q; write the name of one, or "reject"%s`, name, suggest(name, l.modelNames()))
		}
	}
	for _, p := range b.Packs {
		only := l.places["packs."+p.ID].Get("only_plans")
		for i, id := range p.OnlyPlans {
			if !slices.Contains(l.planIDs(), id) {
				l.fail(only.at(fmt.Sprintf("%s[%d]", only.path, i)), "there is no plan %q%s", id, suggest(id, l.planIDs()))
			}
		}
	}
	l.drawnTypes(root.Get("draw_order"))
}

func (l *loader) defaultPlan(n *Node) {
	if n == nil {
		return
	}
	id, ok := l.text(n)
	if !ok {
		return
	}
	i := slices.IndexFunc(l.book.Plans, func(p *pricing.Plan) bool { return p.ID == id })
	if i < 0 {
		l.fail(n, "there is no plan %q%s", id, suggest(id, l.planIDs()))
		return
	}
	l.book.DefaultPlan = l.book.Plans[i]
}

func (l *loader) planIDs() []string {
	ids := make([]string, 0, len(l.book.Plans))
	for _, p := range l.book.Plans {
		ids = append(ids, p.ID)
	}
	return ids
}

func (l *loader) modelNames() []string {
	names := make([]string, 0, len(l.book.Models))
	for _, m := range l.book.Models {
		names = append(names, m.Key)
	}
	return names
}

// drawnTypes checks that draw_order names every type of credits there is.
func (l *loader) drawnTypes(n *Node) {
	if n == nil || n.Kind != ListNode {
		return
	}
	missing := func(t, by string) {
		if t != "" && !slices.Contains(l.book.DrawOrder, t) {
			l.fail(n, "type %q is used by %s but missing here", t, by)
		}
	}
	said := map[string]bool{}
	once := func(t, by string) {
		if !said[t] {
			said[t] = true
			missing(t, by)
		}
	}
	for _, p := range l.book.Plans {
		for _, g := range p.Grants {
			once(g.Type, "plans."+p.ID)
		}
	}
	for _, p := range l.book.Packs {
		once(p.Type, "packs."+p.ID)
	}
}

// unitReserve reads "reserve" of policies and of models.
func (l *loader) unitReserve(n *Node) pricing.Reserve {
	if n == nil || !l.mapping(n) {
		return nil
	}
	list := pricing.Reserve{}
	valid := pricing.ReservedUnits()
	for p := range n.entries() {
		if !slices.Contains(valid, p.Key) {
			l.unknownKey(p, valid)
			continue
		}
		if d, ok := l.decimal(p.Value); ok {
			if d.IsZero() {
				l.fail(p.Value, "nothing would be held; write the most that one request uses")
			}
			list[p.Key] = d
		}
	}
	return list
}
