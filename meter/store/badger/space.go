package badger

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/farebox-dev/farebox/meter/store"
)

// Badger writes its files through memory maps, and creates them sparse: if the disk
// has no block for a page when it is touched, there is no error, but a SIGBUS that
// ends the process. So Badger touches nothing without a block:
//
//   - What its memtables write is allocated ahead of it (ahead.go).
//   - Tables are made only while the disk has a margin, more than all flushes and
//     compactions that may be under way can take. Below it Badger is paused, and
//     updates stay in the log and in memory.
//   - A file without content reserves what opening and closing Badger takes.
//
// Above the store, nothing new begins below the margin: see Full. What is left, and
// the segments of the log that were filled with zeros ahead, is for settles.

// lookEvery is how often the free space is looked at. It bounds how long Badger
// works on without the margin.
const lookEvery = 100 * time.Millisecond

// margin is how much must be free so that Badger may make tables: for three memtables
// that are written, and for four compactions. Small disks get along with less.
func margin(total int64) int64 { return min(16*size.memTable, total/4) }

// reserveBytes is more than opening and closing Badger take: the tables of all
// memtables of the last process, or of this one.
func reserveBytes() int64 { return 4 * size.memTable }

// space is what is known of the disk.
type space struct {
	dir     string
	last    atomic.Pointer[store.Space]
	full    atomic.Pointer[error]
	cramped bool // Badger was opened without room: its own compactions are off

	pause *badger.StreamWriter // not nil: Badger is paused; guarded by Store.flushing
	tight bool                 // no tables are made; guarded by Store.flushing
	ahead ahead
}

// measure looks at the disk. Where that cannot be done, there is always room.
func (d *space) measure() store.Space {
	free, total, err := diskOf(d.dir)
	s := store.Space{Free: free, Total: total, Needs: margin(total)}
	if err != nil {
		s = store.Space{Free: math.MaxInt64}
	}
	d.last.Store(&s)
	return s
}

// Space implements store.OnDisk.
func (s *Store) Space() store.Space { return *s.space.last.Load() }

// Full implements store.OnDisk.
func (s *Store) Full() error {
	if err := s.space.full.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *space) setFull(now store.Space) {
	err := fmt.Errorf("%w: %d MB of %d MB are free in %s, and %d MB are needed", store.ErrFull, now.Free>>20, now.Total>>20, d.dir, now.Needs>>20)
	d.full.Store(&err)
}

// beginSpace takes what is needed ahead, or begins with Badger paused.
func (s *Store) beginSpace() {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if s.space.cramped || !s.space.ahead.keep(s.space.dir) {
		s.space.setFull(s.space.measure())
		s.say("error: %v; paid requests are refused until there is more", s.Full())
		s.pause()
	}
	s.space.reserve()
}

// watchSpace pauses Badger while the disk is nearly full.
func (s *Store) watchSpace() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop.Done():
			return
		case <-tick.C:
			s.lookAtSpace()
		}
	}
}

func (s *Store) lookAtSpace() {
	now := s.space.measure()
	full := s.Full() != nil
	switch {
	case !full && now.Free < now.Needs:
		s.space.setFull(now) // first: nothing new begins from here on
		s.stopMerge()
		s.say("error: %v; paid requests are refused until there is more", s.Full())
		s.flushing.Lock()
		s.pause()
		s.flushing.Unlock()
	case full && now.Free >= now.Needs+now.Needs/4:
		s.flushing.Lock()
		again := s.goOn()
		s.flushing.Unlock()
		if again {
			s.say("warning: the disk has room again: %d MB of %d MB are free", now.Free>>20, now.Total>>20)
		}
	case full:
		s.space.setFull(now)
	}
}

// mayMakeTables reports whether there is room for what a flush may lead to. The
// caller holds flushing.
func (s *Store) mayMakeTables() bool {
	if s.space.tight {
		return false
	}
	now := s.space.measure()
	if now.Free >= now.Needs && s.space.ahead.keep(s.space.dir) {
		return true
	}
	s.space.setFull(now)
	s.pause()
	return false
}

// pause stops everything in Badger that makes files; reads go on. Badger has no call
// for that, but the beginning of an incremental stream does it. That ends where a
// memtable has something in it, which fillKey sees to. The caller holds flushing.
func (s *Store) pause() {
	if s.space.tight {
		return
	}
	s.space.tight = true
	s.mu.Lock()
	s.failed = s.Full() // updates do not wait for the tables to catch up
	s.room.Broadcast()
	s.mu.Unlock()
	if s.space.cramped || s.space.ahead.current == "" { // nothing runs by itself
		return
	}
	if err := s.db.Update(func(t *badger.Txn) error { return t.Set(fillKey, nil) }); err != nil {
		s.say("error: pausing Badger: %v", err)
		return
	}
	s.space.pause = s.db.NewStreamWriter()
	_ = s.space.pause.PrepareIncremental() // "MemTable has data"
}

// goOn is the opposite of pause. The caller holds flushing.
func (s *Store) goOn() bool {
	if s.space.reserve(); !s.space.ahead.keep(s.space.dir) {
		return false // another program was quicker
	}
	s.resume()
	s.mu.Lock()
	s.failed = nil
	s.mu.Unlock()
	s.space.full.Store(nil)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

func (s *Store) resume() {
	s.space.tight = false
	if s.space.pause != nil {
		s.space.pause.Cancel()
		s.space.pause = nil
	}
}

func (d *space) reservePath() string { return filepath.Join(d.dir, "reserve") }

// reserve takes the space that the next start or end needs. The file has no size, so
// that a copy of the directory is not larger for it.
func (d *space) reserve() {
	f, err := os.OpenFile(d.reservePath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return
	}
	for n := reserveBytes(); n > 0; n -= size.memTable / 4 { // what there is, if there is less
		if err = allocate(f, n); err == nil || !isFull(err) {
			break
		}
	}
	if _ = f.Close(); err != nil {
		_ = os.Remove(f.Name())
	}
}

// giveReserve frees the reserved space if the disk is nearly full, and reports
// whether it is. It fails if even that is not enough.
func (d *space) giveReserve(needs int64) (full bool, err error) {
	now := d.measure()
	if now.Free >= now.Needs {
		return false, nil
	}
	d.setFull(now)
	_ = os.Remove(d.reservePath())
	if now = d.measure(); now.Free < min(needs, now.Needs) {
		return true, fmt.Errorf("%w: %d MB are free in %s, and opening or closing the tables takes up to %d MB; make room", store.ErrFull, now.Free>>20, d.dir, needs>>20)
	}
	return true, nil
}

// closeBadger closes it, if there is room for its last tables.
func (s *Store) closeBadger() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if _, err := s.space.giveReserve(openingTakes(s.space.dir)); err != nil {
		return fmt.Errorf("%w; the tables stay open until the process ends, nothing is lost", err)
	}
	s.resume()
	err := errors.Join(s.db.Close(), removeEmptyMemtables(s.space.dir))
	s.space.reserve() // for the next start
	return err
}

// prepare makes the directory ready for Badger. Files of a process that has it open
// are left alone.
func (d *space) prepare() (err error) {
	if inUse(d.dir) {
		return nil
	}
	if d.cramped, err = d.giveReserve(openingTakes(d.dir)); err != nil {
		return err
	}
	return removeEmptyMemtables(d.dir)
}

func (s *Store) say(format string, args ...any) {
	if s.logf != nil {
		s.logf(format, args...)
	}
}
