package pricing

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Compile prepares a book whose exported fields are complete for use: it finds
// entries by their names and settles, for every operation, what has to be read
// from a request. Afterwards the book must not change.
func (b *Book) Compile() {
	b.index()
	b.Jobs.book = b
	b.markedUp = one.Add(b.Markup)
	b.compileFields()
	anyTier := b.compileModels()
	for _, op := range b.Operations {
		b.compileOperation(op, anyTier)
		op.costs = op.alwaysCosts() && !b.Policies.UnpricedFree
		if op.Job != nil {
			op.Job.status = op.Job.Status
			op.Job.status.Path = strings.ReplaceAll(op.Job.status.Path, "{id}", "*")
			b.Jobs.list = append(b.Jobs.list, op)
		}
	}
	b.answerTree = jsonscan.NewPaths()
	for _, f := range b.Fields.answer {
		if f.From == FromResponseBody {
			b.answerTree.Add(strings.Split(f.Name, "."), f.slot)
			b.readsAnswer = b.readsAnswer || f != b.responseFields.model && f != b.responseFields.tier && f != b.responseFields.usageTier
		}
	}
}

// index finds the entries of the sections by their names.
func (b *Book) index() {
	b.operations = make(map[string]*Operation, len(b.Operations))
	for _, op := range b.Operations {
		b.operations[op.ID], op.book = op, b
	}
	b.exact = make(map[string]*Model, len(b.Models))
	for _, m := range b.Models {
		b.exact[m.Key] = m
		if m.IsPattern = strings.Contains(m.Key, "*"); m.IsPattern {
			b.patterns = append(b.patterns, m)
		}
	}
	literal := func(m *Model) int { return len([]rune(m.Key)) - strings.Count(m.Key, "*") }
	slices.SortStableFunc(b.patterns, func(x, y *Model) int { return cmp.Compare(literal(y), literal(x)) })
	b.Policies.unlisted = b.exact[b.Policies.UnlistedModel]
	b.plans = make(map[string]*Plan, len(b.Plans))
	for _, p := range b.Plans {
		b.plans[p.ID] = p
		b.LimitsConcurrency = b.LimitsConcurrency || p.MaxConcurrent != (MaxConcurrent{})
		if keep, ok := one.Sub(p.Discount); ok && !p.Discount.IsZero() {
			p.keep = Rate{keep, true}
		}
		b.selecting(p.Allow, p.Deny)
		for _, g := range p.Grants {
			b.selecting(g.OnlyFor, g.NotFor)
		}
	}
	b.packs = make(map[string]*Pack, len(b.Packs))
	for _, p := range b.Packs {
		b.packs[p.ID], p.book = p, b
		b.selecting(p.OnlyFor, p.NotFor)
	}
}

// selecting notes whether selectors look at models or their tags.
func (b *Book) selecting(list ...*selector.Selector) {
	for _, s := range list {
		b.selectsModels = b.selectsModels || s != nil && len(s.Models)+len(s.Tags) > 0
	}
}

// compileFields numbers the fields that every book reads.
func (b *Book) compileFields() {
	b.responseFields = responseFields{
		model: b.Fields.must("response.body.model"), tier: b.Fields.must("response.body.service_tier"),
		usageTier: b.Fields.must("response.body.usage.service_tier"),
	}
	for _, name := range append([]string{"body.model", "form.model", "body.service_tier", geminiLimit, answersField}, limitFields...) {
		b.Fields.must(name)
	}
}

// compileModels notes what the adjustments of models read, and returns whether
// any looks at the service tier.
func (b *Book) compileModels() (anyTier bool) {
	union := readSet{}
	for _, m := range b.Models {
		reads := readSet{}
		m.usesTier = reads.adjusts(m.Adjust).tier
		m.reads = reads.request()
		anyTier = anyTier || m.usesTier
		b.unitsByModel = b.unitsByModel || len(m.Table.Units) > 0
		for i := range m.Adjust {
			b.unitsByModel = b.unitsByModel || m.Adjust[i].Rates != nil && len(m.Adjust[i].Rates.Units) > 0
		}
		for _, f := range m.reads {
			union.add(f)
		}
	}
	b.modelReads = union.request()
	return anyTier
}

// readSet collects the fields that something reads.
type readSet map[int]*Field

func (s readSet) add(f *Field) {
	if f != nil && !f.InAnswer() {
		s[f.slot] = f
	}
}

// uses are the names without a prefix in conditions.
type uses struct{ tier, model bool }

func (s readSet) conditions(cs *Conditions) (u uses) {
	if cs == nil {
		return u
	}
	for i := range cs.All {
		s.add(cs.All[i].Field)
		u.tier = u.tier || cs.All[i].On == OnServiceTier
		u.model = u.model || cs.All[i].On == OnModel
	}
	return u
}

func (s readSet) adjusts(list []Adjustment) (u uses) {
	for i := range list {
		v := s.conditions(list[i].When)
		u.tier, u.model = u.tier || v.tier, u.model || v.model
	}
	return u
}

// request are the fields in the order of their numbers.
func (s readSet) request() []*Field {
	return slices.SortedFunc(maps.Values(s), func(x, y *Field) int { return cmp.Compare(x.slot, y.slot) })
}

// compileOperation notes which fields of requests the operation needs, and where
// collect looks for each.
func (b *Book) compileOperation(op *Operation, modelTier bool) {
	op.Free = op.Price.Table.Free && len(op.Adjust) == 0
	inWhere := op.compileReads()
	all := readSet{}
	if !op.Free {
		b.pricedBy(op, all, modelTier)
	}
	if inWhere.tier {
		all.add(b.Fields.index["body.service_tier"])
	}
	for _, f := range op.whereReads {
		all.add(f)
	}
	b.namesModel(op, all)
	for i := range b.Labels {
		all.add(b.Labels[i].Field)
	}
	all.conditions(b.Policies.RefundWhen)
	if op.Job != nil {
		all.add(op.Job.ID)
	}
	op.sortFields(all.request())
	if op.Price.ByModel && op.ModelFrom != nil && op.ModelFrom.InAnswer() {
		op.candidates = b.answeringModels(op)
	}
}

// compileReads notes what the operation's own conditions, measures and quantity
// read, and returns what its "where" looks at.
func (op *Operation) compileReads() (inWhere uses) {
	where, reads := readSet{}, readSet{}
	inWhere = where.conditions(op.Where)
	op.whereReads = where.request()
	op.adjustToModel = slices.ContainsFunc(op.Adjust, func(a Adjustment) bool { return a.ByModel })
	inAdjust := reads.adjusts(op.Adjust)
	for _, m := range op.Measures {
		reads.add(m.Field)
	}
	if op.Quantity != nil {
		reads.add(op.Quantity.Field)
	}
	op.reads = reads.request()
	op.usesTier = inAdjust.tier
	op.usesModel = inAdjust.model || inWhere.model
	return inWhere
}

// byModels reports whether the price may come from the model.
func (op *Operation) byModels() bool { return op.Price.ByModel || op.adjustToModel }

// pricedBy adds what the price depends on.
func (b *Book) pricedBy(op *Operation, all readSet, modelTier bool) {
	index := b.Fields.index
	for _, f := range op.reads {
		all.add(f)
	}
	if op.byModels() {
		for _, f := range b.modelReads {
			all.add(f)
		}
	}
	if op.usesTier || op.byModels() && modelTier {
		all.add(index["body.service_tier"])
	}
	if b.tokenPriced(op, op.byModels()) {
		for _, name := range append([]string{geminiLimit, answersField}, limitFields...) {
			all.add(index[name])
		}
	}
}

// namesModel adds where the model is named, if anything depends on it.
func (b *Book) namesModel(op *Operation, all readSet) {
	if op.NoModel || !op.byModels() && !op.usesModel && !b.selectsModels {
		return
	}
	index := b.Fields.index
	if op.ModelFrom == nil {
		all.add(index["body.model"])
		all.add(index["form.model"])
		return
	}
	all.add(op.ModelFrom)
	if op.ModelFrom.From == FromPath { // a body that names another is refused
		all.add(index["body.model"])
	}
}

func (b *Book) tokenPriced(op *Operation, byModel bool) bool {
	return op.Price.Table.HasTokens() || anyTokens(op.Adjust) || byModel && slices.ContainsFunc(b.Models, (*Model).tokenPriced)
}

// sortFields puts fields where collect looks for them.
func (op *Operation) sortFields(list []*Field) {
	for _, f := range list {
		switch f.From {
		case FromBody:
			if op.bodyTree == nil {
				op.bodyTree = jsonscan.NewPaths()
			}
			op.bodyTree.Add(strings.Split(f.Name, "."), f.slot)
		case FromForm:
			op.forms = append(op.forms, f)
		default:
			op.plain = append(op.plain, f)
		}
	}
}
