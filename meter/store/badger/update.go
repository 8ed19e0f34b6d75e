package badger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/meter/store"
)

// Update implements store.Store. It returns when the update is durable in the log.
func (s *Store) Update(_ context.Context, _ []string, fn func(store.Tx) error) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	if s.broken != nil {
		return s.broken
	}
	t := s.tx
	if err := s.begin(t); err != nil {
		return err
	}
	defer s.end(t)
	if err := errors.Join(fn(t), t.failed); err != nil || len(t.writes) == 0 {
		return err
	}
	if err := s.log.append(t.record()); err != nil {
		err = fmt.Errorf("writing the log: %w", err)
		if s.log.touched { // only the next start can find out how much of it is on disk
			s.broken = err
		}
		return err
	}
	s.keep(t)
	if s.feed.active.Load() {
		_, n := binary.Uvarint(t.rec[headSize:])
		s.feed.publish(s.log.seq, t.rec[headSize+n:])
	}
	return nil
}

// begin waits until the tables are not too far behind, and makes t see the
// current state.
func (s *Store) begin(t *tx) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.behind > 4*size.behind && s.failed == nil && !s.closed {
		s.room.Wait()
	}
	if s.behind > 4*size.behind && s.failed != nil {
		return fmt.Errorf("writing the tables: %w", s.failed)
	}
	if s.closed {
		return errClosed
	}
	t.reset(s.log.seq + 1)
	t.view = view{layers: [2]*layer{s.fresh, s.frozen}, base: s.base}
	s.base.users++
	return nil
}

func (s *Store) end(t *tx) {
	s.mu.Lock()
	t.view.base.release()
	s.mu.Unlock()
	t.view = view{}
}

// keep puts what t has written, which is durable now, into the newest layer.
func (s *Store) keep(t *tx) {
	s.mu.Lock()
	for i := range t.writes {
		w := &t.writes[i]
		s.fresh.Set(text(t.rec[w.key:w.keyEnd]), t.value(i))
	}
	t.room = t.rec[len(t.rec):]
	s.seq = s.log.seq
	s.behind += int64(len(t.rec))
	due := s.behind >= size.behind
	s.mu.Unlock()
	if due {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// tx collects the writes of an update as the record that goes into the log.
type tx struct {
	view
	rec    []byte         // the record so far; the layers keep parts of it
	room   []byte         // the rest of a block, where the next record goes
	writes []place        // of each key in rec
	own    map[string]int // key → its place in writes
	count  int            // writes in rec, with those that were replaced
	failed error          // a write that did not fit, whether fn looked or not
}

// place is where a write is in the record.
type place struct {
	key, keyEnd, value, end int
	deleted                 bool
}

func newTx() *tx { return &tx{own: map[string]int{}} }

// countSize is the room for the number of writes, which is known at the end.
const countSize = 5

// blockSize is the size of the blocks that records share: with a block of its own,
// the record of a small batch would occupy several times its length in the layers.
const blockSize = 256 << 10

// reset begins the record of a batch.
func (t *tx) reset(seq uint64) {
	if want := len(t.rec) + len(t.rec)/4; cap(t.room) < want || cap(t.room) < 1<<10 {
		t.room = make([]byte, 0, max(want, blockSize))
	}
	var zeros [headSize + countSize]byte
	t.rec = binary.AppendUvarint(append(t.room[:0], zeros[:headSize]...), seq)
	t.rec = append(t.rec, zeros[:countSize]...)
	t.writes, t.count, t.failed = t.writes[:0], 0, nil
	clear(t.own)
}

// record is the finished record, without its length and checksum.
func (t *tx) record() []byte {
	_, n := binary.Uvarint(t.rec[headSize:])
	putPadded(t.rec[headSize+n:headSize+n+countSize], uint64(t.count)) //nolint:gosec // not negative
	return t.rec
}

// putPadded writes n as a varint that fills b.
func putPadded(b []byte, n uint64) {
	for i := range b {
		b[i] = byte(n) | 0x80
		n >>= 7
	}
	b[len(b)-1] &^= 0x80
}

// value is the value of a write; nil if it deletes.
func (t *tx) value(i int) []byte {
	w := &t.writes[i]
	if w.deleted {
		return nil
	}
	return t.rec[w.value:w.end:w.end]
}

func (t *tx) Put(id store.ID, value []byte) error { return t.write(id, value, false) }

func (t *tx) Delete(id store.ID) error { return t.write(id, nil, true) }

func (t *tx) write(id store.ID, value []byte, deleted bool) error {
	if int64(len(t.rec)+len(value)) > size.segment || int64(len(value)) > size.memTable/8 {
		t.failed = store.ErrTooBig
		return t.failed
	}
	w := place{deleted: deleted}
	n := 0
	if !deleted {
		n = len(value) + 1
	}
	b := binary.AppendUvarint(t.rec, uint64(id.Len())) //nolint:gosec // a length
	w.key = len(b)
	b = id.Append(b)
	w.keyEnd = len(b)
	b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // a length
	w.value = len(b)
	b = append(b, value...)
	w.end = len(b)
	t.rec = b
	t.count++
	key := text(b[w.key:w.keyEnd])
	if i, again := t.own[key]; again {
		t.writes[i] = w
		return nil
	}
	t.own[key] = len(t.writes)
	t.writes = append(t.writes, w)
	return nil
}

// Get implements store.Snapshot.
func (t *tx) Get(id store.ID) ([]byte, error) {
	key := id.Append(make([]byte, 0, 96))
	if i, ok := t.own[string(key)]; ok {
		return found(t.value(i), nil)
	}
	return t.view.get(key)
}

// Scan implements store.Snapshot.
func (t *tx) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	r := rangeOf(from, only)
	return t.view.scan(r, newListCursor(t, r), fn)
}

// ScanBack implements store.Snapshot.
func (t *tx) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	r := rangeBefore(from)
	return t.view.scan(r, newListCursor(t, r), fn)
}
