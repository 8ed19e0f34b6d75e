// Package democlock is a clock that people set forward, to see what happens later:
// renewals, expiry, the end of a trial. A gateway that serves customers has none.
package democlock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// Clock is ahead of the system's by what it was advanced. A file keeps that.
type Clock struct {
	file string

	mu    sync.Mutex
	ahead time.Duration
}

// Open is the clock of a file, which need not be there yet.
func Open(file string) (*Clock, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the demo's own file
	if errors.Is(err, fs.ErrNotExist) {
		return &Clock{file: file}, nil
	}
	if err != nil {
		return nil, err
	}
	ahead, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("the clock of the demo, %s: %w; remove the file", file, err)
	}
	return &Clock{file: file, ahead: ahead}, nil
}

// Now is the time of the clock. It has no monotonic reading: nothing can tell an advance
// from time that has passed.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Round(0).Add(c.ahead)
}

// Advance sets the clock forward, and returns the new time. Months and years go by the
// calendar of zone.
func (c *Clock) Advance(by calendar.Duration, zone *time.Location) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().Round(0).Add(c.ahead)
	then := by.After(now, zone)
	ahead := c.ahead + then.Sub(now)
	if err := os.WriteFile(c.file, []byte(ahead.String()+"\n"), 0o600); err != nil {
		return now, err
	}
	c.ahead = ahead
	return then, nil
}
