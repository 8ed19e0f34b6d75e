package pricing

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// references checks what one section says about another.
func (l *loader) references(root *node) {
	l.defaultPlan(root.get("default_plan"))
	b := l.book
	if name := b.Policies.UnlistedModel; name != "" {
		if b.Policies.unlisted = b.exact[name]; b.Policies.unlisted == nil {
			n := root.get("policies").get("unlisted_model")
			l.fail(n, "policies.unlisted_model", `there is no model %q; write the name of one, or "reject"%s`, name, suggest(name, l.modelNames()))
		}
	}
	for _, p := range b.Packs {
		n := l.places["packs."+p.ID]
		for i, id := range p.OnlyPlans {
			if b.plans[id] == nil {
				l.fail(n.get("only_plans"), fmt.Sprintf("packs.%s.only_plans[%d]", p.ID, i), "there is no plan %q%s", id, suggest(id, l.planIDs()))
			}
		}
	}
	l.drawnTypes(root.get("draw_order"))
}

func (l *loader) defaultPlan(n *node) {
	if n == nil {
		return
	}
	id, ok := l.text(n, "default_plan")
	if !ok {
		return
	}
	if l.book.DefaultPlan = l.book.plans[id]; l.book.DefaultPlan == nil {
		l.fail(n, "default_plan", "there is no plan %q%s", id, suggest(id, l.planIDs()))
	}
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
func (l *loader) drawnTypes(n *node) {
	if n == nil || n.kind != listNode {
		return
	}
	missing := func(t, by string) {
		if t != "" && !slices.Contains(l.book.DrawOrder, t) {
			l.fail(n, "draw_order", "type %q is used by %s but missing here", t, by)
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

// compile settles, for every operation, what has to be read from a request.
func (l *loader) compile() {
	b := l.book
	b.markedUp = one.Add(b.Markup)
	b.responseFields = responseFields{
		model: b.Fields.must("response.body.model"), tier: b.Fields.must("response.body.service_tier"),
		usageTier: b.Fields.must("response.body.usage.service_tier"),
	}
	for _, name := range append([]string{"body.model", "form.model", "body.service_tier", geminiLimit, answersField}, limitFields...) {
		b.Fields.must(name)
	}
	anyTier := false
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
	for _, op := range b.Operations {
		l.compileOperation(op, anyTier)
		if op.Job != nil {
			b.jobs = append(b.jobs, op)
		}
	}
	b.answerTree = jsonscan.NewPaths()
	for _, f := range b.Fields.answer {
		if f.From == FromResponseBody {
			b.answerTree.Add(strings.Split(f.Name, "."), f.slot)
			b.readsAnswer = b.readsAnswer || f != b.responseFields.model && f != b.responseFields.tier && f != b.responseFields.usageTier
		}
	}
	for _, p := range b.Plans {
		if p.DiscountText == "" {
			p.DiscountText = "0%"
		}
	}
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
	list := make([]*Field, 0, len(s))
	for _, f := range s {
		list = append(list, f)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].slot < list[j].slot })
	return list
}

// compileOperation notes which fields of requests the operation needs, and where
// collect looks for each.
func (l *loader) compileOperation(op *Operation, modelTier bool) {
	op.Free = op.Price.Table.Free && len(op.Adjust) == 0
	inWhere := op.compileReads()
	all := readSet{}
	if !op.Free {
		l.pricedBy(op, all, modelTier)
	}
	if inWhere.tier {
		all.add(l.book.Fields.index["body.service_tier"])
	}
	for _, f := range op.whereReads {
		all.add(f)
	}
	l.namesModel(op, all)
	for i := range l.book.Labels {
		all.add(l.book.Labels[i].Field)
	}
	all.conditions(l.book.Policies.RefundWhen)
	if op.Job != nil {
		all.add(op.Job.ID)
	}
	op.sortFields(all.request())
	if op.Price.ByModel && op.ModelFrom != nil && op.ModelFrom.InAnswer() {
		op.candidates = l.answeringModels(op)
	}
}

// compileReads notes what the operation's own conditions, measures and quantity
// read, and returns what its "where" looks at.
func (op *Operation) compileReads() (inWhere uses) {
	where, reads := readSet{}, readSet{}
	inWhere = where.conditions(op.Where)
	op.whereReads = where.request()
	for i := range op.Adjust {
		op.adjustToModel = op.adjustToModel || op.Adjust[i].ByModel
	}
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
func (l *loader) pricedBy(op *Operation, all readSet, modelTier bool) {
	index := l.book.Fields.index
	for _, f := range op.reads {
		all.add(f)
	}
	if op.byModels() {
		for _, f := range l.book.modelReads {
			all.add(f)
		}
	}
	if op.usesTier || op.byModels() && modelTier {
		all.add(index["body.service_tier"])
	}
	if l.tokenPriced(op, op.byModels()) {
		for _, name := range append([]string{geminiLimit, answersField}, limitFields...) {
			all.add(index[name])
		}
	}
}

// namesModel adds where the model is named, if anything depends on it.
func (l *loader) namesModel(op *Operation, all readSet) {
	if op.NoModel || !op.byModels() && !op.usesModel && !l.book.selectsModels {
		return
	}
	index := l.book.Fields.index
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

func (l *loader) tokenPriced(op *Operation, byModel bool) bool {
	if op.Price.Table.HasTokens() || anyTokens(op.Adjust) {
		return true
	}
	if byModel {
		for _, m := range l.book.Models {
			if m.tokenPriced() {
				return true
			}
		}
	}
	return false
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
