package event

import (
	"context"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// sweepEvery is how often time alone can bring events: credits that expire
// soon, and billing periods of idle accounts.
const sweepEvery = 10 * time.Minute

func (h *Hub) sweeper(ctx context.Context) {
	for {
		if !h.writer.Peers.OnDuty() {
			// another gateway does
		} else if err := h.Sweep(ctx); err != nil && ctx.Err() == nil {
			h.o.Problem(fmt.Errorf("looking for credits that expire: %w", err))
		}
		select {
		case <-time.After(sweepEvery):
		case <-ctx.Done():
			return
		}
	}
}

// sweepPage is how many accounts a sweep looks at before it rests.
const sweepPage = 500

// Sweep books what is due on every account, which reports periods that
// closed and credits that expired, and reports what will expire soon. It looks at
// stored accounts, a page at a time, and asks the writer only for those that have
// anything due or to tell: there may be millions.
func (h *Hub) Sweep(ctx context.Context) error {
	for from, more := "", true; more; {
		began := time.Now()
		var ids []string
		looked := 0
		more = false
		err := h.writer.Accounts(ctx, from, func(a *ledger.Account) bool {
			if looked++; looked > sweepPage {
				from, more = string(a.ID), true
				return false
			}
			if h.worthALook(a) {
				ids = append(ids, string(a.ID))
			}
			return true
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := h.soon(ctx, id); err != nil {
				return err
			}
		}
		if more && !rest(ctx, 4*time.Since(began)) {
			return ctx.Err()
		}
	}
	return nil
}

// rest leaves the processors to requests; false: ctx has ended.
func rest(ctx context.Context, pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// worthALook reports whether soon can have anything to do for a stored account. Its
// open holds are not in it: what it holds anything for, it is worth a look.
func (h *Hub) worthALook(a *ledger.Account) (worth bool) {
	defer func() {
		if recover() != nil { // a damaged account: that is the writer's to report
			worth = true
		}
	}()
	now, book := h.writer.Now(), h.o.Books.InForce()
	for _, x := range book.Alerts {
		if x.RunsOutWithin != nil && now.Sub(a.Clock) < (report.BurnDays+2)*24*time.Hour {
			return true
		}
	}
	if a.HeldTotal() > 0 {
		return true
	}
	if _, expiring := Soon(a, h.words(a.Sub.Plan), &Notice{}, now); expiring {
		return true
	}
	r, err := ledger.Apply(a, ledger.Touch{}, ledger.Env{Now: now, Terms: book.Terms})
	return err != nil || len(r.Entries) > 0
}

func (h *Hub) soon(ctx context.Context, id string) error {
	a, err := h.writer.Account(ctx, ledger.AccountID(id)) // books what is due
	if err != nil {
		return err
	}
	now, w := h.writer.Now(), h.words(a.Sub.Plan)
	burn, until, warn := h.runsOutRule(ctx, a, now)
	if _, expiring := Soon(a, w, &Notice{}, now); !expiring && !warn {
		return nil
	}
	told := false
	err = writer.UpdateOf(ctx, h.writer, []string{id}, func(tx store.Tx) error {
		told, err = post(tx, id, h.endpoints.of(id), now, func(n *Notice) ([]Event, bool) {
			events, changed := Soon(a, w, n, now)
			if warn && burn.RunsOut.Before(until) {
				more, too := RunsOutSoon(a, w, n, now, burn.RunsOut, burn.PerDay)
				events, changed = append(events, more...), changed || too
			}
			return events, changed
		})
		return err
	})
	if told {
		h.wake()
	}
	return err
}

// runsOutRule measures an account against "runs_out_within" of the price file.
func (h *Hub) runsOutRule(ctx context.Context, a *ledger.Account, now time.Time) (b report.Burn, until time.Time, warn bool) {
	book := h.o.Books.InForce()
	var within calendar.Duration
	for _, x := range book.Alerts {
		if x.RunsOutWithin != nil {
			within = *x.RunsOutWithin
		}
	}
	if within.Count == 0 {
		return b, until, false
	}
	b, ok, err := h.reports.Burn(ctx, string(a.ID))
	until = within.After(now, book.Policies.Timezone)
	return b, until, err == nil && ok && !b.RunsOut.IsZero() && b.RunsOut.Before(until)
}
