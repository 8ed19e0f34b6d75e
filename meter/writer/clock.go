package writer

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// Problems of the system's clock.
var (
	// ErrClockJumped: the system's clock went further ahead than time has passed.
	// Until Confirm nothing expires or renews by the new time.
	ErrClockJumped = errors.New("the system's clock jumped ahead")
	// ErrClockBehind: the system's clock is earlier than the ledger's last entries.
	// The ledger's clock stops until the system's clock has caught up.
	ErrClockBehind = errors.New("the system's clock is behind the ledger's")
)

const (
	// maxJump is how far the wall clock may run ahead of the monotonic clock between
	// two readings. Ordinary clock corrections are smaller.
	maxJump = 5 * time.Minute
	// persistEvery bounds how often the clock is written; it is written with a batch.
	persistEvery = time.Second
)

// Clock is the ledger's clock. It never goes back, even over a restart, and does
// not follow a wall clock that jumped ahead: expired credits can't be brought
// back, so an operator has to confirm a jump first.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration // monotonic; nil: jumps cannot be seen
	problem func(error)

	mu        sync.Mutex
	last      time.Time     // last reading
	seen      time.Duration // elapsed then
	suspect   error         // not nil: the wall clock is not trusted
	persisted time.Time
}

// newClock takes monotonic time from the option, or from the readings of the wall
// clock if they carry it; those of tests do not.
func newClock(o *Options) *Clock {
	c := &Clock{wall: o.Now, elapsed: o.Elapsed, problem: o.Problem}
	if began := o.Now(); c.elapsed == nil && began != began.Round(0) { //nolint:staticcheck // Round takes the monotonic reading off
		c.elapsed = func() time.Duration { return time.Since(began) }
	}
	if c.problem == nil {
		c.problem = func(error) {}
	}
	return c
}

// start begins at the time that the last process persisted. A later wall clock is
// normal, as no process ran in between; an earlier one is a problem.
func (c *Clock) start(persisted time.Time) {
	wall := c.wall().Round(0).UTC()
	c.last, c.persisted = persisted, persisted
	if behind := persisted.Sub(wall); behind > maxJump {
		c.problem(fmt.Errorf("%w by %s; the ledger's clock stops until it has caught up", ErrClockBehind, behind.Round(time.Second)))
	}
	if wall.After(c.last) {
		c.last = wall
	}
	if c.elapsed != nil {
		c.seen = c.elapsed()
	}
}

// now is the later of the wall clock and the last reading; while the wall clock is
// not trusted, it advances by monotonic time.
func (c *Clock) now() time.Time {
	c.mu.Lock()
	wall := c.wall().Round(0).UTC()
	var jumped error
	if c.elapsed != nil {
		seen := c.elapsed()
		expected := c.last.Add(seen - c.seen)
		c.seen = seen
		switch ahead := wall.Sub(expected); {
		case ahead <= maxJump:
			c.suspect = nil // it was set back, or never ran ahead
		case c.suspect == nil:
			c.suspect = fmt.Errorf("%w by %s, to %s; nothing expires or renews by it until it is confirmed", ErrClockJumped, ahead.Round(time.Second), wall.Format(time.RFC3339))
			jumped = c.suspect
		}
		if c.suspect != nil {
			wall = expected
		}
	}
	if wall.After(c.last) {
		c.last = wall
	}
	now := c.last
	c.mu.Unlock()
	if jumped != nil {
		c.problem(jumped)
	}
	return now
}

// Confirm accepts the wall clock as it is now.
func (c *Clock) Confirm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wall := c.wall().Round(0).UTC(); wall.After(c.last) {
		c.last = wall
	}
	c.suspect = nil
	if c.elapsed != nil {
		c.seen = c.elapsed()
	}
}

// Problem is why the system's clock is not trusted; nil if it is.
func (c *Clock) Problem() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.suspect
}

var clockID = store.ID{Kind: store.Meta, Name: "clock"}

// persist adds the clock to a batch, if the persisted one is old enough.
func (c *Clock) persist(tx store.Tx) (time.Time, error) {
	now := c.now()
	if now.Sub(c.persisted) < persistEvery {
		return time.Time{}, nil
	}
	return now, putClock(tx, now)
}

// put writes the clock whenever the last one was written.
func (c *Clock) put(tx store.Tx) error { return putClock(tx, c.now()) }

func putClock(tx store.Tx, at time.Time) error {
	return tx.Put(clockID, strconv.AppendInt(nil, at.UnixNano(), 10))
}

// readClock is the clock as the last process left it.
func readClock(s store.Snapshot) (time.Time, error) {
	raw, err := s.Get(clockID)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	ns, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the ledger's clock: %w", err)
	}
	return time.Unix(0, ns).UTC(), nil
}
