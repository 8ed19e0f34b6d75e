package backup

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// Header says what a backup is.
type Header struct {
	// ID names the backup: a ULID with the prefix bk_.
	ID string `json:"id"`
	// Base is the backup whose increment this one is; "" if it is a full one.
	Base string `json:"base,omitempty"`
	// Ledger is the id of the ledger.
	Ledger string `json:"ledger,omitempty"`
	// Version is that of the Farebox that wrote it.
	Version string `json:"version,omitempty"`
	// Taken is the moment whose state it holds.
	Taken time.Time `json:"taken"`
}

// Counts is the end mark of a backup: how much is in it.
type Counts struct {
	// Records is how many there are, by kind, such as "accounts".
	Records map[string]int64 `json:"records"`
	// Deleted is how many records of the base are no longer there.
	Deleted int64 `json:"deleted,omitempty"`
}

// Total is how many records there are.
func (c *Counts) Total() (n int64) {
	for _, x := range c.Records {
		n += x
	}
	return n
}

func (c *Counts) add(r Record) {
	if r.Value == nil {
		c.Deleted++
		return
	}
	c.Records[store.Kind(r.Key[0]).String()]++
}

func (c *Counts) equal(d *Counts) bool {
	if c.Deleted != d.Deleted || len(c.Records) != len(d.Records) {
		return false
	}
	for k, n := range c.Records {
		if d.Records[k] != n {
			return false
		}
	}
	return true
}

// Record is one record; a nil Value says that the base's was deleted.
type Record struct {
	Key   string // store.ID.Bytes
	Value []byte
}

// Writer writes a backup, record by record, in order of key.
type Writer struct {
	out    blockWriter
	block  []byte
	last   string
	counts Counts
}

// NewWriter begins a backup.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b := &Writer{out: blockWriter{w: w}, counts: Counts{Records: map[string]int64{}}}
	text, err := json.Marshal(h)
	if err == nil {
		err = b.out.begin()
	}
	if err == nil {
		err = b.out.write(headerBlock, text)
	}
	return b, err
}

// Put adds a record. It copies what it is given.
func (w *Writer) Put(r Record) error {
	if r.Key <= w.last {
		return fmt.Errorf("a backup of records out of order: %q after %q", r.Key, w.last)
	}
	w.last = r.Key
	w.counts.add(r)
	w.block = binary.AppendUvarint(w.block, uint64(len(r.Key)))
	w.block = append(w.block, r.Key...)
	if r.Value == nil {
		w.block = append(w.block, 0)
	} else {
		w.block = binary.AppendUvarint(w.block, uint64(len(r.Value))+1)
		w.block = append(w.block, r.Value...)
	}
	if len(w.block) < blockSize {
		return nil
	}
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	err := w.out.write(recordsBlock, compressor.EncodeAll(w.block, nil))
	w.block = w.block[:0]
	return err
}

// Close writes the end mark. A backup without it is refused by every reader.
func (w *Writer) Close() (Counts, error) {
	if err := w.flush(); err != nil {
		return w.counts, err
	}
	text, err := json.Marshal(w.counts)
	if err == nil {
		err = w.out.write(endBlock, text)
	}
	return w.counts, err
}

// Write writes a full backup of one consistent state.
func Write(ctx context.Context, w io.Writer, h Header, s store.Snapshot) (Counts, error) {
	b, err := NewWriter(w, h)
	if err != nil {
		return Counts{}, err
	}
	if err := each(ctx, s, b.Put); err != nil {
		return b.counts, err
	}
	return b.Close()
}

// each calls fn for every record of a state, in order of key.
func each(ctx context.Context, s store.Snapshot, fn func(Record) error) error {
	key := make([]byte, 0, 128)
	for _, kind := range store.Kinds() {
		var failed error
		err := s.Scan(store.ID{Kind: kind}, false, func(id store.ID, value []byte) error {
			if failed = ctx.Err(); failed == nil {
				if value == nil {
					value = []byte{}
				}
				key = id.Append(key[:0])
				failed = fn(Record{string(key), value})
			}
			if failed != nil {
				return store.ErrStop
			}
			return nil
		})
		if err = errors.Join(failed, err); err != nil {
			return err
		}
	}
	return nil
}
