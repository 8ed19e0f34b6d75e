package badger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/farebox-dev/farebox/meter/store"
)

// feedSize is how many bytes of batches are kept in memory for followers. It is a
// variable for tests.
var feedSize int64 = 64 << 20

// feed keeps the newest batches while somebody follows the store.
type feed struct {
	active atomic.Bool // there are followers

	mu        sync.Mutex
	followers int
	batches   []published
	bytes     int64
	more      chan struct{} // closed when there is a new batch
}

type published struct {
	seq    uint64
	writes []byte // as decodeWrites reads them
}

// Follow implements store.Feed.
func (s *Store) Follow(ctx context.Context, begin func(store.Snapshot) error, next func(seq uint64, changes []store.Change) error) error {
	f := &s.feed
	f.join()
	defer f.leave()
	var seen uint64
	err := s.viewAt(func(seq uint64, v store.Snapshot) error {
		seen = seq
		return begin(v)
	})
	for err == nil {
		var some []published
		if some, err = f.after(ctx, seen); err != nil {
			break
		}
		for _, b := range some {
			changes, err := b.changes()
			if err != nil {
				return err
			}
			if err := next(b.seq, changes); err != nil {
				return err
			}
			seen = b.seq
		}
	}
	return err
}

func (f *feed) join() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers++; f.followers == 1 {
		f.more = make(chan struct{})
		f.active.Store(true)
	}
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers--; f.followers == 0 {
		f.active.Store(false)
		f.batches, f.bytes = nil, 0
	}
}

// publish keeps a batch that is durable. writes does not change any more.
func (f *feed) publish(seq uint64, writes []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers == 0 {
		return
	}
	f.batches = append(f.batches, published{seq, writes})
	f.bytes += int64(len(writes))
	for f.bytes > feedSize && len(f.batches) > 1 {
		f.bytes -= int64(len(f.batches[0].writes))
		f.batches = f.batches[1:]
	}
	close(f.more)
	f.more = make(chan struct{})
}

// after waits for batches after one, and returns those that are there.
func (f *feed) after(ctx context.Context, seen uint64) ([]published, error) {
	for {
		f.mu.Lock()
		some, more := f.batches, f.more
		f.mu.Unlock()
		for len(some) > 0 && some[0].seq <= seen {
			some = some[1:]
		}
		if len(some) > 0 {
			if some[0].seq != seen+1 {
				return nil, fmt.Errorf("%w: it has batch %d, and the oldest one that is kept is %d", store.ErrTooSlow, seen, some[0].seq)
			}
			return some, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-more:
		}
	}
}

// changes are those of a batch, in order.
func (b published) changes() ([]store.Change, error) {
	writes, err := decodeWrites(b.writes)
	if err != nil {
		return nil, fmt.Errorf("%w: batch %d", ErrDamaged, b.seq)
	}
	list := make([]store.Change, 0, len(writes))
	for _, w := range writes {
		id, ok := store.ParseID(w.key)
		if !ok {
			return nil, errors.New("a batch has a key that is none")
		}
		list = append(list, store.Change{ID: id, Value: w.value, Deleted: w.value == nil})
	}
	return list, nil
}
