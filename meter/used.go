package meter

import (
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// reported is the usage of an answer in the price file's kinds and units, set by
// tests; a nil usage reports none.
type reported struct{ usage *pricing.Usage }

// used is what an answer used. estimated: not all of it was reported. known:
// conditions may use it.
type used struct {
	*pricing.Usage
	estimated, known bool
}

// usage is what the answer used. What it does not report is counted from what was
// delivered; it is never free.
func (x *exchange) usage(o Outcome, r *dialect.Result) used {
	if x.reported != nil {
		if u := x.reported.usage; u != nil {
			return used{u, false, true}
		}
		return used{&pricing.Usage{}, false, false}
	}
	u := usageOf(r.Usage)
	known := r.Usage.InputTotal.OK || r.Usage.OutputTotal.OK || len(u.Units) > 0
	switch {
	case !x.price.TokenPriced():
		return used{u, false, known}
	case r.BilledInput:
		u.Tokens = x.est.Tokens
		return used{u, true, false}
	case x.unreadable && x.status < 400:
		return x.allHeld(u)
	case x.status >= 400 || x.whole(o, r):
		return used{u, x.status < 400 && x.inputMissing(u, r), known}
	case r.Status == dialect.StatusPending: // its usage comes with a later answer
		return x.allHeld(u)
	}
	x.countDelivered(u, o, r)
	return used{u, true, known}
}

// whole reports whether the answer has reported all of its usage.
func (x *exchange) whole(o Outcome, r *dialect.Result) bool {
	if r.Status != dialect.StatusComplete {
		return false
	}
	return o == Answered || r.Usage.OutputTotal.OK && r.Finished || x.status == switchingProtocols // between its turns a socket has no open usage
}

// allHeld is all that the hold covers.
func (x *exchange) allHeld(u *pricing.Usage) used {
	u.Tokens = x.est.Tokens
	u.Tokens[pricing.Output] = x.bound * x.price.Asked.Answers
	return used{u, true, false}
}

// countDelivered adds what was delivered to what was reported.
func (x *exchange) countDelivered(u *pricing.Usage, o Outcome, r *dialect.Result) {
	if !x.inputMissing(u, r) && !r.Usage.InputTotal.OK {
		x.countInput(u)
	}
	u.Tokens[pricing.Input] += r.PendingInput
	if more := r.DeliveredTokens - u.Tokens.OutputSide(); more > 0 {
		u.Tokens[pricing.Output] += more
	}
	if o == ClientLeft { // reasoning that was not reported yet was used, too
		usual := min(x.m.calibration.UsualHidden(x.price.Asked.Model), x.bound*x.price.Asked.Answers)
		u.Tokens[pricing.Reasoning] += max(0, usual-u.Tokens.OutputSide())
	}
}

// inputMissing reports an answer with output but no input, which is impossible, and
// counts the input from the request.
func (x *exchange) inputMissing(u *pricing.Usage, r *dialect.Result) bool {
	if r.Usage.InputTotal.N > 0 || u.Tokens.OutputSide() == 0 || u.Tokens.InputSide() > 0 {
		return false
	}
	x.countInput(u)
	return true
}

// countInput takes the input from the request.
func (x *exchange) countInput(u *pricing.Usage) {
	for k := range pricing.NumKinds {
		if !k.IsOutput() {
			u.Tokens[k] = x.est.Tokens[k]
		}
	}
}

// usageOf translates the dialect's inclusive counts into the price file's
// disjoint kinds and units.
func usageOf(d dialect.Usage) *pricing.Usage {
	u := &pricing.Usage{}
	var room [int(pricing.NumKinds)]dialect.Token
	for _, t := range d.AppendDisjoint(room[:0]) {
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
