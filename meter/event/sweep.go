package event

import (
	"context"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
)

// sweepEvery is how often time alone can bring events: credits that expire
// soon, and billing periods of idle accounts.
const sweepEvery = 10 * time.Minute

func (h *Hub) sweeper(ctx context.Context) {
	for {
		if err := h.Sweep(ctx); err != nil && ctx.Err() == nil {
			h.o.Problem(fmt.Errorf("looking for credits that expire: %w", err))
		}
		select {
		case <-time.After(sweepEvery):
		case <-ctx.Done():
			return
		}
	}
}

// Sweep books what is due on every account, which reports periods that
// closed and credits that expired, and reports what will expire soon.
func (h *Hub) Sweep(ctx context.Context) error {
	var ids []string
	if err := h.writer.Accounts(ctx, "", func(a *ledger.Account) bool { ids = append(ids, string(a.ID)); return true }); err != nil {
		return err
	}
	for _, id := range ids {
		if err := h.soon(ctx, id); err != nil {
			return err
		}
	}
	return nil
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
	err = h.writer.Update(ctx, func(tx store.Tx) error {
		told, err = post(tx, id, h.Endpoints(), now, func(n *Notice) ([]Event, bool) {
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
