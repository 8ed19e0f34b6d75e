package ledger

import (
	"errors"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// Threshold is a level of available credits; an alert is due when the account falls
// below it. With Overage it is a level of overage in the billing period, and an
// alert is due above it.
type Threshold struct {
	Text    string // "20%", "5", "overage_above 25": the name of the threshold
	Percent bool
	Share   money.Decimal // 0.2 for "20%", of the period's allowance
	Amount  money.Amount  // unless Percent
	Overage bool          // only in the price file
}

// Alert is a warning that is due: once per threshold and billing period, and again
// after a grant, see lift.
type Alert struct {
	Threshold string       // Threshold.Text
	Limit     money.Amount // its value in credits on this account
	Available money.Amount
	Above     bool         // of overage: it is above Limit
	Overage   money.Amount // settled in the billing period
}

// ErrThreshold: an account cannot have thresholds of overage of its own.
var ErrThreshold = errors.New("an account's own thresholds are of available credits; thresholds of overage are in the price file")

// SetAlerts replaces the price file's thresholds of available credits by the
// account's own (none, if the list is empty) or, with Own false, restores them.
// Thresholds of overage are always those of the file.
type SetAlerts struct {
	Own        bool
	Thresholds []Threshold
	Reason     string
}

func (c SetAlerts) apply(w *work) error {
	if w.a.Seq == 0 {
		return ErrNoAccount
	}
	if slices.ContainsFunc(c.Thresholds, func(t Threshold) bool { return t.Overage }) {
		return ErrThreshold
	}
	w.post(Entry{Kind: KindAlerts, Reason: c.Reason, Watch: &Watch{Own: c.Own, Thresholds: c.Thresholds}})
	return nil
}

// Watch is an account's own choice of thresholds.
type Watch struct {
	Own        bool
	Thresholds []Threshold
}

// level is a threshold of an account at one instant.
type level struct {
	*Threshold
	limit money.Amount
	fine  bool // available is at it or above; overage is at it or below
}

// levels measures the account against its thresholds at now.
func (w *work) levels(now time.Time) []level {
	list := w.Terms.Alerts
	if w.a.Watch.Own {
		list = slices.Clone(w.a.Watch.Thresholds)
		for _, t := range w.Terms.Alerts {
			if t.Overage {
				list = append(list, t)
			}
		}
	}
	if len(list) == 0 || w.a.Seq == 0 {
		return nil
	}
	available, unlimited := w.a.Available(now)
	allowance := w.allowance()
	levels := make([]level, len(list))
	for i := range list {
		x := level{Threshold: &list[i], limit: list[i].Amount}
		if x.Percent {
			limit, err := allowance.Decimal(w.Terms.Decimals).Mul(x.Share).Ceil(w.Terms.Decimals)
			if err != nil {
				limit = money.Max
			}
			x.limit = limit
		}
		if x.fine = unlimited || available >= x.limit; x.Overage {
			x.fine = w.a.OveragePeriod <= x.limit
		}
		levels[i] = x
	}
	return levels
}

// allowance is what percentages refer to: the sum of the plan's lines that renew,
// without unlimited ones; if there are none, the latest grant.
func (w *work) allowance() money.Amount {
	var sum money.Amount
	for i := range w.Terms.plan(w.a.Sub.Plan).Credits {
		if c := &w.Terms.plan(w.a.Sub.Plan).Credits[i]; c.Every != 0 && !c.Unlimited {
			sum = min(sum+min(c.Amount, MaxAmount), MaxAmount)
		}
	}
	if sum > 0 {
		return sum
	}
	return w.a.LastGrant
}

// lift records for which thresholds a grant has raised the account above the level
// by a tenth of it or more: their warnings may be sent again in this period, but
// not within a day of the last time. So an account that hovers around a threshold
// is warned once, and one that buys credits and uses them up is warned each time.
func (w *work) lift(now []level) {
	if !slices.ContainsFunc(w.res.Entries, func(e Entry) bool { return e.Kind == KindGrant && e.Sub == nil }) {
		return
	}
	available, unlimited := w.a.Available(w.Now)
	period := w.alertPeriod()
	var lifted map[AlertKey]time.Time
	for i := range now {
		x := &now[i]
		key := AlertKey{Plan: w.a.Sub.Plan, Threshold: x.Text}
		if sent := w.a.Alerted[key]; !x.Overage && !sent.IsZero() && !sent.Before(period) && (unlimited || available-x.limit >= x.limit/10) && x.fine {
			put(&lifted, key.lift(), w.Now)
		}
	}
	if len(lifted) > 0 {
		w.post(Entry{Kind: KindAlert, Alerted: lifted})
	}
}

// warnAgain is the least time between two identical warnings in a period.
const warnAgain = 24 * time.Hour

// latched reports whether the warning was sent in this period and may not be sent
// again yet.
func (w *work) latched(key AlertKey, period time.Time) bool {
	sent := w.a.Alerted[key]
	if sent.IsZero() || sent.Before(period) {
		return false
	}
	return w.a.Alerted[key.lift()].Before(sent) || w.Now.Sub(sent) < warnAgain
}

// warn posts the warnings that became due since before. Of several it sends the
// most urgent one of each kind, but all of them count as sent.
func (w *work) warn(before []level) []level {
	after := w.levels(w.Now)
	w.lift(after)
	for _, overage := range []bool{false, true} {
		w.warnOf(overage, before, after)
	}
	return after
}

func (w *work) warnOf(overage bool, before, after []level) {
	if len(after) == 0 {
		return
	}
	period := w.alertPeriod()
	var alerted map[AlertKey]time.Time
	var urgent *level
	for i := range after {
		x := &after[i]
		key := AlertKey{Plan: w.a.Sub.Plan, Threshold: x.Text}
		if x.Overage != overage || x.fine || !wasFine(before, x.Text) || w.latched(key, period) {
			continue
		}
		put(&alerted, key, w.Now)
		if urgent == nil || x.limit < urgent.limit != overage {
			urgent = x
		}
	}
	if urgent == nil {
		return
	}
	available, _ := w.a.Available(w.Now)
	w.post(Entry{Kind: KindAlert, Alert: urgent.Text, Alerted: alerted})
	w.res.Alerts = append(w.res.Alerts, Alert{
		Threshold: urgent.Text, Limit: urgent.limit, Available: available, Above: overage, Overage: w.a.OveragePeriod,
	})
}

func wasFine(levels []level, text string) bool {
	for i := range levels {
		if levels[i].Text == text {
			return levels[i].fine
		}
	}
	return false
}

// alertPeriod is the start of the billing period; without a plan it is a month.
func (w *work) alertPeriod() time.Time {
	if s := &w.a.Sub; s.Plan != "" {
		return s.Start
	}
	return utc(calendar.At(w.a.CreatedAt, calendar.Month, w.Now, w.Terms.Zone).Start)
}

func (k AlertKey) lift() AlertKey {
	k.Lifted = true
	return k
}

// Level is a threshold of an account now.
type Level struct {
	Threshold
	Limit money.Amount // what a percentage comes to
	Due   bool         // available is below it, or overage above
}

// Levels compares the account with its thresholds at now: its own, or those of the
// terms.
func (a *Account) Levels(t *Terms, now time.Time) []Level {
	w := &work{a: a, Env: Env{Now: now, Terms: t}}
	list := []Level{}
	for _, x := range w.levels(now) {
		list = append(list, Level{Threshold: *x.Threshold, Limit: x.limit, Due: !x.fine})
	}
	return list
}
