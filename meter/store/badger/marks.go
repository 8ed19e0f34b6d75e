package badger

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Badger syncs only whole tables, and after a power cut or a flipped byte opens
// without what it cannot read of the rest. So each transaction carries a mark with
// a number: if one is missing at the next start, then so is what was written with
// it, and the log is replayed from before.

// mark is that of one transaction of a flush.
type mark struct {
	n        uint64 // numbers follow one another
	from, to uint64 // the flush writes the batches after from, up to to
	size     int64  // bytes of the transaction
	last     bool   // of its flush
	oldest   uint64 // mark that was kept when this one was written
}

var markPrefix = []byte("!/mark/")

func (m mark) key() []byte {
	return binary.BigEndian.AppendUint64(markPrefix[:len(markPrefix):len(markPrefix)], m.n)
}

func (m mark) encode() []byte {
	last := uint64(0)
	if m.last {
		last = 1
	}
	var b []byte
	for _, x := range []uint64{m.from, m.to, uint64(m.size), last, m.oldest} { //nolint:gosec // a size
		b = binary.AppendUvarint(b, x)
	}
	return b
}

func decodeMark(key, b []byte) (m mark, err error) {
	var x [5]uint64
	for i := range x {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return m, fmt.Errorf("%w: a mark is not readable", ErrDamaged)
		}
		x[i], b = n, b[size:]
	}
	m = mark{from: x[0], to: x[1], size: int64(x[2]), last: x[3] == 1, oldest: x[4]} //nolint:gosec // a size
	m.n = binary.BigEndian.Uint64(key[len(markPrefix):])
	return m, nil
}

// marks are those of the transactions of which some may not be in synced tables
// yet, and at least one that certainly is.
type marks struct {
	list  []mark
	stale []uint64 // marks to delete
}

func readMarks(t *badger.Txn) (ms marks, err error) {
	it := t.NewIterator(badger.IteratorOptions{Prefix: markPrefix})
	defer it.Close()
	for it.Rewind(); it.Valid() && err == nil; it.Next() {
		err = it.Item().Value(func(b []byte) error {
			m, err := decodeMark(it.Item().Key(), b)
			ms.list = append(ms.list, m)
			return err
		})
	}
	return ms, err
}

// whole reports whether no mark is missing.
func (ms *marks) whole() bool {
	k := len(ms.list)
	if k == 0 {
		return false
	}
	newest := ms.list[k-1]
	want := newest.n - newest.oldest // marks before the newest one
	return want < uint64(k) && ms.list[uint64(k)-1-want].n == newest.oldest
}

// reach is the last batch that is in the tables with all before it, if the marks
// are whole.
func (ms *marks) reach() uint64 {
	for i := len(ms.list) - 1; i >= 0; i-- {
		if ms.list[i].last {
			return ms.list[i].to
		}
	}
	return ms.list[0].from
}

// restart forgets all marks: the log is replayed from its beginning.
func (ms *marks) restart() {
	for _, m := range ms.list {
		ms.stale = append(ms.stale, m.n)
	}
	ms.list = nil
}

// next numbers m, and says which old marks its transaction deletes.
func (ms *marks) next(m mark) (numbered mark, stale []uint64) {
	m.n = 1
	if k := len(ms.list); k > 0 {
		m.n = ms.list[k-1].n + 1
	} else if k := len(ms.stale); k > 0 {
		m.n = ms.stale[k-1] + 1
	}
	m.oldest = m.n
	stale = append(stale, ms.stale...)
	old := ms.firstKept()
	for _, x := range ms.list[:old] {
		stale = append(stale, x.n)
	}
	if old < len(ms.list) {
		m.oldest = ms.list[old].n
	}
	return m, stale
}

// add keeps a mark that was written.
func (ms *marks) add(m mark) {
	for len(ms.list) > 0 && ms.list[0].n < m.oldest {
		ms.list = ms.list[1:]
	}
	ms.stale = nil
	ms.list = append(ms.list, m)
}

// firstKept is the place of the newest mark that is certainly in a synced table:
// so much was written after it that the memtables hold none of it.
func (ms *marks) firstKept() int {
	after := int64(0)
	for i := len(ms.list) - 1; i > 0; i-- {
		if after >= keepBytes() {
			return i
		}
		after += ms.list[i].size
	}
	return 0
}

// certain is the last batch that no start will need again.
func (ms *marks) certain() uint64 {
	if len(ms.list) == 0 {
		return 0
	}
	return ms.list[0].from
}
