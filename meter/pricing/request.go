package pricing

import (
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/form"
)

// Operation is the operation of the request, nil if it has none and is free.
func (r *Request) Operation() *Operation { return r.op }

// Model is the entry that prices the request before its answer is known, nil
// if none does.
func (r *Request) Model() *Model {
	if !r.priced {
		return nil
	}
	return r.entry
}

// Free reports whether the request costs nothing whatever it uses.
func (r *Request) Free() bool { return r.op == nil || r.op.Free }

// TokenPriced reports whether the price depends on tokens.
func (r *Request) TokenPriced() bool {
	switch {
	case r.op == nil || r.op.Free:
		return false
	case r.op.Price.Table.HasTokens():
		return true
	case r.priced && r.entry.tokenPriced():
		return true
	case r.op.ModelFrom != nil && r.op.ModelFrom.InAnswer() && r.op.Price.ByModel:
		return true
	}
	return anyTokens(r.op.Adjust)
}

func (m *Model) tokenPriced() bool { return m.Table.HasTokens() || anyTokens(m.Adjust) }

func anyTokens(list []Adjustment) bool {
	return slices.ContainsFunc(list, func(a Adjustment) bool { return a.Rates != nil && a.Rates.HasTokens() })
}

// ID is the key of an entry, "" of none.
func (m *Model) ID() string {
	if m == nil {
		return ""
	}
	return m.Key
}

// PricesUnseen reports whether the entry has a rate for tokens that a stream
// does not show as text. A nil entry has none.
func (m *Model) PricesUnseen() bool {
	return m != nil && slices.ContainsFunc([]Kind{Reasoning, AudioOutput, ImageOutput, VideoOutput}, func(k Kind) bool {
		return m.Table.Tokens[k].Set
	})
}

// InputBound is the most input tokens that one request to the model can have, 0
// if the file does not say.
func (m *Model) InputBound() int64 {
	if m == nil {
		return 0
	}
	return m.MaxInputTokens
}

// WorstBound is the most output tokens that one answer can have: what the
// request asks for, else the model's own maximum. Known is false if the file
// says neither; then it is what is reserved.
func (r *Request) WorstBound() (bound int64, known bool) {
	m := r.Model()
	return r.largestBound(), r.Asked.Limited || m != nil && m.MaxOutputTokens > 0
}

// outputBound is how many output tokens of one answer are held.
func (r *Request) outputBound(m *Model) int64 {
	p := &r.book.Policies
	bound := p.ReserveOutputTokens
	switch {
	case p.HoldCeiling && r.Asked.Limited:
		bound = r.Asked.OutputLimit
	case p.HoldCeiling && m != nil && m.MaxOutputTokens > 0:
		bound = m.MaxOutputTokens
	case r.Asked.Limited:
		bound = min(bound, r.Asked.OutputLimit)
	}
	if m != nil && m.MaxOutputTokens > 0 {
		bound = min(bound, m.MaxOutputTokens)
	}
	return bound
}

// askedModel reads the name of the model. Where the price does not need it, it
// is still read if plans or grants look at models.
func (in *intake) askedModel(lower string, needed bool) *Refusal {
	r, op := in.r, in.op
	if op.ModelFrom != nil && op.ModelFrom.InAnswer() {
		r.unseen = true
		return nil
	}
	if op.NoModel {
		return nil
	}
	if !needed && !op.usesModel && !op.adjustToModel && !in.r.book.selectsModels {
		return nil
	}
	r.reads = true
	r.decided = r.decided || op.usesModel
	name, refusal := in.modelName(lower, needed || op.usesModel)
	if refusal != nil {
		return refusal
	}
	if name == "" && needed {
		return refuse(400, MissingModel, in.modelField(), "the request names no model")
	}
	r.Asked.Model = name
	if name == "" || needed {
		return nil
	}
	r.entry = r.book.ModelFor(name, r.at)
	return nil
}

func (in *intake) modelField() string {
	if in.op.ModelFrom != nil {
		return in.op.ModelFrom.Text
	}
	return "body.model"
}

func (in *intake) modelName(lower string, needed bool) (string, *Refusal) {
	f := in.op.ModelFrom
	if f == nil {
		if name := in.pathModel(); name != "" {
			return name, in.otherModel(name)
		}
		f = in.r.book.modelField(in.form)
	} else if f.From == FromPath && in.f.PathModel != "" {
		if refusal := in.otherModel(in.f.PathModel); refusal != nil {
			return "", refusal
		}
	}
	if f.From == FromBody && in.bodyBad {
		if in.form && in.op.ModelFrom == nil || !needed && form.KindOf(in.f.ContentType, in.f.Body) != form.JSON {
			return "", nil
		}
		return "", notJSON(f)
	}
	v := &in.r.values[f.slot]
	if v.Ambiguous {
		return "", ambiguousField(f)
	}
	if v.Kind != textValue {
		return "", nil
	}
	return v.Text, nil
}

// pathModel is the model that the path names: it is the one that runs, whatever the body says.
func (in *intake) pathModel() string {
	if in.f.PathModel != "" {
		return in.f.PathModel
	}
	if in.op.API == "gemini" || in.op.API == "auto" {
		name, _ := modelInPath(in.r.Asked.Path)
		return name
	}
	return ""
}

// otherModel refuses a body that names another model than the path.
func (in *intake) otherModel(name string) *Refusal {
	f := in.r.book.Fields.index["body.model"]
	v := &in.r.values[f.slot]
	switch {
	case v.Ambiguous:
		return ambiguousField(f)
	case v.Kind == absent || in.bodyBad || v.Kind == textValue && bareModel(v.Text) == bareModel(name):
		return nil
	}
	return refuse(400, AmbiguousRequest, f.Text, "the path names the model %q and the body another one; send the same name in both, or leave it out of the body", shorten(name))
}

// bareModel is a model's name without the collection that some APIs put in front of it: models/gemini-x.
func bareModel(name string) string {
	for _, collection := range []string{"models/", "tunedModels/", "publishers/google/models/"} {
		if rest, ok := strings.CutPrefix(name, collection); ok {
			return rest
		}
	}
	return name
}

func (b *Book) modelField(form bool) *Field {
	if form {
		return b.Fields.index["form.model"]
	}
	return b.Fields.index["body.model"]
}

// entry finds the price of the model that was asked for.
func (in *intake) entry(lower string) *Refusal {
	r, op, b := in.r, in.op, in.r.book
	if op.ModelFrom != nil && op.ModelFrom.InAnswer() {
		if op.Price.ByModel {
			return in.unambiguous(b.modelReads)
		}
		return nil
	}
	if !op.Price.ByModel {
		if op.adjustToModel && r.entry != nil && r.entry.prices(op, lower) {
			r.priced = true
			return in.strict(r.entry.reads)
		}
		return nil
	}
	r.entry = b.ModelFor(r.Asked.Model, r.at)
	if r.entry == nil {
		r.entry, r.outside = b.Policies.unlisted, true
	}
	if r.entry == nil || !r.entry.prices(op, lower) {
		refusal := refuse(403, ModelNotPriced, in.modelField(), "the model %q has no price for %s", shorten(r.Asked.Model), op.Name)
		refusal.Model = shorten(r.Asked.Model)
		return refusal
	}
	r.priced = true
	return in.strict(r.entry.reads)
}

func shorten(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

func (in *intake) serviceTier() *Refusal {
	f := in.r.book.Fields.index["body.service_tier"]
	if in.bodyBad {
		if in.form {
			return nil
		}
		return notJSON(f)
	}
	v := &in.r.values[f.slot]
	if v.Ambiguous {
		return ambiguousField(f)
	}
	if v.Kind == textValue {
		in.r.Asked.ServiceTier = v.Text
	}
	return nil
}
