package backup

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/farebox-dev/farebox/meter/store"
)

// Source gives records in order of key, each key once, and io.EOF after the last.
// A record's value is valid until the next call.
type Source interface {
	Next() (Record, error)
}

// Reader reads a backup.
type Reader struct {
	Header
	in     blockReader
	block  []byte // records that have not been returned
	last   string
	counts Counts
	ended  bool
}

// NewReader reads the header of a backup.
func NewReader(r io.Reader) (*Reader, error) {
	b := &Reader{in: blockReader{r: r}, counts: Counts{Records: map[string]int64{}}}
	if err := b.in.begin(); err != nil {
		return nil, err
	}
	kind, text, err := b.in.read()
	if err != nil {
		return nil, err
	}
	if kind != headerBlock || json.Unmarshal(text, &b.Header) != nil {
		return nil, b.in.damaged("it should be the header")
	}
	return b, nil
}

// Next implements Source. io.EOF says that the backup was whole, to its end mark.
func (r *Reader) Next() (Record, error) {
	for len(r.block) == 0 {
		if r.ended {
			return Record{}, io.EOF
		}
		if err := r.more(); err != nil {
			return Record{}, err
		}
	}
	var rec Record
	key, rest, ok := cutBytes(r.block, 0)
	if ok {
		rec.Key = string(key)
		rec.Value, rest, ok = cutBytes(rest, 1)
	}
	if _, known := store.ParseID([]byte(rec.Key)); !ok || !known || rec.Key <= r.last || rec.Value == nil && r.Base == "" {
		return Record{}, fmt.Errorf("%w: block %d: its records can't be read", ErrDamaged, r.in.n)
	}
	r.block, r.last = rest, rec.Key
	r.counts.add(rec)
	return rec, nil
}

// Counts is what has been read; after io.EOF it is what the end mark says.
func (r *Reader) Counts() Counts { return r.counts }

// more reads the next block.
func (r *Reader) more() error {
	kind, b, err := r.in.read()
	if err != nil {
		return err
	}
	switch kind {
	case recordsBlock:
		if r.block, err = decompressor.DecodeAll(b, r.block[:0]); err != nil {
			return fmt.Errorf("%w: block %d: %w", ErrDamaged, r.in.n, err)
		}
		return nil
	case endBlock:
		return r.end(b)
	}
	return r.in.damaged(fmt.Sprintf("its kind %q is not known", kind))
}

// end compares the end mark with what was read, and looks for what follows it.
func (r *Reader) end(text []byte) error {
	var c Counts
	if err := json.Unmarshal(text, &c); err != nil {
		return r.in.damaged("it should be the end mark")
	}
	if !c.equal(&r.counts) {
		return fmt.Errorf("%w: its end mark counts %d records, but it holds %d", ErrDamaged, c.Total(), r.counts.Total())
	}
	var one [1]byte
	if _, err := io.ReadFull(r.in.r, one[:]); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end mark", ErrDamaged)
	}
	r.ended = true
	return nil
}

// cutBytes is a length, of which less is taken away, and as many bytes. A length of 0 with less = 1 is nil.
func cutBytes(b []byte, less uint64) (value, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size)+less {
		return nil, nil, false
	}
	b = b[size:]
	if n < less {
		return nil, b, true
	}
	n -= less
	return b[:n:n], b[n:], true
}

// loadSize is about how many bytes of records go into one update of a store.
const loadSize = 1 << 20

// Load writes all records into an empty store, and counts them. If it fails, the
// store holds a part of them and is of no use.
func Load(ctx context.Context, s store.Store, from Source) (Counts, error) {
	counts := Counts{Records: map[string]int64{}}
	for more := true; more; {
		var batch []Record
		for size := 0; size < loadSize; {
			r, err := from.Next()
			if errors.Is(err, io.EOF) {
				more = false
				break
			}
			if err != nil {
				return counts, err
			}
			counts.add(r)
			batch = append(batch, Record{r.Key, append([]byte{}, r.Value...)})
			size += len(r.Key) + len(r.Value)
		}
		err := s.Update(ctx, nil, func(tx store.Tx) error {
			for _, r := range batch {
				id, ok := store.ParseID([]byte(r.Key))
				if !ok {
					return fmt.Errorf("%w: a record has the key %q", ErrDamaged, r.Key)
				}
				if err := tx.Put(id, r.Value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return counts, err
		}
	}
	return counts, nil
}

// Copy writes everything that is in one store into another, which is empty.
func Copy(ctx context.Context, from, to store.Store) error {
	read, write := io.Pipe()
	go func() {
		err := from.View(ctx, func(s store.Snapshot) error {
			_, err := Write(ctx, write, Header{}, s)
			return err
		})
		_ = write.CloseWithError(err) // nil is io.EOF
	}()
	defer read.Close() //nolint:errcheck // ends the writer if Load has failed
	r, err := NewReader(read)
	if err == nil {
		_, err = Load(ctx, to, r)
	}
	return err
}
