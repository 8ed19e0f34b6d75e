package meter

import (
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// By default nothing is used that was not held: what an answer may cost is held,
// or the request gets a limit that the hold covers, before it leaves. Only a
// stream that shows all it makes begins with less, because it can be stopped.

// whole reports whether the worst case of the answer has to be held ahead.
func (a *admission) whole() bool {
	return !a.info.Stream || a.book.Policies.HoldCeiling || a.unseen()
}

// unseen reports whether a stream may contain tokens that do not show in it:
// reasoning, sound, pictures. The request may ask for them, the price file have a
// rate for them, or the model have made some before.
func (a *admission) unseen() bool {
	return a.info.Hides || a.price.Model().PricesUnseen() || a.m.calibration.HasUnseen(a.price.Asked.Model)
}

// quote is what is held, with what is left of a free tier; of a batch, for all
// its requests.
func (a *admission) quote(free pricing.FreeLeft) (pricing.Quote, error) {
	if len(a.info.Limits) > 0 {
		worst, _ := a.price.WorstBound()
		bound := int64(0)
		for _, limit := range a.info.Limits {
			if limit == 0 {
				limit = worst
			}
			bound += limit
		}
		return a.price.Estimate(a.ahead(), a.plan, free).HoldFor(bound)
	}
	if !a.whole() {
		return a.price.Estimate(a.ahead(), a.plan, free).Hold()
	}
	worst, _ := a.price.WorstBound()
	if a.api.FileBatch { // of how many requests is not known: what the file reserves
		worst = a.book.Policies.ReserveOutputTokens
	}
	return a.price.Estimate(a.ahead(), a.plan, free).HoldFor(worst)
}

// limits reports whether the output of the request can be limited for it.
func (a *admission) limits() bool {
	return a.book.Policies.ClampOutput && a.price.TokenPriced() && a.api.OutputLimit().Exists()
}

// limit finds the limit to write into a request whose hold was enough as it was:
// where nothing else ends the answer, what is held.
func (a *admission) limit() {
	if a.clamp > 0 || !a.limits() || len(a.info.Limits) > 0 || !a.whole() {
		return
	}
	if _, known := a.price.WorstBound(); !known {
		a.clamp = a.bound
	}
}

// largest is what a 402 may propose as max_tokens.
func (a *admission) largest(available money.Amount) (int64, bool) {
	if !a.price.TokenPriced() || !a.api.OutputLimit().Exists() {
		return 0, false
	}
	return a.price.Estimate(a.ahead(), a.plan, pricing.FreeLeft{}).LargestOutput(available)
}

// kinds tells the price which kinds of tokens input and output may turn out to
// be: what is only known from the answer is held at the dearest.
func (a *admission) kinds() {
	kinds := append(a.price.Asked.Kinds, pricing.Reasoning) //nolint:gocritic // it goes back below
	if a.scan.CacheWrites {
		kinds = append(kinds, pricing.CacheWrite, pricing.CacheWrite1h)
	}
	if a.scan.Medias > 0 || a.scan.Hidden {
		kinds = append(kinds, pricing.AudioInput, pricing.ImageInput, pricing.VideoInput, pricing.CachedAudioInput)
	}
	if a.info.Hides || a.reads.Family == dialect.FamilyGemini || !a.reads.OutputLimit().Exists() {
		kinds = append(kinds, pricing.AudioOutput, pricing.ImageOutput, pricing.VideoOutput)
	}
	a.price.Asked.Kinds = kinds
}
