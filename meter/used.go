package meter

import (
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// reported is what an answer is said to have used, in the price file's own
// kinds and units; a nil usage says nothing.
type reported struct{ usage *pricing.Usage }

// usage is what the answer used. What it does not say is counted from what was
// delivered, never taken for nothing. known: conditions may rest on it.
func (c *Charge) usage(o Outcome, r dialect.Result) (u *pricing.Usage, estimated, known bool) {
	if c.reported != nil {
		if u = c.reported.usage; u != nil {
			return u, false, true
		}
		return &pricing.Usage{}, false, false
	}
	u = usageOf(r.Usage)
	known = r.Usage.InputTotal.OK || r.Usage.OutputTotal.OK || len(u.Units) > 0
	if !c.price.TokenPriced() {
		return u, false, known
	}
	if r.BilledInput {
		u.Tokens = c.est.Tokens
		return u, true, false
	}
	if c.unreadable && c.status < 400 {
		u.Tokens = c.est.Tokens
		u.Tokens[pricing.Output] = c.bound * c.price.Answers()
		return u, true, false
	}
	whole := r.Status == dialect.StatusComplete && (o == Answered || r.Usage.OutputTotal.OK && r.Finished)
	if whole || c.status >= 400 || c.socket && r.Status == dialect.StatusComplete { // between turns nothing is open
		return u, c.status < 400 && c.inputMissing(u, &r), known
	}
	if r.Status == dialect.StatusPending { // its usage comes with a later answer
		u.Tokens = c.est.Tokens
		u.Tokens[pricing.Output] = c.bound * c.price.Answers()
		return u, true, false
	}
	if !c.inputMissing(u, &r) && !r.Usage.InputTotal.OK {
		c.countInput(u)
	}
	u.Tokens[pricing.Input] += r.PendingInput
	if more := r.DeliveredTokens - u.Tokens.OutputSide(); more > 0 {
		u.Tokens[pricing.Output] += more
	}
	if o == ClientLeft { // what the model has thought before is used, too, whoever left before it was reported
		usual := min(c.m.calibration.UsualHidden(c.price.ModelAsked()), c.bound*c.price.Answers())
		u.Tokens[pricing.Reasoning] += max(0, usual-u.Tokens.OutputSide())
	}
	return u, true, known
}

// inputMissing: an answer was written without anything having been read, which can't be. The input is counted from the request.
func (c *Charge) inputMissing(u *pricing.Usage, r *dialect.Result) bool {
	if r.Usage.InputTotal.N > 0 || u.Tokens.OutputSide() == 0 || u.Tokens.InputSide() > 0 {
		return false
	}
	c.countInput(u)
	return true
}

// countInput takes the input from the request.
func (c *Charge) countInput(u *pricing.Usage) {
	for k := range pricing.NumKinds {
		if !k.IsOutput() {
			u.Tokens[k] = c.est.Tokens[k]
		}
	}
}

// usageOf translates the dialect's inclusive counts into the price file's
// disjoint kinds and units.
func usageOf(d dialect.Usage) *pricing.Usage {
	u := &pricing.Usage{}
	for _, t := range d.Disjoint() {
		if k, ok := pricing.KindByName(t.Kind); ok {
			u.Tokens[k] = t.N
		}
	}
	add := func(unit string, n dialect.Count, shift int) {
		if n.OK && n.N >= 0 {
			u.Units = append(u.Units, pricing.UnitCount{Unit: unit, Count: money.FromInt(uint64(n.N)).Shift(shift)}) //nolint:gosec // not negative
		}
	}
	add("image", d.Units.Images, 0)
	add("video", d.Units.Videos, 0)
	add("second", d.Units.Millis, -3)
	add("page", d.Units.Pages, 0)
	add("character", d.Units.Characters, 0)
	add("search_unit", d.Units.SearchUnits, 0)
	searches := d.Requests.WebSearch
	if !searches.OK { // Perplexity counts its searches under another name
		searches = d.Requests.Search
	}
	add("web_search", searches, 0)
	add("web_fetch", d.Requests.WebFetch, 0)
	return u
}
