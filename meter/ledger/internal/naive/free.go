package naive

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// FreeTier is units that cost nothing in each month, summed anew from all charges
// each time. A charge counts in the month, and on the plan, in which it was held;
// a request in another month begins anew.
type FreeTier struct{ a *Account }

// Left is how many of units are left for charge id, whose own count as left; for
// a new charge, id is "".
func (f FreeTier) Left(id string, units int64) int64 {
	a := f.a
	c := a.charges[id]
	start, plan, own := a.capStart(calendar.Month), a.Plan, int64(0)
	if c != nil {
		start, plan, own = c.freeStart, c.plan, c.free
	}
	if c != nil && start.IsZero() {
		return own
	}
	left := units + own
	for _, x := range a.charges {
		if x.plan == plan && x.freeStart.Equal(start) {
			left -= x.free
		}
	}
	return max(0, left)
}

// Claim notes that a charge takes n units, just now.
func (f FreeTier) Claim(id string, n int64) {
	a := f.a
	c := a.charges[id]
	c.freeStart = a.capStart(calendar.Month)
	for _, x := range a.charges {
		if x.plan == c.plan && !x.freeStart.Equal(c.freeStart) {
			x.freeStart = time.Time{}
		}
	}
	c.free = n
}

// Use notes how many units a charge has taken in the end.
func (f FreeTier) Use(id string, n int64) { f.a.charges[id].free = n }
