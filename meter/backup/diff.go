package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Diff writes what changed from one state to another, as an incremental backup.
// Both sources are read to their ends.
func Diff(w io.Writer, h Header, from, to Source) (Counts, error) {
	if h.Base == "" {
		return Counts{}, errors.New("an incremental backup must name its base")
	}
	b, err := NewWriter(w, h)
	if err != nil {
		return Counts{}, err
	}
	old, err := ahead(from)
	for err == nil && !old.ended {
		next := Record{}
		if next, err = to.Next(); errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = b.change(old, next)
		}
	}
	for err == nil { // only to has more
		next := Record{}
		if next, err = to.Next(); err == nil {
			err = b.Put(next)
		}
	}
	if !errors.Is(err, io.EOF) {
		return b.counts, err
	}
	for err = nil; err == nil && !old.ended; err = old.step() { // only from has more
		if err := b.Put(Record{Key: old.Key}); err != nil {
			return b.counts, err
		}
	}
	if err != nil {
		return b.counts, err
	}
	return b.Close()
}

// change writes what becomes of the old records up to next, and next, unless it is as it was.
func (w *Writer) change(old *lookahead, next Record) error {
	for !old.ended && old.Key < next.Key {
		if err := w.Put(Record{Key: old.Key}); err != nil {
			return err
		}
		if err := old.step(); err != nil {
			return err
		}
	}
	if old.ended || old.Key != next.Key {
		return w.Put(next)
	}
	same := bytes.Equal(old.Value, next.Value)
	if err := old.step(); err != nil || same {
		return err
	}
	return w.Put(next)
}

// lookahead is a source whose next record can be looked at.
type lookahead struct {
	Record
	from  Source
	ended bool
}

func ahead(from Source) (*lookahead, error) {
	l := &lookahead{from: from}
	return l, l.step()
}

func (l *lookahead) step() (err error) {
	l.Record, err = l.from.Next()
	if errors.Is(err, io.EOF) {
		l.ended, err = true, nil
	}
	return err
}

// Chain is the state after a full backup and the increments that follow it. It
// returns io.EOF only after all of them were read to their end marks.
type Chain struct {
	parts []*lookahead // newest last
}

// NewChain checks that each backup continues the one before it.
func NewChain(list []*Reader) (*Chain, error) {
	c := &Chain{}
	for i, r := range list {
		switch {
		case i == 0 && r.Base != "":
			return nil, fmt.Errorf("backup %s is an increment of %s, which is missing", r.ID, r.Base)
		case i > 0 && r.Base != list[i-1].ID:
			return nil, fmt.Errorf("backup %s is an increment of %s, not of %s", r.ID, r.Base, list[i-1].ID)
		}
		l, err := ahead(r)
		if err != nil {
			return nil, fmt.Errorf("backup %s: %w", r.ID, err)
		}
		c.parts = append(c.parts, l)
	}
	return c, nil
}

// Next implements Source: of each key the newest record.
func (c *Chain) Next() (Record, error) {
	for {
		least := -1
		for i, p := range c.parts {
			if !p.ended && (least < 0 || p.Key <= c.parts[least].Key) {
				least = i
			}
		}
		if least < 0 {
			return Record{}, io.EOF
		}
		rec := Record{c.parts[least].Key, bytes.Clone(c.parts[least].Value)}
		for _, p := range c.parts {
			for !p.ended && p.Key == rec.Key {
				if err := p.step(); err != nil {
					return Record{}, err
				}
			}
		}
		if rec.Value != nil {
			return rec, nil
		}
	}
}
