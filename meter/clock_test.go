package meter

import (
	"sync/atomic"
	"time"
)

// testClock can be moved while the ledger reads it.
type testClock struct{ at atomic.Pointer[time.Time] }

func clockAt(t time.Time) *testClock {
	c := &testClock{}
	c.set(t)
	return c
}

func (c *testClock) set(t time.Time) { c.at.Store(&t) }

func (c *testClock) is() time.Time { return *c.at.Load() }
