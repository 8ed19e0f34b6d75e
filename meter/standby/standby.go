// Package standby keeps a copy of a ledger that follows it: another process, on
// another machine, gets every update some moments after it is durable. When the first
// machine is lost, the copy becomes the ledger.
//
// What is sent is a snapshot and then every update, as messages of encoding/gob. While
// nothing happens, a beat each second says that the connection works.
package standby

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// beat is how often the sender says that it is there. Three missing ones end a
// connection.
const beat = time.Second

// message is a part of the snapshot, the end of it, an update, or a beat.
type message struct {
	Kind    kind
	Seq     uint64 // of an update
	Changes []store.Change
	Count   int64     // of records, at the end of the snapshot
	At      time.Time // when it was sent
}

type kind uint8

const (
	part kind = iota + 1
	end
	update
	pulse
)

// Send writes a ledger and every later update of it to w, until ctx ends or w fails.
// flush is called after each message.
func Send(ctx context.Context, w io.Writer, flush func() error, feed store.Feed) error {
	s := &sender{out: gob.NewEncoder(w), flush: flush}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go s.beats(ctx, cancel)
	err := feed.Follow(ctx, s.snapshot, func(seq uint64, changes []store.Change) error {
		return s.send(&message{Kind: update, Seq: seq, Changes: changes})
	})
	return err
}

type sender struct {
	mu    sync.Mutex
	out   *gob.Encoder
	flush func() error
}

func (s *sender) send(m *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.At = time.Now()
	if err := s.out.Encode(m); err != nil {
		return err
	}
	return s.flush()
}

func (s *sender) beats(ctx context.Context, failed context.CancelCauseFunc) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.send(&message{Kind: pulse}); err != nil {
				failed(err)
				return
			}
		}
	}
}

// partSize is about how many bytes of the snapshot one message has.
const partSize = 1 << 20

func (s *sender) snapshot(v store.Snapshot) error {
	m, size, count := &message{Kind: part}, 0, int64(0)
	for _, k := range store.Kinds() {
		err := v.Scan(store.ID{Kind: k}, false, func(id store.ID, value []byte) error {
			m.Changes = append(m.Changes, store.Change{ID: id, Value: append([]byte{}, value...)})
			count++
			if size += id.Len() + len(value); size < partSize {
				return nil
			}
			err := s.send(m)
			m, size = &message{Kind: part}, 0
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := s.send(m); err != nil {
		return err
	}
	return s.send(&message{Kind: end, Count: count})
}

// Progress is how far a copy is.
type Progress struct {
	Whole   bool      // it has the snapshot
	Records int64     // of the snapshot
	Updates int64     // since then
	At      time.Time // by the clock of the first machine: everything until then is here
}

// ErrCut: the connection ended before the copy was whole.
var ErrCut = errors.New("the connection ended before the copy was whole")

// Receive writes what Send sends into s, which is empty, until the connection ends. When
// the snapshot is in s, it calls whole, and goes on with the store that whole returns.
// Each update is durable, as a whole, before the next one is read. progress is called
// after each message.
func Receive(ctx context.Context, r io.Reader, s store.Store, whole func() (store.Store, error), progress func(Progress)) error {
	in, p := gob.NewDecoder(r), Progress{}
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			if !p.Whole {
				err = fmt.Errorf("%w: %w", ErrCut, err)
			}
			return err
		}
		switch m.Kind {
		case part, update:
			if m.Kind == part {
				p.Records += int64(len(m.Changes))
			} else {
				p.Updates++
			}
			if err := write(ctx, s, m.Changes); err != nil {
				return err
			}
		case end:
			if p.Records != m.Count {
				return fmt.Errorf("%w: %d records of %d", ErrCut, p.Records, m.Count)
			}
			var err error
			if s, err = whole(); err != nil {
				return err
			}
			p.Whole = true
		case pulse:
		}
		p.At = m.At
		progress(p)
	}
}

// write does the changes of one message in one update.
func write(ctx context.Context, s store.Store, changes []store.Change) error {
	return s.Update(ctx, nil, func(tx store.Tx) error {
		for _, c := range changes {
			var err error
			if c.Deleted {
				err = tx.Delete(c.ID)
			} else {
				err = tx.Put(c.ID, c.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
