package pricing

import (
	"sort"
	"strings"
)

var modelKeys = []string{"name", "tags", "max_output_tokens", "max_input_tokens", "adjust", "like", "effective_from", "reserve"}

// modelLoad is a model's entry on its way: like needs the other one first.
type modelLoad struct {
	pair  *pair
	model *Model
	state uint8 // 0 waiting, 1 being read, 2 done
}

func (l *loader) models(n *node) {
	if n == nil || !l.mapping(n, "models") {
		return
	}
	if len(n.pairs) == 0 {
		l.fail(n, "models", "has no models; leave it out")
	}
	loads := make(map[string]*modelLoad, len(n.pairs))
	for i := range n.pairs {
		loads[n.pairs[i].key] = &modelLoad{pair: &n.pairs[i]}
	}
	for i := range n.pairs {
		m := l.model(loads[n.pairs[i].key], loads)
		l.book.Models = append(l.book.Models, m)
		l.places["models."+m.Key] = n.pairs[i].value
	}
}

func (l *loader) model(load *modelLoad, all map[string]*modelLoad) *Model {
	if load.state == 2 {
		return load.model
	}
	load.state = 1
	p := load.pair
	path := join("models", p.key)
	m := &Model{Key: p.key, Name: p.key, Line: p.line, Column: p.col}
	load.model = m
	defer func() { load.state = 2 }()
	if p.key == "" {
		l.fail(p.node(), "models", "a model needs a name")
	}
	n := p.value
	if !l.mapping(n, path) {
		return m
	}
	own := l.rates(n, path, modelKeys)
	own.Line, own.Column = p.line, p.col
	if base := l.base(load, n.get("like"), path+".like", all); base != nil {
		m.Tags, m.MaxOutputTokens, m.MaxInputTokens = base.Tags, base.MaxOutputTokens, base.MaxInputTokens
		m.Adjust, m.Table, m.Reserve = base.Adjust, base.Table, base.Reserve
	} else if !hasRates(n) && n.get("like") == nil {
		l.fail(p.node(), path, "has no rates; write per_1m_tokens, per_image and so on, or per_request: 0 for free")
	}
	m.Table.Replace(&own)
	m.Table.Line, m.Table.Column = p.line, p.col
	if v := n.get("name"); v != nil {
		m.Name, _ = l.text(v, path+".name")
	}
	if v := n.get("tags"); v != nil {
		m.Tags = l.tags(v, path+".tags")
	}
	if v := n.get("max_output_tokens"); v != nil {
		m.MaxOutputTokens, _ = l.whole(v, path+".max_output_tokens")
		if m.MaxOutputTokens == 0 {
			l.fail(v, path+".max_output_tokens", "must be at least 1")
		}
	}
	if v := n.get("max_input_tokens"); v != nil {
		if m.MaxInputTokens, _ = l.whole(v, path+".max_input_tokens"); m.MaxInputTokens == 0 {
			l.fail(v, path+".max_input_tokens", "must be at least 1")
		}
	}
	if v := n.get("reserve"); v != nil {
		m.Reserve = l.unitReserve(v, path+".reserve")
	}
	if v := n.get("adjust"); v != nil {
		m.Adjust = l.adjusts(v, path+".adjust", nil)
	}
	m.EffectiveFrom = l.instant(n.get("effective_from"), path+".effective_from")
	return m
}

func hasRates(n *node) bool {
	for i := range n.pairs {
		if strings.HasPrefix(n.pairs[i].key, "per_") || n.pairs[i].key == "minimum" {
			return true
		}
	}
	return len(n.pairs) == 0 // reported by rates
}

// base is the model that another one is like.
func (l *loader) base(load *modelLoad, n *node, path string, all map[string]*modelLoad) *Model {
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
		l.fail(n, path, "%s and %s are like each other", load.pair.key, name)
		return nil
	}
	return l.model(other, all)
}
