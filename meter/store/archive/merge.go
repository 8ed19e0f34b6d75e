package archive

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
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
func (a *Archive) Merge(ctx context.Context) (bool, error) { return a.mergeSome(ctx, due, true) }

// MergeAll makes one run of all, as fast as it can: for a compaction that somebody
// waits for.
func (a *Archive) MergeAll(ctx context.Context) error {
	_, err := a.mergeSome(ctx, func(runs []*run) []*run {
		if len(runs) < 2 {
			return nil
		}
		return slices.Clone(runs)
	}, false)
	return err
}

func (a *Archive) mergeSome(ctx context.Context, which func([]*run) []*run, paced bool) (bool, error) {
	a.merging.Lock()
	defer a.merging.Unlock()
	s := a.Acquire()
	defer a.Release(s)
	old := which(s.runs)
	if old == nil {
		return false, nil
	}
	w := &Writer{temporary: merging, dir: a.dir, from: old[0].from, to: old[len(old)-1].to, codec: Small}
	if err := merge(ctx, old, w, paced); err != nil {
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
// newest counts. Deleted records stay: the database may have them, too.
func merge(ctx context.Context, runs []*run, w *Writer, paced bool) error {
	cursors := make([]*Cursor, len(runs)) // oldest first
	for i, r := range runs {
		cursors[i] = newCursor(r, "", false)
	}
	began, next := time.Now(), int64(paceEvery)
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
		if err := w.Add(r); err != nil {
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
		if paced {
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
	return nil
}
