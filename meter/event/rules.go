package event

import (
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// Words put amounts into events.
type Words struct {
	Decimals int
	Unit     string
	Worth    func(money.Amount) string // "" if credits have no price; may be nil
	Overage  bool                      // the account's plan goes on when credits are used up
}

func (w *Words) text(a money.Amount) string { return a.Text(w.Decimals) }

// Done is what one command did to an account.
type Done struct {
	Account *ledger.Account // after it
	Result  *ledger.Result
	Err     error
	Now     time.Time
}

// Interesting reports whether Events has anything to do: most holds and settles
// are of no interest, and must not cost a look into the store.
func Interesting(d *Done, w *Words) bool {
	if refused(d.Err) || used(d, w) {
		return true
	}
	for i := range d.Result.Entries {
		switch e := &d.Result.Entries[i]; e.Kind {
		case ledger.KindAlert, ledger.KindGrant, ledger.KindPeriod, ledger.KindPlan, ledger.KindExpire, ledger.KindRefund:
			return true
		case ledger.KindSettle:
			if d.Account.OveragePeriod > 0 || absorbed(e) > 0 {
				return true
			}
		case ledger.KindOpened, ledger.KindKept, ledger.KindHold, ledger.KindExtend, ledger.KindObserve, ledger.KindRelease, ledger.KindVoid,
			ledger.KindAttribute, ledger.KindAlerts:
		}
	}
	return false
}

// refused: for lack of credits, not because of a limit or of running requests.
func refused(err error) bool {
	var r *ledger.Refusal
	return errors.As(err, &r) && r.Reason == ledger.InsufficientCredits && r.LimitSource == ledger.LimitBalance
}

// used: nothing is available and nothing that is held can come back.
func used(d *Done, w *Words) bool {
	return len(d.Result.Entries) > 0 && d.Result.Available == 0 && !d.Result.Unlimited && !w.Overage && len(d.Account.Holds) == 0 && d.Account.Issued > 0
}

// Events are what happened, in order, and whether the notice has changed.
func Events(d *Done, w *Words, n *Notice) (events []Event, changed bool) {
	r := &rules{Done: d, Words: w, n: n}
	for i := range d.Result.Entries {
		r.entry(&d.Result.Entries[i])
	}
	r.exhausted()
	return r.events, r.changed
}

type rules struct {
	*Done
	*Words
	n       *Notice
	events  []Event
	changed bool
}

// emit adds an event; what makes it the same event again is the account and the
// number of the entry that it comes from.
func (r *rules) emit(kind string, at time.Time, seq uint64, data map[string]any) {
	a := r.Account
	data["account"], data["unit"] = string(a.ID), r.Unit
	if a.Name != "" {
		data["account_name"] = a.Name
	}
	r.events = append(r.events, Event{
		ID: fmt.Sprintf("evt_%s_%d_%s", a.ID, seq, kind), Type: kind, Timestamp: at.UTC(), Account: string(a.ID), Data: data,
	})
}

func (r *rules) entry(e *ledger.Entry) {
	switch e.Kind {
	case ledger.KindAlert:
		r.alert(e)
	case ledger.KindGrant:
		r.granted(e)
	case ledger.KindExpire:
		r.expired(e)
	case ledger.KindPeriod:
		r.closed(e)
		r.recovered(e)
	case ledger.KindPlan:
		r.closed(e)
		r.ended(e)
		r.recovered(e)
	case ledger.KindRefund:
		r.refunded(e)
		r.recovered(e)
	case ledger.KindSettle:
		r.absorbed(e)
		if from := r.Account.Sub.Start; r.Account.OveragePeriod > 0 && (r.n.Overage.IsZero() || !r.n.Overage.Equal(from)) {
			r.n.Overage, r.changed = from, true
			r.emit(OverageBegan, e.At, e.Seq, r.overage(map[string]any{}))
		}
	case ledger.KindOpened, ledger.KindKept, ledger.KindHold, ledger.KindExtend, ledger.KindObserve, ledger.KindRelease, ledger.KindVoid,
		ledger.KindAttribute, ledger.KindAlerts:
	}
}

// absorbed is what an entry books as the operator's loss.
func absorbed(e *ledger.Entry) (sum money.Amount) {
	for _, p := range e.Postings {
		if p.Book == ledger.BookAbsorbed {
			sum -= p.Amount
		}
	}
	return sum
}

// absorbed tells the operator of a charge that neither its hold nor the balance
// nor the overdraft could pay in full.
func (r *rules) absorbed(e *ledger.Entry) {
	n := absorbed(e)
	if n <= 0 || r.Now.Sub(r.n.AbsorbedAt) < daily && !r.n.AbsorbedAt.IsZero() {
		return
	}
	data := map[string]any{"charge": string(e.Charge), "credits": r.text(n), "absorbed": r.text(r.Account.Absorbed)}
	if c := r.Result.Charge; c != nil {
		data["operation"], data["model"] = c.Operation, c.Model
	}
	r.n.AbsorbedAt, r.changed = r.Now, true
	r.emit(Absorbed, e.At, e.Seq, data)
}

// How jobs end that give their credits back, long after their request was answered.
const (
	JobFailed = "the job failed"
	JobUnseen = "the job's end was not seen"
)

// refunded reports credits that return after the response to a request. That
// one which fails right away costs nothing is no news.
func (r *rules) refunded(e *ledger.Entry) {
	credits := e.Cost
	if e.Outcome != nil { // not by hand
		c := r.Result.Charge
		if e.Reason != JobFailed && e.Reason != JobUnseen || c == nil || c.Observed == 0 { // a job that goes on is noted as observed
			return
		}
		credits = max(credits, c.HeldTotal())
	}
	r.emit(Refunded, e.At, e.Seq, map[string]any{"charge": string(e.Charge), "credits": r.text(credits), "reason": e.Reason})
}

func (r *rules) overage(data map[string]any) map[string]any {
	data["overage"] = r.text(r.Account.OveragePeriod)
	if r.Worth != nil {
		data["overage_worth"] = r.Worth(r.Account.OveragePeriod)
	}
	return data
}

// alert is a threshold that was passed; if nothing is left at all, exhausted
// says more.
func (r *rules) alert(e *ledger.Entry) {
	for _, a := range r.Result.Alerts {
		switch {
		case a.Threshold != e.Alert:
		case a.Above:
			r.emit(OverageAbove, e.At, e.Seq, r.overage(map[string]any{"threshold": a.Threshold}))
		case !used(r.Done, r.Words):
			r.emit(Low, e.At, e.Seq, map[string]any{"threshold": a.Threshold, "limit": r.text(a.Limit), "available": r.text(a.Available)})
		}
	}
}

// granted reports credits that someone granted or paid for; those of a plan's
// rhythm come with period.closed, those of an import were there before.
func (r *rules) granted(e *ledger.Entry) {
	if r.Result.Entries[0].Kind == ledger.KindOpened {
		return
	}
	for _, g := range e.Grants {
		if g.Origin.Kind == ledger.FromPlan || g.Origin.Kind == ledger.FromRollover {
			continue
		}
		data := map[string]any{"grant": string(g.ID), "type": g.Type, "credits": r.text(issued(e)), "available": r.text(r.Result.Available), "reason": e.Reason}
		if g.Name != "" {
			data["name"] = g.Name
		}
		if !g.ExpiresAt.IsZero() {
			data["expires_at"] = g.ExpiresAt
		}
		r.emit(Granted, e.At, e.Seq, data)
	}
	r.recovered(e)
}

func issued(e *ledger.Entry) (sum money.Amount) {
	for _, p := range e.Postings {
		if p.Book == ledger.BookIssued {
			sum -= p.Amount
		}
	}
	return sum
}

// expired reports credits of packs and operators' grants; what is left of an
// allowance at its renewal is no news.
func (r *rules) expired(e *ledger.Entry) {
	lost := map[ledger.GrantID]money.Amount{}
	for _, p := range e.Postings {
		if p.Book == ledger.BookAvailable {
			lost[p.Grant] -= p.Amount
		}
	}
	for _, g := range r.Result.Expired {
		if lost[g.ID] > 0 && g.Origin.Kind != ledger.FromPlan && g.Origin.Kind != ledger.FromRollover {
			r.emit(Expired, e.At, e.Seq, map[string]any{"grant": string(g.ID), "credits": r.text(lost[g.ID]), "type": g.Type, "name": g.Name})
		}
	}
	for id := range lost {
		if _, told := r.n.Expiring[string(id)]; told {
			delete(r.n.Expiring, string(id))
			r.changed = true
		}
	}
}

func (r *rules) closed(e *ledger.Entry) {
	if e.Closed == nil {
		return
	}
	data := map[string]any{"start": e.Closed.Start, "end": e.Closed.End, "overage": r.text(e.Closed.Overage)}
	if r.Worth != nil {
		data["overage_worth"] = r.Worth(e.Closed.Overage)
	}
	r.emit(PeriodClosed, e.At, e.Seq, data)
}

func (r *rules) ended(e *ledger.Entry) {
	if e.Left == nil || e.Left.Plan == "" || !e.Lapsed && e.Left.Then != ledger.ThenCancel && (e.Left.EndsAt.IsZero() || e.Left.EndsAt.After(e.At)) {
		return
	}
	reason := "cancelled"
	switch {
	case e.Lapsed:
		reason = "not paid"
	case e.Left.Then != ledger.ThenCancel:
		reason = "over"
	}
	data := map[string]any{"plan": e.Left.Plan, "reason": reason}
	if e.Sub != nil && e.Sub.Plan != "" {
		data["now"] = e.Sub.Plan
	}
	r.emit(SubEnded, e.At, e.Seq, data)
}

// daily is how often an account gets credits.exhausted.
const daily = 24 * time.Hour

func (r *rules) exhausted() {
	if r.n.Exhausted || !refused(r.Err) && !used(r.Done, r.Words) || r.Now.Sub(r.n.ExhaustedAt) < daily && !r.n.ExhaustedAt.IsZero() {
		return
	}
	data := map[string]any{"available": r.text(r.Result.Available), "held": r.text(r.Account.HeldTotal())}
	var refusal *ledger.Refusal
	if errors.As(r.Err, &refusal) {
		data["needed"] = r.text(refusal.Needed)
		data["available"] = r.text(refusal.Available)
	}
	r.n.Exhausted, r.n.ExhaustedAt, r.changed = true, r.Now, true
	r.emit(Exhausted, r.Now, r.Account.Seq, data)
}

// recovered closes exhausted, when credits came in: not when a running request
// gives some back.
func (r *rules) recovered(e *ledger.Entry) {
	if !r.n.Exhausted || r.Result.Available == 0 && !r.Result.Unlimited {
		return
	}
	r.n.Exhausted, r.changed = false, true
	r.emit(Recovered, e.At, e.Seq, map[string]any{"available": r.text(r.Result.Available)})
}

// ExpiringWithin is how long before they expire credits are warned of.
const ExpiringWithin = 7 * 24 * time.Hour

// Soon are events that time brings, not a command: bought or given credits that
// will expire. Sent once per grant.
func Soon(a *ledger.Account, w *Words, n *Notice, now time.Time) (events []Event, changed bool) {
	r := &rules{Done: &Done{Account: a, Result: &ledger.Result{}, Now: now}, Words: w, n: n}
	for _, g := range a.Grants {
		if g.Renewed || !g.Live(now) || g.ExpiresAt.IsZero() || g.ExpiresAt.Sub(now) > ExpiringWithin || g.Available == 0 {
			continue
		}
		if g.EffectiveAt.Add(ExpiringWithin).After(g.ExpiresAt) { // given for less than a week: whoever got it knows
			continue
		}
		if _, told := n.Expiring[string(g.ID)]; told {
			continue
		}
		if n.Expiring == nil {
			n.Expiring = map[string]time.Time{}
		}
		n.Expiring[string(g.ID)], r.changed = now, true
		r.emit(Expiring, now, g.Seq, map[string]any{
			"grant": string(g.ID), "type": g.Type, "name": g.Name, "credits": w.text(g.Available), "expires_at": g.ExpiresAt,
		})
	}
	return r.events, r.changed
}

// RunsOutSoon is the event that an account's credits are used up before until,
// told once in a billing period.
func RunsOutSoon(a *ledger.Account, w *Words, n *Notice, now, runsOut time.Time, perDay money.Amount) (events []Event, changed bool) {
	period := a.Sub.Start
	if period.IsZero() {
		period = time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	if !n.RunsOut.IsZero() && n.RunsOut.Equal(period) {
		return nil, false
	}
	r := &rules{Done: &Done{Account: a, Result: &ledger.Result{}, Now: now}, Words: w, n: n}
	n.RunsOut = period
	r.emit(RunsOut, now, a.Seq, map[string]any{"runs_out_at": runsOut, "per_day": w.text(perDay)})
	return r.events, true
}
