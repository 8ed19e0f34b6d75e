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
	// ErrClockJumped: the system's clock is further ahead of the ledger's than can be
	// explained. Until it is, or Confirm, nothing expires or renews by it.
	ErrClockJumped = errors.New("the system's clock is too far ahead to be trusted")
	// ErrClockBehind: the system's clock is earlier than the ledger's last entries.
	// The ledger's clock stops until the system's has caught up.
	ErrClockBehind = errors.New("the system's clock is behind the ledger's")
)

const (
	// correction is how far the system's clock may be from where the ledger's clock
	// and the time that was measured since put it. Ordinary corrections are smaller.
	correction = 5 * time.Minute
	// unmeasured is how much longer no process may have run, so that no time was
	// measured.
	unmeasured = 24 * time.Hour
	// persistEvery bounds how often the clock is written; it is written with a batch.
	persistEvery = time.Second
)

// Host is what the operating system knows of its clock, besides the time.
type Host interface {
	// Synchronised reports whether time servers set the clock.
	Synchronised() bool
	// Asleep is how long the machine was suspended since it was switched on.
	Asleep() time.Duration
}

// unknownHost knows nothing.
type unknownHost struct{}

func (unknownHost) Synchronised() bool    { return false }
func (unknownHost) Asleep() time.Duration { return 0 }

// thisHost is the machine that this process runs on. What it cannot be asked, as in
// some containers, it does not know.
type thisHost struct{}

// Clock is the ledger's clock. It never goes back, even over a restart, unless it is
// set back, and does not follow a system's clock that is too far ahead: expired
// credits don't come back by themselves, so that has to be explained first. One rule
// holds at the start and later, see read.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration // monotonic; nil: jumps cannot be seen
	host    Host
	problem func(error)
	remote  remote // on a store that several share, this is the system's clock

	mu        sync.Mutex
	last      time.Time     // last reading
	seen      time.Duration // elapsed then
	slept     time.Duration // host.Asleep when it explained something last
	slack     time.Duration // how far ahead of the measured time it may be
	doubt     error         // not nil: the ledger's clock does not follow the system's
	persisted time.Time
}

// newClock takes monotonic time from the option, or from the readings of the wall
// clock if they carry it; those of tests do not.
func newClock(o *Options) *Clock {
	c := &Clock{wall: o.Now, elapsed: o.Elapsed, host: o.Host, problem: o.Problem}
	if began := o.Now(); c.elapsed == nil && began != began.Round(0) { //nolint:staticcheck // Round takes the monotonic reading off
		c.elapsed = func() time.Duration { return time.Since(began) }
		if c.host == nil {
			c.host = thisHost{}
		}
	}
	if c.host == nil {
		c.host = unknownHost{}
	}
	if c.problem == nil {
		c.problem = func(error) {}
	}
	return c
}

// start begins at the time that the last process persisted, or at the one at which
// it was seen, if that is later; a file's time moves the ledger's clock no further
// than the system's clock would. A new ledger has neither.
func (c *Clock) start(persisted, seen time.Time) {
	wall := c.wall().Round(0).UTC()
	c.last, c.persisted, c.slack = persisted, persisted, correction+unmeasured
	if persisted.IsZero() {
		c.last = wall
	} else if seen = seen.Round(0).UTC(); seen.After(persisted) && !seen.After(wall) {
		c.last = seen
	}
	if c.elapsed != nil {
		c.seen, c.slept = c.elapsed(), c.host.Asleep()
	}
	_ = c.now()
}

// now is the ledger's clock.
func (c *Clock) now() time.Time {
	c.mu.Lock()
	was := c.doubt
	c.read()
	now, doubt := c.last, c.doubt
	c.mu.Unlock()
	if doubt != nil && !errors.Is(was, errors.Unwrap(doubt)) {
		c.problem(doubt)
	}
	return now
}

// read is the rule: the system's clock is trusted if it is not further ahead of the
// ledger's than the time that was measured since, and some slack: minutes while a
// process runs, and a day after a start. What is further ahead must be explained by
// the host. While it is not trusted, the ledger's clock goes on by the measured
// time. If it is behind, the ledger's clock stops.
func (c *Clock) read() {
	wall := c.wall().Round(0).UTC()
	expected := wall
	if c.elapsed != nil {
		now := c.elapsed()
		expected = c.last.Add(now - c.seen)
		c.seen = now
	}
	switch ahead := wall.Sub(expected); {
	case c.last.Sub(wall) > correction:
		if !errors.Is(c.doubt, ErrClockBehind) {
			c.doubt = fmt.Errorf("%w by %s: that is at %s. Nothing renews or expires until the system's clock has caught up; requests are served",
				ErrClockBehind, spell(c.last.Sub(wall)), c.last.Format(time.RFC3339))
		}
	case ahead <= c.slack || c.explained(ahead):
		c.trust(wall)
	default:
		if !errors.Is(c.doubt, ErrClockJumped) {
			c.doubt = fmt.Errorf("%w: it shows %s, %s more than the ledger's. Nothing renews or expires by it until it is confirmed; requests are served",
				ErrClockJumped, wall.Format(time.RFC3339), spell(ahead))
		}
		c.last = expected
	}
}

func (c *Clock) trust(wall time.Time) {
	c.doubt, c.slack = nil, correction
	if wall.After(c.last) {
		c.last = wall
	}
}

// explained reports whether the host knows why its clock is that far ahead: it is set
// by time servers, or the machine was suspended for so long.
func (c *Clock) explained(ahead time.Duration) bool {
	asleep := c.host.Asleep()
	if !c.host.Synchronised() && ahead-(asleep-c.slept) > c.slack {
		return false
	}
	c.slept = asleep
	return true
}

// Confirm accepts the system's clock as it is now. It cannot accept one that is behind.
func (c *Clock) Confirm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	if errors.Is(c.doubt, ErrClockBehind) {
		return c.doubt
	}
	c.trust(c.wall().Round(0).UTC())
	return nil
}

// Problem is why the ledger's clock does not follow the system's; nil if it does.
func (c *Clock) Problem() error {
	_ = c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubt
}

// System is what the system's clock shows.
func (c *Clock) System() time.Time { return c.wall().Round(0).UTC() }

// spell is a duration for people.
func spell(d time.Duration) string {
	if d = d.Round(time.Second); d < 48*time.Hour {
		return d.String()
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
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
