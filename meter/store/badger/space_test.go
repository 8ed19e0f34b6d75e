package badger

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/farebox-dev/farebox/meter/store"
)

// smallDisk makes the stores of a test see a disk with as much room as it says.
func smallDisk(t *testing.T) (free *atomic.Int64) {
	t.Helper()
	makeSmall(t)
	was, real := diskOf, diskOf
	free = new(atomic.Int64)
	free.Store(math.MaxInt32)
	diskOf = func(dir string) (int64, int64, error) {
		_, _, err := real(dir)
		return free.Load(), math.MaxInt32, err
	}
	t.Cleanup(func() { diskOf = was })
	return free
}

// files are the names and sizes of what Badger has made.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	list := map[string]int64{}
	for _, pattern := range []string{"*.sst", "*.mem", "*.vlog"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if info, err := os.Stat(name); err == nil {
				list[filepath.Base(name)] = info.Size()
			}
		}
	}
	return list
}

// On a disk that is nearly full Badger makes no file, however much is written; the
// log takes it, reads go on, and the tables catch up when there is room again.
func TestBadgerMakesNoFileOnAFullDisk(t *testing.T) {
	free := smallDisk(t)
	dir := t.TempDir()
	s := openStore(t, dir)
	n := 0
	for ; n < 200; n++ {
		batch(t, s, n)
	}
	free.Store(1000)
	s.lookAtSpace()
	if err := s.Full(); !errors.Is(err, store.ErrFull) {
		t.Fatalf("a full disk: %v", err)
	}
	was := files(t, dir)
	for ; n < 1200; n++ {
		batch(t, s, n)
		if n%100 == 0 {
			if err := s.flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	holds(t, s, n)
	now := files(t, dir)
	for name, size := range now {
		if was[name] != size {
			t.Errorf("%s: %d bytes before, %d now", name, was[name], size)
		}
	}
	free.Store(math.MaxInt32)
	s.lookAtSpace()
	if err := s.Full(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	if s.flushed != s.seq {
		t.Errorf("the tables have %d batches of %d", s.flushed, s.seq)
	}
	holds(t, s, n)
	crash(t, s)
	s = openStore(t, dir)
	holds(t, s, n)
	crash(t, s)
}

// A start on a full disk uses what is reserved for it, again and again, and the
// tables work when there is room.
func TestAStartOnAFullDisk(t *testing.T) {
	free := smallDisk(t)
	dir := t.TempDir()
	s := openStore(t, dir)
	n := 0
	for ; n < 1500; n++ {
		batch(t, s, n)
	}
	crash(t, s)
	free.Store(margin(math.MaxInt32) - 1)
	for range 3 {
		s = openStore(t, dir)
		if s.Full() == nil {
			t.Fatal("the disk is full, and the store does not say so")
		}
		batch(t, s, n)
		n++
		holds(t, s, n)
		crash(t, s)
	}
	s = openStore(t, dir)
	free.Store(math.MaxInt32)
	s.lookAtSpace()
	for range 20 { // without compactors of its own the tables are compacted by flushes
		for range 100 {
			batch(t, s, n)
			n++
		}
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	free.Store(0)
	if _, err := Open(dir, nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("a start without any room: %v", err)
	}
}

// What Badger's memtables write to has its place on the disk before.
func TestMemtablesAreAllocatedAhead(t *testing.T) {
	makeSmall(t)
	dir := t.TempDir()
	s := openStore(t, dir)
	for n := range 3000 {
		batch(t, s, n)
		if n%500 == 0 {
			if err := s.flush(); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{s.space.ahead.current, s.space.ahead.next} {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if taken(info) < size.memTable {
					t.Errorf("%s has %d bytes on the disk", path, taken(info))
				}
			}
		}
	}
	crash(t, s)
}

// A process that is killed leaves the empty file of the next memtable, which Badger
// refuses at first.
func TestWhatWasMadeAheadIsNotInTheWay(t *testing.T) {
	makeSmall(t)
	dir, killed := t.TempDir(), filepath.Join(t.TempDir(), "killed")
	s := openStore(t, dir)
	for n := range 100 {
		batch(t, s, n)
	}
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	crash(t, s)
	s, err := Open(killed, func(format string, args ...any) { t.Errorf(format, args...) })
	if err != nil {
		t.Fatal(err)
	}
	holds(t, s, 100)
	crash(t, s)
}
