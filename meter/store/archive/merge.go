package archive

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// A run has a level by its size: 0 up to smallest, 1 up to eight times as much, and
// so on. When the newest eight or more runs have the same level or less, they
// become one. Runs above largest stay as they are.
const (
	fanIn   = 8
	largest = 1 << 30
)

// smallest is a variable for tests.
var smallest int64 = 1 << 20

func level(size int64) (n int) {
	for ; size > smallest; size /= fanIn {
		n++
	}
	return n
}

// due is the runs that should become one; nil if there are too few.
func due(runs []*run) []*run {
	for l := range level(largest) {
		i := len(runs)
		for i > 0 && level(runs[i-1].size) <= l {
			i--
		}
		if len(runs)-i >= fanIn {
			return slices.Clone(runs[i:])
		}
	}
	return nil
}

// Need is about how many bytes the next merge takes until it removes what it merged.
func (a *Archive) Need() (n int64) {
	s := a.Acquire()
	defer a.Release(s)
	for _, r := range due(s.runs) {
		n += r.size
	}
	return n
}

// Merge makes one run of several if there are too many. It reports whether it did.
// The end of ctx ends it, without a change.
func (a *Archive) Merge(ctx context.Context) (bool, error) {
	return a.mergeSome(ctx, due, how{paced: true})
}

// Size is how many bytes all runs take, and Compact needs until it removes them.
func (a *Archive) Size() int64 {
	s := a.Acquire()
	defer a.Release(s)
	return s.Size()
}

// worthIt is how much larger than all newer runs together a run may be, to be merged
// with them by a compaction that need not be whole.
const worthIt = 8

// Compact makes one run of all, or of those for which it is worth it. What was deleted
// leaves a whole one for good, unless the database below has it, too.
func (a *Archive) Compact(ctx context.Context, c store.Compaction, below func(key string) bool) error {
	which := func(runs []*run) []*run {
		i, newer := len(runs), int64(0)
		for i > 0 && (c.Whole || i > len(runs)-2 || runs[i-1].size <= worthIt*newer) {
			i--
			newer += runs[i].size
		}
		if len(runs)-i < 2 {
			return nil
		}
		return slices.Clone(runs[i:])
	}
	h := how{paced: c.Paced}
	if c.Whole {
		h.below = below
	}
	_, err := a.mergeSome(ctx, which, h)
	return err
}

// how runs are merged.
type how struct {
	paced bool                  // pause as much as work, which leaves the CPU to requests
	below func(key string) bool // whether a deleted record must stay so; nil: each must
}

func (a *Archive) mergeSome(ctx context.Context, which func([]*run) []*run, h how) (bool, error) {
	a.merging.Lock()
	defer a.merging.Unlock()
	s := a.Acquire()
	defer a.Release(s)
	old := which(s.runs)
	if len(old) == 0 {
		return false, nil
	}
	w := &Writer{temporary: merging, dir: a.dir, from: old[0].from, to: old[len(old)-1].to, codec: Small}
	if err := merge(ctx, old, w, h); err != nil {
		return false, errors.Join(err, w.abandon())
	}
	r, err := w.finish()
	if err != nil {
		return false, err
	}
	a.replace(old, r)
	for _, x := range old {
		err = errors.Join(err, os.Remove(x.path))
	}
	return true, err
}

// paceEvery is how much is merged between two pauses. A pause takes as long as the
// work before it, so that a merge leaves the CPU to requests.
const paceEvery = 1 << 20

// merge adds the records of all runs to w. If several have a record, that of the
// newest counts. Deleted records stay where the database may have them, too.
func merge(ctx context.Context, runs []*run, w *Writer, h how) error {
	cursors := make([]*Cursor, len(runs)) // oldest first
	for i, r := range runs {
		cursors[i] = newCursor(r, "", false)
	}
	began, next := time.Now(), int64(paceEvery)
	var last Record
	for {
		newest := -1
		for i, c := range cursors {
			if c.Valid() && (newest < 0 || c.Record().Key <= cursors[newest].Record().Key) {
				newest = i
			}
		}
		if newest < 0 {
			break
		}
		r := cursors[newest].Record()
		if r.Value == nil && h.below != nil && !h.below(r.Key) {
			last = Record{Key: strings.Clone(r.Key)}
		} else if err := w.Add(r); err != nil {
			return err
		}
		for _, c := range cursors {
			if c.Valid() && c.Record().Key == r.Key {
				c.Next()
			}
		}
		if w.raw < next {
			continue
		}
		next = w.raw + paceEvery
		pause := time.Duration(0)
		if h.paced {
			pause = time.Since(began)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		began = time.Now()
	}
	for _, c := range cursors {
		if err := c.Err(); err != nil {
			return err
		}
	}
	if w.file == nil { // a run stands for those that were merged into it, even if nothing is left of them
		return w.Add(last)
	}
	return nil
}
