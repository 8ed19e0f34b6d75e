package pricing

import (
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/selector"
)

// Runs is what the body of a request says, in addition to its model, about the models
// that it may run.
type Runs struct {
	Models []string // further ones: fallbacks, the requests of a batch, what tools run
	// Chooser is the field by which somebody else chooses a model, "" if none:
	// a preset that is kept elsewhere, a tool with a panel of its own.
	Chooser string
	// Unseen: the requests that are paid for are not in the body.
	Unseen bool
}

// otherModel is a further model that the request may run. Its entry is nil
// where the price does not depend on the model and the file has none for it.
type otherModel struct {
	name  string
	entry *Model
}

// ReadsModels reports whether anything looks at the model of the request: its
// price, a condition, or what a plan or a grant allows.
func (r *Request) ReadsModels() bool { return r.reads || r.decided || r.unseen }

// MayRun takes note of all models that the request may run. Each must have a
// price where the price depends on it, the dearest is held, and rules on models
// look at all of them. What hides its models is refused, and so is more than
// one model where a condition on the model decides the price.
func (r *Request) MayRun(runs Runs) *Refusal {
	if r.op == nil || !r.ReadsModels() {
		return nil
	}
	r.unseen = r.unseen || runs.Unseen
	if runs.Chooser != "" {
		return refuse(400, AmbiguousRequest, runs.Chooser, "%s runs a model that the request does not name; name the models themselves, and leave %s out", runs.Chooser, runs.Chooser)
	}
	if refusal := r.named(r.Asked.Model, "body.model"); refusal != nil {
		return refusal
	}
	for _, name := range runs.Models {
		if name == r.Asked.Model {
			continue
		}
		if refusal := r.addModel(name); refusal != nil {
			return refusal
		}
	}
	return nil
}

func (r *Request) addModel(name string) *Refusal {
	if refusal := r.named(name, "body.models"); refusal != nil {
		return refusal
	}
	if r.decided || r.op.adjustToModel {
		return refuse(400, AmbiguousRequest, "body.models", "the price depends on which model runs, so the request can name only one; leave %q out", shorten(name))
	}
	entry := r.book.ModelFor(name, r.at)
	if r.op.Price.ByModel {
		if entry == nil {
			entry = r.book.Policies.unlisted
		}
		if entry == nil || !entry.prices(r.op, strings.ToLower(r.Asked.Path)) {
			refusal := refuse(403, ModelNotPriced, "body.models", "the model %q has no price for %s", shorten(name), r.op.Name)
			refusal.Model = shorten(name)
			return refusal
		}
	}
	r.others = append(r.others, otherModel{name, entry})
	return nil
}

// named refuses a name behind which somebody else chooses the model: a preset,
// a router, an alias that moves, or several names in one. An entry of the price
// file with exactly this name says that it is meant; a pattern does not.
func (r *Request) named(name, field string) *Refusal {
	if r.book.exact[name] != nil || !hidesModel(name) {
		return nil
	}
	return refuse(400, AmbiguousRequest, field, "%q is not one model, but chooses one elsewhere; name the model that is to run", shorten(name))
}

// hidesModel knows OpenRouter's presets ("@preset/x", "model@preset/x"), its
// routers ("openrouter/auto") and aliases ("~vendor/model-latest"), and the
// lists in one name that LiteLLM takes ("a,b").
func hidesModel(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return strings.Contains(name, "@preset/") || strings.HasPrefix(name, "openrouter/") || strings.HasPrefix(name, "~") || strings.Contains(name, ",")
}

// Subject is what selectors look at: the model asked for, and each further one.
func (r *Request) Subject() selector.Subject {
	if r.op == nil {
		return selector.Subject{}
	}
	s := selector.Subject{Operation: r.op.ID, Feature: r.op.Feature}
	s.Models, s.Tags = r.selectable(r.Asked.Model, r.entry)
	for _, o := range r.others {
		s.Add(r.selectable(o.name, o.entry))
	}
	return s
}

func (r *Request) selectable(name string, entry *Model) (models, tags []string) {
	tags = r.op.Tags
	if entry != nil && len(entry.Tags) > 0 {
		tags = append(tags[:len(tags):len(tags)], entry.Tags...)
	}
	if name != "" {
		models = []string{name}
		if entry != nil && entry.Key != name {
			models = append(models, entry.Key)
		}
	}
	return models, tags
}

// PlanAllows is nil if the plan's allow and deny let the request pass.
// Requests without an operation, and callers without a plan, always pass.
func (r *Request) PlanAllows(p *Plan) *Refusal {
	if r.op == nil || p == nil || p.Allow == nil && p.Deny == nil {
		return nil
	}
	s := r.Subject()
	if r.unseen && r.book.deniesModels(p) {
		refusal := planRefusal(p, nil)
		refusal.Message += ": it excludes models, and which ones this request runs can't be seen"
		return refusal
	}
	if p.Permits(&s) {
		return nil
	}
	var others []*Plan
	for _, other := range r.book.Plans {
		if other.Permits(&s) && (!r.unseen || !r.book.deniesModels(other)) {
			others = append(others, other)
		}
	}
	return planRefusal(p, others)
}

// deniesModels reports whether what a plan denies depends on the model.
func (b *Book) deniesModels(p *Plan) bool {
	if p.Deny == nil {
		return false
	}
	return len(p.Deny.Models) > 0 || slices.ContainsFunc(b.Models, func(m *Model) bool {
		return p.Deny.Selects(&selector.Subject{Tags: m.Tags})
	})
}
