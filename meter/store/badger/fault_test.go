package badger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/farebox-dev/farebox/meter/store"
)

// makeSmall lets memtables fill and segments end within a test.
func makeSmall(t *testing.T) {
	was := size
	t.Cleanup(func() { size = was })
	size = sizes{memTable: 512 << 10, table: 256 << 10, value: 64 << 10, segment: 128 << 10, behind: 64 << 10, log: 1 << 20}
}

// What can go wrong with one append to the log, at each of its steps. After an
// error that left the log untouched the store goes on; after any other it stops
// until the next start, which finds the batch whole or not at all, and everything
// before it in any case.
func TestEveryStepOfTheLogCanFail(t *testing.T) {
	errDisk := errors.New("input/output error")
	cells := 0
	for _, c := range []struct {
		op    string
		does  func(s *segment, rec []byte)
		goes  bool // the store goes on
		after int  // batches after the restart: 10 + what the failed one left, or -1 for either
	}{
		{op: "segment", goes: true, after: 0},
		{op: "write", after: 0},
		{op: "write", after: 0, does: func(s *segment, rec []byte) { _, _ = s.file.WriteAt(rec[:len(rec)/2], s.end) }},
		{op: "write", after: 0, does: func(s *segment, rec []byte) { _, _ = s.file.WriteAt(rec[:3], s.end) }},
		{op: "write", after: 0, does: func(s *segment, rec []byte) { _, _ = s.file.WriteAt(rec[5:], s.end+5) }},
		{op: "sync", after: 1}, // the bytes are there, but were not acknowledged
	} {
		for _, crashes := range []bool{false, true} {
			cells++
			name := fmt.Sprintf("%s, crash %t", c.op, crashes)
			makeSmall(t)
			dir := t.TempDir()
			s := openStore(t, dir)
			n := 0
			for c.op == "segment" && roomFor(s) > 300 || n < 10 {
				batch(t, s, n)
				n++
			}
			s.log.hook = func(op string, seg *segment, rec []byte) error {
				if op != c.op {
					return nil
				}
				if c.does != nil {
					c.does(seg, rec)
				}
				return errDisk
			}
			if err := tryBatch(s, n); !errors.Is(err, errDisk) {
				t.Fatalf("%s: %v", name, err)
			}
			s.log.hook = nil
			if !crashes {
				err := tryBatch(s, n)
				if c.goes != (err == nil) {
					t.Errorf("%s: the next batch: %v", name, err)
				}
				if c.goes {
					n++
				}
			}
			crash(t, s)
			s = openStore(t, dir)
			holds(t, s, n+c.after)
			batch(t, s, n+c.after)
			crash(t, s)
			s = openStore(t, dir)
			holds(t, s, n+c.after+1)
			crash(t, s)
		}
	}
	t.Logf("%d cells", cells)
}

// roomFor is how many bytes the newest segment still takes.
func roomFor(s *Store) int64 {
	if k := len(s.log.segments); k > 0 {
		return s.log.segments[k-1].size - s.log.segments[k-1].end
	}
	return size.segment
}

func tryBatch(s *Store, i int) error {
	return s.Update(context.Background(), nil, func(tx store.Tx) error {
		value := fmt.Appendf(nil, "value %d", i)
		if s.log.hook != nil && roomFor(s) < 400 { // too large for what is left of the segment
			if err := tx.Put(store.ID{Kind: store.Book, Name: "x"}, make([]byte, 400)); err != nil {
				return err
			}
		}
		if err := tx.Put(store.ID{Kind: store.Charge, Account: "acme", Name: fmt.Sprintf("%06d", i)}, value); err != nil {
			return err
		}
		return tx.Put(store.ID{Kind: store.Account, Account: "acme"}, fmt.Appendf(nil, "%d", i))
	})
}

// A full disk: no next segment can be made. It is reported, and ends when there is space.
func TestAFullDiskIsNotTheEnd(t *testing.T) {
	makeSmall(t)
	dir := t.TempDir()
	s := openStore(t, dir)
	n := 0
	for ; roomFor(s) > 300; n++ {
		batch(t, s, n)
	}
	full := true
	s.log.hook = func(op string, _ *segment, _ []byte) error {
		if full && op == "segment" {
			return os.ErrPermission
		}
		return nil
	}
	if err := tryBatch(s, n); !errors.Is(err, os.ErrPermission) {
		t.Errorf("without room: %v", err)
	}
	full = false
	batch(t, s, n)
	crash(t, s)
	s = openStore(t, dir)
	holds(t, s, n+1)
	crash(t, s)
}
