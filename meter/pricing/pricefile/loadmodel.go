package pricefile

import (
	"maps"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// modelLoad is a model's entry on its way: like needs the other one first.
type modelLoad struct {
	pair  *Pair
	model *pricing.Model
	state uint8 // 0 waiting, 1 being read, 2 done
}

func (l *loader) models(n *Node) {
	if n == nil || !l.mapping(n) {
		return
	}
	if len(n.Pairs) == 0 {
		l.fail(n, "has no models; leave it out")
	}
	loads := make(map[string]*modelLoad, len(n.Pairs))
	for p := range n.entries() {
		loads[p.Key] = &modelLoad{pair: p}
	}
	for p := range n.entries() {
		l.book.Models = append(l.book.Models, l.model(loads[p.Key], loads))
		l.places["models."+p.Key] = p.Value
	}
}

func (l *loader) model(load *modelLoad, all map[string]*modelLoad) *pricing.Model {
	if load.state == 2 {
		return load.model
	}
	load.state = 1
	p := load.pair
	m := &pricing.Model{Key: p.Key, Name: p.Key, Line: p.line, Column: p.col}
	load.model = m
	defer func() { load.state = 2 }()
	if p.Key == "" {
		l.failKey(p, "a model needs a name")
	}
	n := p.Value
	if !l.mapping(n) {
		return m
	}
	own := l.rates(n, "model")
	own.Line, own.Column = p.line, p.col
	if base := l.base(load, n.Get("like"), all); base != nil {
		m.Tags, m.MaxOutputTokens, m.MaxInputTokens = base.Tags, base.MaxOutputTokens, base.MaxInputTokens
		m.Adjust, m.Table, m.Reserve = base.Adjust, base.Table, base.Reserve
	} else if !hasRates(n) && n.Get("like") == nil {
		l.fail(p.node(), "has no rates; write per_1m_tokens, per_image and so on, or per_request: 0 for free")
	}
	m.Table.Replace(&own)
	m.Table.Line, m.Table.Column = p.line, p.col
	set(n, "name", &m.Name, l.text)
	if v := n.Get("tags"); v != nil {
		m.Tags = l.tags(v)
	}
	set(n, "max_output_tokens", &m.MaxOutputTokens, l.positive)
	set(n, "max_input_tokens", &m.MaxInputTokens, l.positive)
	if v := n.Get("reserve"); v != nil {
		m.Reserve = l.unitReserve(v)
	}
	if v := n.Get("adjust"); v != nil {
		m.Adjust = l.adjusts(v, nil)
	}
	m.EffectiveFrom = l.instant(n.Get("effective_from"))
	return m
}

func hasRates(n *Node) bool {
	for i := range n.Pairs {
		if strings.HasPrefix(n.Pairs[i].Key, "per_") || n.Pairs[i].Key == "minimum" {
			return true
		}
	}
	return len(n.Pairs) == 0 // reported by rates
}

// base is the model that another one is like.
func (l *loader) base(load *modelLoad, n *Node, all map[string]*modelLoad) *pricing.Model {
	if n == nil {
		return nil
	}
	name, ok := l.text(n)
	if !ok {
		return nil
	}
	other, ok := all[name]
	if !ok {
		l.fail(n, "there is no model %q%s", name, suggest(name, slices.Sorted(maps.Keys(all))))
		return nil
	}
	if other.state == 1 || other == load {
		l.fail(n, "%s and %s are like each other", load.pair.Key, name)
		return nil
	}
	return l.model(other, all)
}
