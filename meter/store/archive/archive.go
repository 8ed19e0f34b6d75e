package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Archive is a directory of runs. It is safe for concurrent use.
type Archive struct {
	dir     string
	writing sync.Mutex // one run is written at a time
	merging sync.Mutex // one merge runs at a time

	mu  sync.Mutex
	set *Set // of all runs, in order of age
}

// Open opens the archive in dir, without the runs that begin at batch after or
// later: their records are still in the store's log, and come again.
// names are those that must be there, see Set.Names.
func Open(dir string, after uint64, names []string) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{writing, merging} { // what a stop has cut off
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.run"))
	if err != nil {
		return nil, err
	}
	a := &Archive{dir: dir, set: &Set{users: 1}}
	for _, path := range files {
		var r *run
		if r, err = openRun(path); err != nil {
			break
		}
		a.set.add(r)
	}
	if err == nil {
		err = a.tidy(after, names)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// tidy removes runs that are in others, and those that begin after a batch.
func (a *Archive) tidy(after uint64, names []string) error {
	all := a.set.runs
	slices.SortFunc(all, func(x, y *run) int { return compare(x, y) })
	keep := &Set{users: 1}
	for i, r := range all {
		inOther := slices.ContainsFunc(all, func(o *run) bool { return o != r && o.covers(r) && o.from < after })
		if r.from >= after || inOther {
			if err := os.Remove(r.path); err != nil {
				return err
			}
			continue
		}
		keep.add(all[i])
	}
	old := a.set
	a.set = keep
	old.release()
	for _, name := range names {
		from, to, ok := parseRunName(name)
		missing := &run{from: from, to: to}
		if ok && from < after && !slices.ContainsFunc(keep.runs, func(r *run) bool { return r.covers(missing) }) {
			return fmt.Errorf("%w: %s is missing in %s; restore a backup", ErrDamaged, name, a.dir)
		}
	}
	return nil
}

// compare orders runs by age.
func compare(x, y *run) int {
	switch {
	case x.to != y.to:
		if x.to < y.to {
			return -1
		}
		return 1
	case x.from > y.from: // the longer one is newer
		return -1
	}
	return 1
}

// Write makes a run of the records that fill adds, of the batches after from, up
// to to.
func (a *Archive) Write(from, to uint64, fill func(*Writer) error) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.has(from, to) { // the flush is repeated, after something else of it failed
		return nil
	}
	w := &Writer{temporary: writing, dir: a.dir, from: from, to: to, codec: Fast}
	if err := fill(w); err != nil {
		return errors.Join(err, w.abandon())
	}
	r, err := w.finish()
	if err != nil || r == nil {
		return err
	}
	a.replace(nil, r)
	return nil
}

func (a *Archive) has(from, to uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.set.runs, func(r *run) bool { return r.from <= from && r.to == to })
}

// replace makes r take the place of old runs; it is the newest if there are none.
func (a *Archive) replace(old []*run, r *run) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := &Set{users: 1}
	placed := false
	for _, x := range a.set.runs {
		switch {
		case !slices.Contains(old, x):
			next.add(x)
		case !placed && r != nil:
			next.add(r)
			placed = true
		}
	}
	if !placed && r != nil {
		next.add(r)
	}
	was := a.set
	a.set = next
	was.release()
}

// Acquire is the current set of runs. Release it.
func (a *Archive) Acquire() *Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set.users++
	return a.set
}

// Release gives up a set.
func (a *Archive) Release(s *Set) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.release()
}

// Close closes the files.
func (a *Archive) Close() {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.merging.Lock()
	defer a.merging.Unlock()
	a.Release(a.set)
}

// Set is the runs at one instant.
type Set struct {
	runs  []*run // oldest first
	users int    // guarded by Archive.mu
}

func (s *Set) add(r *run) {
	r.users.Add(1)
	s.runs = append(s.runs, r)
}

func (s *Set) release() {
	if s.users--; s.users == 0 {
		for _, r := range s.runs {
			r.release()
		}
	}
}

// Names are the file names of the runs: pass them to Open.
func (s *Set) Names() []string {
	list := make([]string, len(s.runs))
	for i, r := range s.runs {
		list[i] = filepath.Base(r.path)
	}
	return list
}

// Size is the bytes of all files.
func (s *Set) Size() (n int64) {
	for _, r := range s.runs {
		n += r.size
	}
	return n
}

// Get reports whether a run has the record; its value is nil if it was deleted. It
// must not be changed.
func (s *Set) Get(key string) (value []byte, ok bool, err error) {
	for i := len(s.runs) - 1; i >= 0; i-- {
		if value, ok, err = s.runs[i].get(key); ok || err != nil {
			return value, ok, err
		}
	}
	return nil, false, nil
}

// Cursors walk over the runs that may have keys with a prefix, newest first. They
// begin at start or, going back, before it.
func (s *Set) Cursors(prefix, start string, back bool) (list []*Cursor) {
	for i := len(s.runs) - 1; i >= 0; i-- {
		r := s.runs[i]
		if r.blocks[0].first > prefix && !strings.HasPrefix(r.blocks[0].first, prefix) {
			continue // all of its keys are greater
		}
		list = append(list, newCursor(r, start, back))
	}
	return list
}
