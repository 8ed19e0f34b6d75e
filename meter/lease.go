package meter

import (
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/writer"
)

// RenewEvery is how often whoever serves a request renews its charge's lease:
// often enough that one lost turn does no harm.
const RenewEvery = writer.DefaultLease / 3

// Renew says that the request is still being served. A charge that nobody
// renews for writer.DefaultLease is taken for abandoned and resolved by the price
// file's abandoned policy; its Settle is accepted all the same, later. Renew
// writes nothing and may be called from any goroutine.
func (c *Charge) Renew() {
	if !c.unmetered && !c.free {
		c.m.writer.Renew(ledger.ChargeID(c.ID))
	}
}

// KeepAlive renews until stop is called:
//
//	defer charge.KeepAlive()()
func (c *Charge) KeepAlive() (stop func()) {
	if c.unmetered || c.free || c.Replay != nil {
		return func() {}
	}
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	var again func()
	again = func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			c.Renew()
			timer = time.AfterFunc(RenewEvery, again)
		}
	}
	mu.Lock()
	timer = time.AfterFunc(RenewEvery, again)
	mu.Unlock()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// ClockProblem is not nil while the system's clock has jumped ahead and nothing
// expires or renews by it; see writer.ErrClockJumped.
func (m *Meter) ClockProblem() error { return m.writer.ClockProblem() }

// ConfirmClock accepts the time that the system's clock shows now.
func (m *Meter) ConfirmClock() { m.writer.ConfirmClock() }
