package ledger

import (
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// Caps limit what one member, key or the whole account spends in a period. Each
// has a counter of what is held and spent; it holds no money.

// caps are all that apply to a request: the plan's and the member's own.
func (w *work) caps(own []Cap) []Cap {
	caps := w.Terms.plan(w.a.Sub.Plan).Caps
	return append(caps[:len(caps):len(caps)], own...)
}

// Limit is a cap as it is at one moment.
type Limit struct {
	Cap
	Used, Held money.Amount // in the running period
	ResetsAt   time.Time
}

// Left is what the cap leaves.
func (l *Limit) Left() money.Amount { return max(0, l.Amount-l.Used-l.Held) }

// tightest is the cap that leaves least for a request; nil if none applies to it.
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

// capCounters lists what a hold adds to counters: to each once, even if two caps
// look at it.
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

const capPrefix = "cap "

func (w *work) capCounter(c Cap, h *Charge) (CounterDelta, bool) {
	who := map[string]string{"member": h.Member, "key": h.Key, "account": "all"}[c.Per]
	if who == "" {
		return CounterDelta{}, false
	}
	return CounterDelta{Key: capPrefix + w.a.Sub.Plan + " " + c.Per + " " + c.Every.String() + " " + who, Start: w.counterStart(c.Every)}, true
}

// counterStart is where the running period of a cap or free tier began. Each
// plan has counters of its own: a plan that was left and comes back within its
// period finds them as they were.
func (w *work) counterStart(every calendar.Unit) time.Time { return utc(w.counterPeriod(every).Start) }

func (w *work) counterPeriod(every calendar.Unit) calendar.Period {
	anchor := w.a.Sub.Anchor
	if anchor.IsZero() {
		anchor = w.a.CreatedAt
	}
	return calendar.At(anchor, every, w.Now, w.Terms.Zone)
}

// stale ends the counters of caps whose period is over, so that an account does
// not remember for ever who once spent something. Nothing can depend on them:
// whatever the anchor, no period that began when theirs did still runs.
func (w *work) stale() (list []CounterDelta) {
	for key, c := range w.a.Counters {
		if d := (CounterDelta{Key: key}); c.Held == 0 && isCap(d) && !c.Start.Add(longest(key)).After(w.Now) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b CounterDelta) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// longest is more than any period of a cap's counter can last, in any zone.
func longest(key string) time.Duration {
	const day = 24 * time.Hour
	word := strings.SplitN(key, " ", 5) // cap, plan, per, every, who; plans have no spaces
	every, _ := calendar.ParseUnit(word[min(3, len(word)-1)])
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

func isCap(d CounterDelta) bool { return strings.HasPrefix(d.Key, capPrefix) }

// shift lists h's caps with held more.
func shift(counters []CounterDelta, held money.Amount) (list []CounterDelta) {
	for _, d := range counters {
		if isCap(d) {
			list = append(list, CounterDelta{Key: d.Key, Start: d.Start, Held: held})
		}
	}
	return list
}

func merged(counters, more []CounterDelta) []CounterDelta {
	for _, m := range more {
		for i := range counters {
			if counters[i].Key == m.Key {
				counters[i].Held += m.Held
			}
		}
	}
	return counters
}
