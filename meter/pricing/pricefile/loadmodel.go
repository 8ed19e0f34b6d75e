package pricefile

import (
	"sort"
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
	if n == nil || !l.mapping(n, "models") {
		return
	}
	if len(n.Pairs) == 0 {
		l.fail(n, "models", "has no models; leave it out")
	}
	loads := make(map[string]*modelLoad, len(n.Pairs))
	for i := range n.Pairs {
		loads[n.Pairs[i].Key] = &modelLoad{pair: &n.Pairs[i]}
	}
	for i := range n.Pairs {
		m := l.model(loads[n.Pairs[i].Key], loads)
		l.book.Models = append(l.book.Models, m)
		l.places["models."+m.Key] = n.Pairs[i].Value
	}
}

func (l *loader) model(load *modelLoad, all map[string]*modelLoad) *pricing.Model {
	if load.state == 2 {
		return load.model
	}
	load.state = 1
	p := load.pair
	path := join("models", p.Key)
	m := &pricing.Model{Key: p.Key, Name: p.Key, Line: p.line, Column: p.col}
	load.model = m
	defer func() { load.state = 2 }()
	if p.Key == "" {
		l.fail(p.node(), "models", "a model needs a name")
	}
	n := p.Value
	if !l.mapping(n, path) {
		return m
	}
	own := l.rates(n, path, "model")
	own.Line, own.Column = p.line, p.col
	if base := l.base(load, n.Get("like"), path+".like", all); base != nil {
		m.Tags, m.MaxOutputTokens, m.MaxInputTokens = base.Tags, base.MaxOutputTokens, base.MaxInputTokens
		m.Adjust, m.Table, m.Reserve = base.Adjust, base.Table, base.Reserve
	} else if !hasRates(n) && n.Get("like") == nil {
		l.fail(p.node(), path, "has no rates; write per_1m_tokens, per_image and so on, or per_request: 0 for free")
	}
	m.Table.Replace(&own)
	m.Table.Line, m.Table.Column = p.line, p.col
	set(n, path, "name", &m.Name, l.text)
	if v := n.Get("tags"); v != nil {
		m.Tags = l.tags(v, path+".tags")
	}
	if v := n.Get("max_output_tokens"); v != nil {
		m.MaxOutputTokens, _ = l.whole(v, path+".max_output_tokens")
		if m.MaxOutputTokens == 0 {
			l.fail(v, path+".max_output_tokens", "must be at least 1")
		}
	}
	if v := n.Get("max_input_tokens"); v != nil {
		if m.MaxInputTokens, _ = l.whole(v, path+".max_input_tokens"); m.MaxInputTokens == 0 {
			l.fail(v, path+".max_input_tokens", "must be at least 1")
		}
	}
	if v := n.Get("reserve"); v != nil {
		m.Reserve = l.unitReserve(v, path+".reserve")
	}
	if v := n.Get("adjust"); v != nil {
		m.Adjust = l.adjusts(v, path+".adjust", nil)
	}
	m.EffectiveFrom = l.instant(n.Get("effective_from"), path+".effective_from")
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
func (l *loader) base(load *modelLoad, n *Node, path string, all map[string]*modelLoad) *pricing.Model {
	if n == nil {
		return nil
	}
	name, ok := l.text(n, path)
	if !ok {
		return nil
	}
	other, ok := all[name]
	if !ok {
		names := make([]string, 0, len(all))
		for key := range all {
			names = append(names, key)
		}
		sort.Strings(names)
		l.fail(n, path, "there is no model %q%s", name, suggest(name, names))
		return nil
	}
	if other.state == 1 || other == load {
		l.fail(n, path, "%s and %s are like each other", load.pair.Key, name)
		return nil
	}
	return l.model(other, all)
}
