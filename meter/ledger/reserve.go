package ledger

import (
	"fmt"
	"slices"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// Refusal is why a request was not admitted. Nothing was held.
type Refusal struct {
	Reason      string // insufficient_credits, in_flight_holds
	LimitSource string // balance, member_cap, key_cap, account_cap, overage_limit
	Needed      money.Amount
	Available   money.Amount // for this request
	Held        money.Amount // on grants that may pay for this request
	Limit       *Limit       // the cap that refused; nil: none did
	Fits        money.Amount // the most that this request could hold: what is available, within the caps
}

// Reasons and limit sources of a Refusal.
const (
	InsufficientCredits = "insufficient_credits"
	InFlightHolds       = "in_flight_holds"

	LimitBalance = "balance"
	LimitOverage = "overage_limit"
)

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s (%s): needed %d, available %d, held %d", r.Reason, r.LimitSource, r.Needed, r.Available, r.Held)
}

// Reserve holds Amount for a request, all or nothing. It is durable before the
// upstream gets the request. A repeated Reserve with the same charge id gives the
// first result, so a caller that lost the answer can ask again.
type Reserve struct {
	Charge *Charge // ID, Member, Key, Operation, Model, Book, Subject, Labels
	// Fresh says that the charge's id was just made and this is the first command
	// with it, so that no charge with this id needs to be looked up.
	Fresh  bool
	Amount money.Amount
	// Plan is the plan that Amount was priced for. If the account has another plan
	// by now, the error is *OtherPlan and nothing is held.
	Plan string
	// Free is what Amount takes from the operation's free tier, if it has one.
	Free *FreeClaim
	// Caps are those of the member, in addition to those of the plan.
	Caps []Cap
	// Idempotency is the client's key, Hash the hash of its request.
	Idempotency string
	Hash        [32]byte
}

// FreeClaim is what a price takes from the free tier of an operation, in
// FreeDecimals.
type FreeClaim struct {
	Counter string
	Every   calendar.Unit
	Units   money.Amount // free in each period
	Left    money.Amount // of them, as the price assumes
	Claim   money.Amount // that the price takes; at most Left
	// Less accepts a claim that is smaller than what is left would allow.
	Less bool
}

// OtherFree is the error of a price that assumes another rest of a free tier than
// there is. Nothing was booked; price the request again with Left.
type OtherFree struct{ Left money.Amount }

func (e *OtherFree) Error() string { return fmt.Sprintf("%d units of the free tier are left", e.Left) }

// check reports whether a price with this claim is right if left units are left:
// they must cover the claim, and more units must not have made it cheaper. They
// would not have if the claim left over some of the units that the price knew of.
func (f *FreeClaim) check(left money.Amount) error {
	covered := f.Claim >= 0 && f.Claim <= left
	if covered && (f.Less || f.Claim < f.Left || f.Left == left) {
		return nil
	}
	return &OtherFree{Left: left}
}

// AnyPlan as Reserve.Plan: the price depends on no plan.
const AnyPlan = "*"

// OtherPlan is the error of a request that was priced for another plan than the
// account's.
type OtherPlan struct{ Plan string }

func (e *OtherPlan) Error() string { return fmt.Sprintf("the account is on plan %q", e.Plan) }

func (c Reserve) apply(w *work) error {
	a := w.a
	if a.Seq == 0 {
		return ErrNoAccount
	}
	if done, err := c.again(w); done || err != nil {
		return err
	}
	if a.Suspended {
		return ErrSuspended
	}
	if done, err := w.replay(c.Idempotency, c.Hash); done || err != nil {
		return err
	}
	if c.Plan != AnyPlan && c.Plan != a.Sub.Plan {
		return &OtherPlan{Plan: a.Sub.Plan}
	}
	h := c.Charge.Clone()
	h.Account, h.At, h.State, h.Idempotency = a.ID, w.Now, Held, c.Idempotency
	h.Asked, h.Hash = c.Amount, c.Hash
	if err := w.claim(h, c.Free); err != nil {
		return err
	}
	amount := c.Amount
	if amount < 0 || amount > MaxAmount || a.volume() > maxVolume {
		return fmt.Errorf("holding %d: %w", amount, money.ErrOverflow)
	}
	d := w.draw(amount, &h.Subject, Allocation{})
	if amount > 0 {
		if err := w.refuse(amount, d, h, c.Caps); err != nil {
			return err
		}
	}
	h.Hold, h.Allocations, h.Times = amount, d.parts, w.Terms.plan(a.Sub.Plan).OverageTimes
	h.Counters = append(h.Counters, w.capCounters(h, h.HeldTotal(), c.Caps)...)
	w.post(Entry{Kind: KindHold, Charge: h.ID, Opened: h, Postings: w.hold(d.parts), Counters: h.Counters})
	w.res.Charge = a.Holds[h.ID]
	if c.Idempotency != "" {
		w.res.Remember = &Remembered{Key: c.Idempotency, Hash: c.Hash, Charge: h.ID, At: w.Now}
	}
	return nil
}

// again reports whether c was applied before: its charge exists, open or resolved.
func (c Reserve) again(w *work) (bool, error) {
	if w.Left {
		return false, w.noCharge(c.Charge.ID)
	}
	have := w.a.Holds[c.Charge.ID]
	if have == nil && w.Charge != nil && w.Charge.ID == c.Charge.ID {
		have = w.Charge
	}
	if have == nil {
		return false, nil
	}
	if !c.made(have) {
		return false, fmt.Errorf("%w: %s", ErrConflict, have.ID)
	}
	w.res.Charge, w.res.Replayed, w.res.Remember = have, true, w.Remembered
	return true, nil
}

// made reports whether h is the charge that c asks for. The model of a resolved
// charge may be the one that answered.
func (c Reserve) made(h *Charge) bool {
	x := c.Charge
	return h.Asked == c.Amount && h.Idempotency == c.Idempotency && (c.Idempotency == "" || h.Hash == c.Hash) &&
		h.Member == x.Member && h.Key == x.Key && h.Operation == x.Operation && h.Book == x.Book && slices.Equal(h.Labels, x.Labels) &&
		(h.Model == x.Model || h.State != Held) &&
		h.Subject.Operation == x.Subject.Operation && h.Subject.Feature == x.Subject.Feature &&
		slices.Equal(h.Subject.Tags, x.Subject.Tags) && slices.Equal(h.Subject.Models, x.Subject.Models)
}

func (w *work) replay(key string, hash [32]byte) (bool, error) {
	r := w.Remembered
	if key == "" || r == nil {
		return false, nil
	}
	if r.Hash != hash {
		return false, ErrIdempotencyConflict
	}
	w.res.Replayed, w.res.Remember, w.res.Amount = true, r, r.Amount
	w.res.Charge = w.Charge
	if h := w.a.Holds[r.Charge]; h != nil {
		w.res.Charge = h
	}
	return true, nil
}

// refuse is a *Refusal if amount can't be held.
func (w *work) refuse(amount money.Amount, d draw, h *Charge, own []Cap) error {
	r := Refusal{Reason: InsufficientCredits, LimitSource: LimitBalance, Needed: amount}
	var unlimited bool
	r.Available, unlimited = w.a.AvailableFor(&h.Subject, w.Now)
	for _, g := range w.a.Grants {
		if g.Live(w.Now) && g.permits(&h.Subject) && !g.Unlimited {
			r.Held += g.Held
		}
	}
	r.Fits = r.Available
	l := w.tightest(h, own)
	if l != nil {
		r.Fits = min(r.Fits, l.Left())
	}
	switch {
	case l != nil && total(d.parts)+d.short > l.Left():
		r.LimitSource, r.Limit = l.Per+"_cap", l
	case d.overageRefused:
		r.LimitSource = LimitOverage
	case d.short > 0 && r.Available+r.Held >= amount:
		r.Reason = InFlightHolds
	case d.short > 0, w.a.Debt > w.Terms.Overdraft && !unlimited:
	default:
		return nil
	}
	refusal := r
	return &refusal
}

// claim takes h's share of its free tier.
func (w *work) claim(h *Charge, f *FreeClaim) error {
	if f == nil {
		return nil
	}
	d := CounterDelta{Key: CounterKey{Plan: w.a.Sub.Plan, Free: f.Counter}, Start: w.counterStart(f.Every), Held: f.Claim}
	seen := w.a.Counters[d.Key]
	if !seen.Start.Equal(d.Start) {
		seen = Counter{}
	}
	if err := f.check(max(0, f.Units-seen.Held-seen.Spent)); err != nil {
		return err
	}
	h.FreeUsed, h.Counters = f.Claim, []CounterDelta{d}
	return nil
}

// Extend asks for more while a request runs: the hold becomes Amount in all. A
// refusal leaves the hold as it is.
type Extend struct {
	Charge   ChargeID
	Amount   money.Amount
	Observed money.Amount // what has been delivered so far costs this
	Caps     []Cap        // as in Reserve
}

func (c Extend) apply(w *work) error {
	h := w.a.Holds[c.Charge]
	if h == nil {
		return ErrNoCharge
	}
	more := c.Amount - h.Hold
	if c.Amount > MaxAmount || w.a.volume() > maxVolume {
		return fmt.Errorf("holding %d: %w", c.Amount, money.ErrOverflow)
	}
	if more <= 0 {
		w.observe(h, c.Observed)
		return nil
	}
	d := w.draw(more, &h.Subject, w.overageOf(h, h.Allocations))
	if err := w.refuse(more, d, h, c.Caps); err != nil {
		return err
	}
	next := h.Clone()
	next.Hold, next.Observed = c.Amount, max(h.Observed, c.Observed)
	next.Allocations = merge(next.Allocations, d.parts)
	counters := shift(h.Counters, total(d.parts))
	next.Counters = merged(next.Counters, counters)
	w.post(Entry{Kind: KindExtend, Charge: h.ID, Opened: next, Cost: c.Amount, Observed: next.Observed, Postings: w.hold(d.parts), Counters: counters})
	w.res.Charge = w.a.Holds[c.Charge]
	return nil
}

// merge adds parts to what was drawn before. A source stays one part.
func merge(have, parts []Allocation) []Allocation {
	have = slices.Clone(have)
	for _, x := range parts {
		found := false
		for i := range have {
			if have[i].Grant == x.Grant && have[i].Type == x.Type {
				have[i].Amount += x.Amount
				have[i].Base += x.Base
				found = true
			}
		}
		if !found {
			have = append(have, x)
		}
	}
	return have
}

// Observe records what has been delivered so far, in case the request is abandoned.
type Observe struct {
	Charge   ChargeID
	Observed money.Amount
}

func (c Observe) apply(w *work) error {
	h := w.a.Holds[c.Charge]
	if h == nil {
		return ErrNoCharge
	}
	w.observe(h, c.Observed)
	return nil
}

func (w *work) observe(h *Charge, observed money.Amount) {
	if observed > h.Observed {
		w.post(Entry{Kind: KindObserve, Charge: h.ID, Observed: observed})
	}
	w.res.Charge = w.a.Holds[h.ID]
}
