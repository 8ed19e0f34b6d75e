package pricing

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// Quote is a price: of a hold, or of an answer.
type Quote struct {
	Amount      money.Amount
	Model       string        // key of the entry that priced it, "" if none did
	OutputBound int64         // output tokens of one answer in a hold; 0 in a cost
	FreeUsed    money.Decimal // of the operation's free tier

	supposed supposed // what is held for
}

// supposed is what a hold assumes about an answer that does not exist yet.
type supposed struct {
	tier      string      // that the provider might choose; "": the one that was asked for
	holds     assumptions // conditions on the answer
	anyAnswer bool        // the dearest of each rate counts, whatever the answer says
}

// FreeLeft is what the account has left of the operation's free tier.
type FreeLeft struct{ Left money.Decimal }

// Estimate prices a request before its answer: for the input as it is estimated
// and for the output as it is bounded.
type Estimate struct {
	r     *Request
	usage Usage
	plan  *Plan
	free  FreeLeft
}

// Estimate is the request with an estimate of its usage.
func (r *Request) Estimate(usage Usage, plan *Plan, free FreeLeft) Estimate {
	return Estimate{r, usage, plan, free}
}

// Hold is what is held before the request is sent. The error is a *Refusal.
func (e Estimate) Hold() (Quote, error) { return e.hold(-1) }

// HoldFor is Hold with a given bound for the output tokens of one answer, as
// clamping and growing streams need it.
func (e Estimate) HoldFor(outputBound int64) (Quote, error) { return e.hold(max(outputBound, 0)) }

// HoldAs is what the same request would hold if it asked for another model,
// for offers of cheaper ones. It does not count as the hold of the request.
func (e Estimate) HoldAs(m *Model) (Quote, error) {
	r := e.r
	if r.Free() || !r.op.Price.ByModel || m == nil || !m.prices(r.op, strings.ToLower(r.Asked.Path)) {
		return Quote{}, refuse(403, ModelNotPriced, "", "this model has no price for this request")
	}
	return e.by(m, -1, supposed{}, nil)
}

func (e *Estimate) hold(bound int64) (Quote, error) {
	q, err := e.quote(bound)
	if err == nil {
		e.r.held, e.r.holding = q, true
	}
	return q, err
}

// quote is the price before the answer: of the entry that was asked for, or of
// the dearest if only the answer says which it was.
func (e *Estimate) quote(bound int64) (Quote, error) {
	r := e.r
	if r.Free() {
		return Quote{}, nil
	}
	if !r.modelLater() {
		q, err := e.dearestTier(r.Model(), bound)
		for _, o := range r.others {
			if other, err := e.dearestTier(o.entry, bound); err == nil && other.Amount > q.Amount {
				q = other
			}
		}
		return q, err
	}
	var dearest Quote
	for _, m := range r.op.candidates {
		if !m.effective(r.at) {
			continue
		}
		q, err := e.dearestTier(m, bound)
		if err != nil {
			return Quote{}, err
		}
		if dearest.Model == "" || q.Amount > dearest.Amount {
			dearest = q
		}
	}
	if dearest.Model == "" {
		return Quote{}, refuse(403, ModelNotPriced, r.op.ModelFrom.Text, "no model has a price for %s", r.op.Name)
	}
	return dearest, nil
}

// dearestTier is the price at the dearest service tier that the request lets the
// provider choose.
func (e *Estimate) dearestTier(m *Model, bound int64) (Quote, error) {
	dearest, err := e.dearestAnswer(m, bound, "")
	if e.r.Asked.ServiceTier != "auto" || err != nil {
		return dearest, err
	}
	for _, list := range [][]Adjustment{e.r.op.Adjust, m.adjustments()} {
		for i := range list {
			for _, tier := range list[i].When.tiers() {
				if q, err := e.dearestAnswer(m, bound, tier); err == nil && q.Amount > dearest.Amount {
					dearest = q
				}
			}
		}
	}
	return dearest, nil
}

// dearestAnswer is the price of the dearest answer: which adjustments that look
// at the answer will hold is not known yet.
func (e *Estimate) dearestAnswer(m *Model, bound int64, tier string) (Quote, error) {
	dearest, err := e.by(m, bound, supposed{tier: tier}, nil)
	maybe := e.r.undecided(m)
	switch {
	case len(maybe) == 0 || err != nil:
		return dearest, err
	case len(maybe) > combined:
		return e.by(m, bound, supposed{tier: tier, anyAnswer: true}, nil)
	}
	for set := 1; set < 1<<len(maybe); set++ {
		q, err := e.by(m, bound, supposed{tier: tier, holds: assume(maybe, set)}, nil)
		if err == nil && q.Amount > dearest.Amount {
			dearest = q
		}
	}
	return dearest, nil
}

// combined is up to how many adjustments that look at the answer are tried in
// all combinations. Of more, the hold takes the dearest of each rate, which no
// combination exceeds.
const combined = 4

func assume(list []*Conditions, set int) assumptions {
	a := assumptions{}
	for i, cs := range list {
		if set&(1<<i) != 0 {
			a[cs] = true
		}
	}
	return a
}

// undecided are the conditions of adjustments that look at the answer.
func (r *Request) undecided(m *Model) (list []*Conditions) {
	for _, adjusts := range [][]Adjustment{m.adjustments(), r.op.Adjust} {
		for i := range adjusts {
			if adjusts[i].When.asksAnswer() {
				list = append(list, adjusts[i].When)
			}
		}
	}
	return list
}

// asksAnswer reports whether some condition is about the answer.
func (cs *Conditions) asksAnswer() bool {
	return slices.ContainsFunc(cs.All, func(k Condition) bool { return k.On == OnField && k.Field.InAnswer() })
}

func (m *Model) adjustments() []Adjustment {
	if m == nil {
		return nil
	}
	return m.Adjust
}

// tiers are the service tiers that the conditions name.
func (cs *Conditions) tiers() (names []string) {
	for i := range cs.All {
		if cs.All[i].On != OnServiceTier {
			continue
		}
		for _, o := range cs.All[i].Operands {
			names = append(names, o.Text)
		}
	}
	return names
}

// modelLater reports whether only the answer says which model prices it.
func (r *Request) modelLater() bool {
	return r.op.Price.ByModel && r.op.ModelFrom != nil && r.op.ModelFrom.InAnswer()
}

// by is the price at one model, with what is supposed of the answer, and how it
// was computed if lines is not nil.
func (e *Estimate) by(m *Model, bound int64, s supposed, lines *[]Line) (Quote, error) {
	r := e.r
	if bound < 0 {
		bound = r.outputBound(m)
	}
	k := newCalculation(r, m, e.plan, e.free)
	defer k.done()
	k.strict, k.trace.keep = true, lines != nil
	for i := range Output {
		k.tokens[i] = max(e.usage.Tokens[i], 0)
	}
	k.tokens[Output] = product(bound, r.Asked.Answers)
	k.c = circumstances{request: r.values, model: r.Asked.Model, tier: cmp.Or(s.tier, r.Asked.ServiceTier), at: r.at, assumed: s.holds, any: s.anyAnswer}
	k.c.quantities = append(k.quantityRoom[:0], r.quantities...)
	q, err := k.price(r.times)
	q.OutputBound, q.supposed = bound, s
	if lines != nil {
		*lines = k.trace.lines()
	}
	return q, err
}

// LargestOutput is the largest bound ≥ 1 for the output tokens of one answer
// whose hold fits into what is available; false if not even 1 fits.
func (e Estimate) LargestOutput(available money.Amount) (bound int64, ok bool) {
	if e.r.Free() {
		return 0, false
	}
	return e.LargestOutputUpTo(e.r.largestBound(), available)
}

// LargestOutputUpTo is LargestOutput with another most.
func (e Estimate) LargestOutputUpTo(most int64, available money.Amount) (bound int64, ok bool) {
	if e.r.Free() || !e.r.TokenPriced() {
		return 0, false
	}
	fits := func(b int64) bool {
		q, err := e.quote(b)
		return err == nil && q.Amount <= available
	}
	// A condition on output_tokens can make a longer answer cheaper, so the
	// search goes through the stretches between such conditions, from above.
	edges := e.r.outputEdges(most)
	for i := len(edges) - 1; i > 0; i-- {
		low, high := edges[i-1]+1, edges[i]
		if low > high || !fits(low) {
			continue
		}
		n := sort.Search(int(high-low), func(n int) bool { return !fits(low + 1 + int64(n)) })
		return low + int64(n), true
	}
	return 0, false
}

// largestBound is the most that one answer can have: what the request asks
// for, else the model's own maximum, else what is reserved.
func (r *Request) largestBound() int64 {
	if r.modelLater() {
		most := r.book.Policies.ReserveOutputTokens
		for _, m := range r.op.candidates {
			most = max(most, m.MaxOutputTokens)
		}
		if r.Asked.Limited {
			most = min(most, r.Asked.OutputLimit)
		}
		return most
	}
	m := r.Model()
	switch {
	case r.Asked.Limited && m != nil && m.MaxOutputTokens > 0:
		return min(r.Asked.OutputLimit, m.MaxOutputTokens)
	case r.Asked.Limited:
		return r.Asked.OutputLimit
	case m != nil && m.MaxOutputTokens > 0:
		return m.MaxOutputTokens
	}
	return r.book.Policies.ReserveOutputTokens
}

// outputEdges are the bounds after which a condition on output_tokens may
// change its mind, with 0 and most around them.
func (r *Request) outputEdges(most int64) []int64 {
	edges := []int64{0, most}
	for _, list := range [][]Adjustment{r.op.Adjust, r.Model().adjustments()} {
		for i := range list {
			for j := range list[i].When.All {
				for _, n := range list[i].When.All[j].outputs() {
					edges = append(edges, r.aroundOutput(n, most)...)
				}
			}
		}
	}
	slices.Sort(edges)
	return edges
}

// outputs are the numbers of output tokens that a condition compares with.
func (k *Condition) outputs() (list []money.Decimal) {
	if k.On != OnOutputTokens {
		return nil
	}
	if b := k.Bounds; b != nil {
		for _, x := range []Rate{b.Above, b.Below, b.AtLeast, b.AtMost} {
			if x.Set {
				list = append(list, x.Value)
			}
		}
	}
	for _, o := range k.Operands {
		list = append(list, o.Number)
	}
	return list
}

// aroundOutput are the bounds of one answer just before, at and just after a
// number of output tokens of all answers.
func (r *Request) aroundOutput(n money.Decimal, most int64) (list []int64) {
	amount, err := n.Floor(0)
	if err != nil || r.Asked.Answers == 0 {
		return nil
	}
	at := int64(amount) / r.Asked.Answers
	for _, e := range []int64{at - 1, at, at + 1} {
		if e > 0 && e < most {
			list = append(list, e)
		}
	}
	return list
}
