// Package rate limits how often something may be repeated, in constant memory.
package rate

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

const (
	rows  = 2
	cells = 1 << 13
)

// Limiter lets each name pass Burst times at once, and then once in Every. It keeps no
// names: each has a cell in each of two rows, by hashes that no caller can compute, and
// is refused if both are used up. Names that share one cell do not disturb each other.
// Its methods are safe for concurrent use.
type Limiter struct {
	burst, every int64
	seeds        [rows]maphash.Seed
	used         [rows][cells]atomic.Int64 // until when, in nanoseconds, a cell is used up
}

// New makes a limiter, of 128 KB.
func New(burst int, every time.Duration) *Limiter {
	l := &Limiter{burst: int64(burst), every: int64(every)}
	for i := range l.seeds {
		l.seeds[i] = maphash.MakeSeed()
	}
	return l
}

// Take lets a name pass, or says how long it has to wait, which is more than 0; then
// nothing was taken.
func (l *Limiter) Take(name string, now time.Time) (wait time.Duration) {
	at := now.UnixNano()
	least := int64(0)
	passed := false
	for i := range rows {
		cell := &l.used[i][maphash.String(l.seeds[i], name)%cells]
		if w := l.take(cell, at); w <= 0 {
			passed = true
		} else if least == 0 || w < least {
			least = w
		}
	}
	if passed {
		return 0
	}
	return time.Duration(least)
}

// take moves a cell on by one, if that is within the burst; else it is how long that
// takes.
func (l *Limiter) take(cell *atomic.Int64, at int64) (wait int64) {
	for {
		used := cell.Load()
		next := max(used, at) + l.every
		if wait = next - at - l.burst*l.every; wait > 0 {
			return wait
		}
		if cell.CompareAndSwap(used, next) {
			return 0
		}
	}
}
