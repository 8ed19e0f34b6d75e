package pricing

import (
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
	Lines       []Line        // the calculation; only from Explain

	tier      string      // that the provider might choose, and that is held for
	assumed   assumptions // of the answer, that are held for
	anyAnswer bool        // the dearest of each rate is held, whatever the answer says
}

// FreeLeft is what the account has left of the operation's free tier.
type FreeLeft struct{ Left money.Decimal }

// Hold is what is held before the request is sent, for the estimated input
// and the bound of its output. The error is a *Refusal.
func (r *Request) Hold(est Usage, plan *Plan, free FreeLeft) (Quote, error) {
	return r.hold(est, -1, plan, free)
}

// HoldFor is Hold with a given bound for the output tokens of one answer, as
// clamping and growing streams need it.
func (r *Request) HoldFor(est Usage, outputBound int64, plan *Plan, free FreeLeft) (Quote, error) {
	return r.hold(est, max(outputBound, 0), plan, free)
}

// HoldAs is what the same request would hold if it asked for another model,
// for offers of cheaper ones. It does not count as the hold of the request.
func (r *Request) HoldAs(m *Model, est Usage, plan *Plan) (Quote, error) {
	if r.Free() || !r.op.Price.ByModel || m == nil || !m.prices(r.op, strings.ToLower(r.path)) {
		return Quote{}, refuse(403, ModelNotPriced, "", "this model has no price for this request")
	}
	return r.estimateBy(m, &est, -1, plan, FreeLeft{}, nil)
}

func (r *Request) hold(est Usage, bound int64, plan *Plan, free FreeLeft) (Quote, error) {
	q, err := r.estimate(&est, bound, plan, free)
	if err == nil {
		r.held, r.holding = q, true
	}
	return q, err
}

// estimate is the price before the answer: of the entry that was asked for,
// or of the dearest if only the answer says which it was.
func (r *Request) estimate(est *Usage, bound int64, plan *Plan, free FreeLeft) (Quote, error) {
	if r.Free() {
		return Quote{}, nil
	}
	if !r.modelLater() {
		q, err := r.estimateTier(r.Model(), est, bound, plan, free)
		for _, o := range r.others {
			if other, err := r.estimateTier(o.entry, est, bound, plan, free); err == nil && other.Amount > q.Amount {
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
		q, err := r.estimateTier(m, est, bound, plan, free)
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

// estimateTier is estimateBy for the dearest service tier that the request lets
// the provider choose.
func (r *Request) estimateTier(m *Model, est *Usage, bound int64, plan *Plan, free FreeLeft) (Quote, error) {
	q, err := r.estimateAnswers(m, est, bound, plan, free)
	if r.tier != "auto" || err != nil {
		return q, err
	}
	defer func() { r.tier = "auto" }()
	for _, list := range [][]Adjustment{r.op.Adjust, m.adjustments()} {
		for i := range list {
			for _, tier := range list[i].When.tiers() {
				r.tier = tier
				if other, err := r.estimateAnswers(m, est, bound, plan, free); err == nil && other.Amount > q.Amount {
					q, q.tier = other, tier
				}
			}
		}
	}
	return q, nil
}

// estimateAnswers is estimateBy for the dearest answer: which adjustments that
// look at the answer will hold is not known yet.
func (r *Request) estimateAnswers(m *Model, est *Usage, bound int64, plan *Plan, free FreeLeft) (Quote, error) {
	dearest, err := r.estimateBy(m, est, bound, plan, free, nil)
	maybe := r.undecided(m)
	if len(maybe) == 0 || err != nil {
		return dearest, err
	}
	defer func() { r.assumed, r.anyAnswer = nil, false }()
	if len(maybe) > combined {
		r.anyAnswer = true
		dearest, err = r.estimateBy(m, est, bound, plan, free, nil)
		dearest.anyAnswer = true
		return dearest, err
	}
	for set := 1; set < 1<<len(maybe); set++ {
		r.assumed = assume(maybe, set)
		q, err := r.estimateBy(m, est, bound, plan, free, nil)
		if err == nil && q.Amount > dearest.Amount {
			dearest, dearest.assumed = q, r.assumed
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
	for i := range cs.All {
		if cs.All[i].On == OnField && cs.All[i].Field.InAnswer() {
			return true
		}
	}
	return false
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

func (r *Request) estimateBy(m *Model, est *Usage, bound int64, plan *Plan, free FreeLeft, t *trace) (Quote, error) {
	if bound < 0 {
		bound = r.outputBound(m)
	}
	k := newCalculation(r, m, plan, free, t)
	defer k.done()
	k.strict = true
	for i := range Output {
		k.tokens[i] = max(est.Tokens[i], 0)
	}
	k.tokens[Output] = product(bound, r.answers)
	k.c = circumstances{request: r.values, model: r.model, tier: r.tier, at: r.at, assumed: r.assumed, any: r.anyAnswer}
	k.c.quantities = append(k.quantityRoom[:0], r.quantities...)
	q, err := k.price(r.times)
	q.OutputBound = bound
	return q, err
}

// LargestOutput is the largest bound ≥ 1 for the output tokens of one answer
// whose hold fits into what is available; false if not even 1 fits.
func (r *Request) LargestOutput(est Usage, plan *Plan, free FreeLeft, available money.Amount) (bound int64, ok bool) {
	if r.Free() {
		return 0, false
	}
	return r.LargestOutputUpTo(r.largestBound(), est, plan, free, available)
}

// LargestOutputUpTo is LargestOutput with another most.
func (r *Request) LargestOutputUpTo(most int64, est Usage, plan *Plan, free FreeLeft, available money.Amount) (bound int64, ok bool) {
	if r.Free() || !r.TokenPriced() {
		return 0, false
	}
	fits := func(b int64) bool {
		q, err := r.estimate(&est, b, plan, free)
		return err == nil && q.Amount <= available
	}
	// A condition on output_tokens can make a longer answer cheaper, so the
	// search goes through the stretches between such conditions, from above.
	edges := r.outputEdges(most)
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
		if r.limited {
			most = min(most, r.limit)
		}
		return most
	}
	m := r.Model()
	switch {
	case r.limited && m != nil && m.MaxOutputTokens > 0:
		return min(r.limit, m.MaxOutputTokens)
	case r.limited:
		return r.limit
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
	if err != nil || r.answers == 0 {
		return nil
	}
	at := int64(amount) / r.answers
	for _, e := range []int64{at - 1, at, at + 1} {
		if e > 0 && e < most {
			list = append(list, e)
		}
	}
	return list
}
