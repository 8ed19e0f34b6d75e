package ledger

import (
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// Caps limit what one member, key or the whole account spends in a period. Each
// has a counter of what is held and spent; it holds no money.

// caps are those of the plan and the member's own.
func (w *work) caps(own []Cap) []Cap {
	caps := w.Terms.plan(w.a.Sub.Plan).Caps
	return append(caps[:len(caps):len(caps)], own...)
}

// Limit is a cap and what counts against it now.
type Limit struct {
	Cap
	Used, Held money.Amount // in the running period
	ResetsAt   time.Time
}

// Left is what the cap leaves.
func (l *Limit) Left() money.Amount { return max(0, l.Amount-l.Used-l.Held) }

// tightest is the cap that leaves least for a request; nil if none applies.
func (w *work) tightest(h *Charge, own []Cap) (least *Limit) {
	for _, c := range w.caps(own) {
		d, applies := w.capCounter(c, h)
		if !applies {
			continue
		}
		var seen Counter
		if now := w.a.Counters[d.Key]; now.Start.Equal(d.Start) {
			seen = now
		}
		l := &Limit{Cap: c, Used: seen.Spent, Held: seen.Held, ResetsAt: w.counterPeriod(c.Every).End}
		if least == nil || l.Left() < least.Left() {
			least = l
		}
	}
	return least
}

// capCounters is what a hold adds to the counters of caps: to each counter once,
// even if two caps use it.
func (w *work) capCounters(h *Charge, held money.Amount, own []Cap) (list []CounterDelta) {
	for _, c := range w.caps(own) {
		d, applies := w.capCounter(c, h)
		if applies && !slices.ContainsFunc(list, func(x CounterDelta) bool { return x.Key == d.Key }) {
			d.Held = held
			list = append(list, d)
		}
	}
	return list
}

func (w *work) capCounter(c Cap, h *Charge) (CounterDelta, bool) {
	who := map[string]string{"member": h.Member, "key": h.Key}[c.Per]
	if who == "" && c.Per != "account" {
		return CounterDelta{}, false
	}
	return CounterDelta{Key: CounterKey{Plan: w.a.Sub.Plan, Per: c.Per, Every: c.Every, Who: who}, Start: w.counterStart(c.Every)}, true
}

// counterStart is when the current period of a cap or free tier began. An account
// that leaves a plan and returns within the period finds its counters unchanged.
func (w *work) counterStart(every calendar.Unit) time.Time { return utc(w.counterPeriod(every).Start) }

func (w *work) counterPeriod(every calendar.Unit) calendar.Period {
	anchor := w.a.Sub.Anchor
	if anchor.IsZero() {
		anchor = w.a.CreatedAt
	}
	return calendar.At(anchor, every, w.Now, w.Terms.Zone)
}

// stale ends the counters of caps whose period has ended, so that an account does
// not keep one for every member it ever had. Nothing depends on them: whatever the
// anchor, a period that began when theirs did has ended.
func (w *work) stale() (list []CounterDelta) {
	for key, c := range w.a.Counters {
		if c.Held == 0 && key.isCap() && !c.Start.Add(longest(key.Every)).After(w.Now) {
			list = append(list, CounterDelta{Key: key})
		}
	}
	slices.SortFunc(list, func(a, b CounterDelta) int { return a.Key.compare(b.Key) })
	return list
}

// longest is more than a period of that unit can last, in any zone.
func longest(every calendar.Unit) time.Duration {
	const day = 24 * time.Hour
	switch every {
	case calendar.Minute, calendar.Hour:
		return 3 * time.Hour
	case calendar.Day:
		return 3 * day
	case calendar.Week:
		return 9 * day
	case calendar.Month:
		return 33 * day
	case calendar.Quarter:
		return 95 * day
	case calendar.Year:
	}
	return 368 * day
}

// shift adds held to the counters of caps.
func shift(counters []CounterDelta, held money.Amount) (list []CounterDelta) {
	for _, d := range counters {
		if d.Key.isCap() {
			list = append(list, CounterDelta{Key: d.Key, Start: d.Start, Held: held})
		}
	}
	return list
}

func merged(counters, more []CounterDelta) []CounterDelta {
	counters = slices.Clone(counters)
	for _, m := range more {
		for i := range counters {
			if counters[i].Key == m.Key {
				counters[i].Held += m.Held
			}
		}
	}
	return counters
}
