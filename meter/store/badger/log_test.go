package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/farebox-dev/farebox/meter/store"
)

func batch(t *testing.T, s *Store, i int) {
	t.Helper()
	err := s.Update(context.Background(), nil, func(tx store.Tx) error {
		if err := tx.Put(store.ID{Kind: store.Charge, Account: "acme", Name: fmt.Sprintf("%06d", i)}, fmt.Appendf(nil, "value %d", i)); err != nil {
			return err
		}
		return tx.Put(store.ID{Kind: store.Account, Account: "acme"}, fmt.Appendf(nil, "%d", i))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// holds checks that exactly the batches below n are there.
func holds(t *testing.T, s *Store, n int) {
	t.Helper()
	found := 0
	err := s.View(context.Background(), func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Charge, Account: "acme"}, true, func(id store.ID, value []byte) error {
			if id.Name != fmt.Sprintf("%06d", found) || string(value) != fmt.Sprintf("value %d", found) {
				t.Errorf("record %d is %s: %s", found, id.Name, value)
			}
			found++
			return nil
		})
	})
	if err != nil || found != n {
		t.Errorf("%d batches, want %d; %v", found, n, err)
	}
}

// crash leaves the directory as a killed process does, and gives up the lock.
func crash(t *testing.T, s *Store) {
	t.Helper()
	s.halt()
	if err := s.shut(); err != nil {
		t.Fatal(err)
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func edit(t *testing.T, file string, fn func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fn(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A power cut: the tables are as they were long ago, the log has everything.
func TestTheLogAloneBringsBackWhatTheTablesMissed(t *testing.T) {
	dir, later := t.TempDir(), t.TempDir()
	s := openStore(t, dir)
	for i := range 50 {
		batch(t, s, i)
	}
	crash(t, s)
	copyDir(t, dir, later)
	s = openStore(t, dir)
	for i := 50; i < 120; i++ {
		batch(t, s, i)
	}
	crash(t, s)
	if err := os.RemoveAll(filepath.Join(later, "log")); err != nil {
		t.Fatal(err)
	}
	copyDir(t, filepath.Join(dir, "log"), filepath.Join(later, "log"))
	s = openStore(t, later)
	defer s.Close() //nolint:errcheck // a test's store
	holds(t, s, 120)
}

func TestACutWriteIsTheEnd(t *testing.T) {
	for cut := 1; cut < 40; cut += 3 {
		dir := t.TempDir()
		s := openStore(t, dir)
		for i := range 5 {
			batch(t, s, i)
		}
		end := s.log.segments[0].end
		crash(t, s)
		// A record that begins, and of which only some bytes reached the disk.
		edit(t, segments(t, dir)[0], func(b []byte) []byte {
			copy(b[end:], b[:cut])
			return b
		})
		s = openStore(t, dir)
		holds(t, s, 5)
		batch(t, s, 5)
		crash(t, s)
		s = openStore(t, dir)
		holds(t, s, 6)
		crash(t, s)
	}
}

func TestDamageIsNoticed(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string, ends []int64){
		"a flipped byte in an old record": func(t *testing.T, dir string, ends []int64) {
			edit(t, segments(t, dir)[0], func(b []byte) []byte { b[ends[1]+12] ^= 1; return b })
		},
		"a flipped byte in an old record, and no witness": func(t *testing.T, dir string, ends []int64) {
			edit(t, segments(t, dir)[0], func(b []byte) []byte { b[ends[1]+12] ^= 1; return b })
			if err := os.Remove(filepath.Join(dir, "log", "acknowledged")); err != nil {
				t.Fatal(err)
			}
		},
		"a flipped byte in the last record": func(t *testing.T, dir string, ends []int64) {
			edit(t, segments(t, dir)[0], func(b []byte) []byte { b[ends[len(ends)-2]+12] ^= 1; return b })
		},
		"a flipped length": func(t *testing.T, dir string, ends []int64) {
			edit(t, segments(t, dir)[0], func(b []byte) []byte { b[ends[2]+1] ^= 4; return b })
		},
		"the log is gone": func(t *testing.T, dir string, _ []int64) {
			if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
				t.Fatal(err)
			}
		},
		"the tables are gone": func(t *testing.T, dir string, _ []int64) {
			log := segments(t, dir)[0]
			if err := os.Rename(log, filepath.Join(filepath.Dir(log), "0000000000000010.log")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir)
			ends := []int64{0}
			for i := range 6 {
				batch(t, s, i)
				ends = append(ends, s.log.segments[0].end)
			}
			crash(t, s)
			damage(t, dir, ends)
			s, err := Open(dir, t.Logf)
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("opened: %v", err)
			}
			if err == nil {
				crash(t, s)
			}
		})
	}
}

func TestSegmentsFollowOneAnotherAndOldOnesGo(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	value := make([]byte, 1<<20)
	n := 0
	for len(s.log.segments) == 0 || s.log.segments[0].first == 1 {
		err := s.Update(context.Background(), nil, func(tx store.Tx) error {
			return tx.Put(store.ID{Kind: store.Book, Name: fmt.Sprintf("%06d", n)}, value)
		})
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if kept := int64(len(s.log.segments)-1) * size.segment; kept < keepBytes() {
		t.Errorf("only %d bytes of log were kept", kept)
	}
	crash(t, s)
	s = openStore(t, dir)
	defer s.Close() //nolint:errcheck // a test's store
	found := 0
	err := s.View(context.Background(), func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Book}, false, func(store.ID, []byte) error { found++; return nil })
	})
	if err != nil || found != n {
		t.Errorf("%d of %d records after %d segments; %v", found, n, len(s.log.segments), err)
	}
}

func TestABatchTooLargeForATransactionLeavesNothing(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close() //nolint:errcheck // a test's store
	err := s.Update(context.Background(), nil, func(tx store.Tx) error {
		for i := range 100 {
			_ = tx.Put(store.ID{Kind: store.Charge, Account: "acme", Name: fmt.Sprintf("%06d", i)}, make([]byte, 900<<10))
		}
		return nil // the writer did not look
	})
	if !errors.Is(err, store.ErrTooBig) {
		t.Errorf("Update: %v", err)
	}
	holds(t, s, 0)
	batch(t, s, 0)
	holds(t, s, 1)
}

// Badger opens without what it cannot read of its memtables. The marks show it, and
// the log brings it back.
func TestWhatBadgerHasLostComesBack(t *testing.T) {
	makeSmall(t)
	for lost := uint64(1); lost < 9; lost += 2 {
		dir := t.TempDir()
		s := openStore(t, dir)
		for n := range 60 {
			batch(t, s, n)
			if n%7 == 0 {
				flush(t, s)
			}
		}
		err := s.db.Update(func(tx *badger.Txn) error { // as if a transaction were missing
			return errors.Join(tx.Delete(mark{n: lost}.key()), tx.Delete(store.ID{Kind: store.Charge, Account: "acme", Name: fmt.Sprintf("%06d", 7*(lost-1))}.Bytes()))
		})
		if err != nil {
			t.Fatal(err)
		}
		crash(t, s)
		s = openStore(t, dir)
		holds(t, s, 60)
		batch(t, s, 60)
		flush(t, s)
		crash(t, s)
		s = openStore(t, dir)
		holds(t, s, 61)
		if !s.marks.whole() {
			t.Error("the marks are not whole again")
		}
		crash(t, s)
	}
}

func flush(t *testing.T, s *Store) {
	t.Helper()
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
}

// One busy account writes little to Badger and much to the log. The log does not
// grow without end, and a start finds everything.
func TestTheLogOfABusyAccountIsBounded(t *testing.T) {
	makeSmall(t)
	dir := t.TempDir()
	s := openStore(t, dir)
	value := bytes.Repeat([]byte("entry"), 2000)
	most := 0
	for n := range 1500 { // 15 MB
		err := s.Update(context.Background(), nil, func(tx store.Tx) error {
			return errors.Join(tx.Put(store.ID{Kind: store.Entry, Account: "acme", Name: store.Sequence(uint64(n))}, value), //nolint:gosec // not negative
				tx.Put(store.ID{Kind: store.Account, Account: "acme"}, fmt.Append(nil, n)))
		})
		if err != nil {
			t.Fatal(err)
		}
		if n%20 == 0 {
			flush(t, s)
		}
		most = max(most, len(s.log.segments))
	}
	if bound := 2 * int(size.log/size.segment); most > bound {
		t.Errorf("%d segments were kept, want at most %d", most, bound)
	}
	crash(t, s)
	s = openStore(t, dir)
	defer s.Close() //nolint:errcheck // a test's store
	found := 0
	err := s.View(context.Background(), func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Entry}, false, func(store.ID, []byte) error { found++; return nil })
	})
	if err != nil || found != 1500 {
		t.Errorf("%d entries, %v", found, err)
	}
}

// A log that is too long makes Badger write its tables once, not with every flush
// until the next segment begins: that was 80 MB of tables every 2 seconds.
func TestOnePushIsEnough(t *testing.T) {
	makeSmall(t)
	size.log = size.segment / 2 // always too long
	s := openStore(t, t.TempDir())
	defer s.Close() //nolint:errcheck // a test's store
	transactions := func() uint64 {
		err := s.Update(context.Background(), nil, func(tx store.Tx) error {
			return tx.Put(store.ID{Kind: store.Account, Account: "acme"}, []byte("state"))
		})
		if err != nil {
			t.Fatal(err)
		}
		flush(t, s)
		return s.marks.list[len(s.marks.list)-1].n
	}
	transactions()
	first := transactions()
	const flushes = 40
	for range flushes - 1 {
		transactions()
	}
	push := uint64(keepBytes()/(s.db.MaxBatchSize()/4)) + 1 //nolint:gosec // not negative
	if n := transactions() - first; n > flushes+2*push {
		t.Errorf("%d flushes made %d transactions; one push makes %d", flushes, n, push)
	}
}
