package meter

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/health"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// lookAgain is how soon an open page shows what another gateway has charged.
const lookAgain = 700 * time.Millisecond

// share looks, until ctx ends, for what other gateways charge the accounts whose pages are
// open here.
func (m *Gateway) share(ctx context.Context, watchers *account.Watchers) {
	if !m.writer.Peers.Shared() {
		return
	}
	m.Health.Set("gateways", m.gatewaysState)
	m.background.Go(func() {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = watchers.Look(ctx, m.writer) // what can't be read is looked at again
			}
		}
	})
}

// sharedClock is by when events and jobs are due. If several gateways share the store, it
// is the ledger's clock, as soon as that runs: their own may differ, and what one writes
// another reads.
func (m *Gateway) sharedClock() func() time.Time {
	if _, shared := m.opt.Store.(store.Shared); !shared {
		return m.opt.Now
	}
	return func() time.Time {
		if m.writer == nil {
			return m.opt.Now()
		}
		return m.writer.Now()
	}
}

// gatewaysState is whether the gateways that share the ledger sell at the same prices.
func (m *Gateway) gatewaysState() health.State {
	all, own := m.writer.Peers.Gateways(), m.Books.InForce().Digest
	var others []string
	for _, g := range all {
		if g.Book != "" && g.Book != own {
			others = append(others, fmt.Sprintf("%s (process %d) has %.12s", g.Host, g.Process, g.Book))
		}
	}
	text := fmt.Sprintf("%d share the ledger", len(all))
	if len(others) == 0 {
		return health.State{Status: health.OK, Text: text}
	}
	return health.State{
		Status: health.Warning, Text: fmt.Sprintf("%s; the price book here is %.12s, but %s", text, own, strings.Join(others, ", ")),
		Do: "give all gateways the same price file",
	}
}

// Gateways are those that share the ledger and are alive, the one on duty first; none if
// this one has it alone.
func (m *Gateway) Gateways() []writer.Gateway { return m.writer.Peers.Gateways() }

// Space is the room on the ledger's disk; not ok: it is not known.
func (m *Gateway) Space() (s store.Space, ok bool) {
	d, ok := m.opt.Store.(store.OnDisk)
	if ok {
		s = d.Space()
	}
	return s, ok && s.Free != math.MaxInt64
}

// ledgerState is whether the ledger can be written.
func (m *Gateway) ledgerState() health.State {
	if err := m.Patience.Trouble(); err != nil {
		return health.State{Status: health.Failed, Text: err.Error(), Do: "make room on the ledger's disk, or repair it; paid requests go on by themselves"}
	}
	if age := m.Patience.CommitAge(); age > time.Second {
		return health.State{Status: health.Warning, Text: fmt.Sprintf("a commit has been running for %s", age.Round(100*time.Millisecond)), Do: "look at the ledger's disk"}
	}
	return health.State{Status: health.OK, Text: "can be written"}
}

// lowSpace is the part of a disk that should be free.
const lowSpace = 10 // per cent

// LowOnSpace reports whether less than a tenth of a disk is free, or less than twice
// what is needed.
func LowOnSpace(s store.Space) bool { return s.Free < s.Total/100*lowSpace || s.Free < 2*s.Needs }

// diskState is how much of the ledger's disk is free.
func (m *Gateway) diskState() health.State {
	s, _ := m.Space()
	const mb = 1 << 20
	text := fmt.Sprintf("%d MB of %d MB are free; below %d MB paid requests are refused", s.Free/mb, s.Total/mb, s.Needs/mb)
	switch {
	case s.Free < s.Needs:
		return health.State{Status: health.Failed, Text: text, Do: "make room on the ledger's disk"}
	case LowOnSpace(s):
		return health.State{Status: health.Warning, Text: text, Do: "make room on the ledger's disk, or take a larger one"}
	}
	return health.State{Status: health.OK, Text: text}
}
