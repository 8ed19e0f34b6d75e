package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// Store is a store that another process has open. It is safe for concurrent use; there
// are as many updates and views at a time as it has connections.
type Store struct {
	free chan *conn
	once sync.Once
	all  []*conn
	done chan struct{}
}

// New is the store at the other end of the connections.
func New(conns ...net.Conn) *Store {
	s := &Store{free: make(chan *conn, len(conns)), done: make(chan struct{})}
	for _, c := range conns {
		x := newConn(c)
		s.all = append(s.all, x)
		s.free <- x
	}
	return s
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	return s.UpdateAhead(ctx, &store.Ahead{Locks: accounts}, func(tx store.SharedTx) error { return fn(tx) })
}

// UpdateAhead implements store.Shared. It reads nothing ahead: a round trip is short.
// The other process does not give the ledger to anybody else until fn returns.
func (s *Store) UpdateAhead(ctx context.Context, a *store.Ahead, fn func(store.SharedTx) error) error {
	return s.with(ctx, &request{Verb: beginUpdate, Locks: a.Locks}, func(t *tx) error {
		if err := errors.Join(fn(t), t.broken); err != nil {
			return errors.Join(err, t.send(&request{Verb: leave}))
		}
		_, err := t.ask(&request{Verb: commit})
		return err
	})
}

// Versions implements store.Shared.
func (s *Store) Versions(ctx context.Context) (v map[store.Kind]uint64, err error) {
	err = s.with(ctx, &request{Verb: versions}, func(t *tx) error {
		v = t.first.Versions
		return nil
	})
	return v, err
}

// View implements store.Store.
func (s *Store) View(ctx context.Context, fn func(store.Snapshot) error) error {
	return s.with(ctx, &request{Verb: beginView}, func(t *tx) error {
		return errors.Join(fn(t), t.send(&request{Verb: leave}))
	})
}

// Close implements store.Store.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		for _, c := range s.all {
			err = errors.Join(err, c.Close())
		}
	})
	return err
}

// with begins an update or a view on a free connection. A connection that failed is
// not used again.
func (s *Store) with(ctx context.Context, begin *request, fn func(*tx) error) error {
	var c *conn
	select {
	case c = <-s.free:
	case <-s.done:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t := &tx{conn: c}
	var err error
	if t.first, err = t.ask(begin); err == nil {
		err = fn(t)
	}
	if t.broken == nil {
		s.free <- c
		return err
	}
	s.drop(c)
	return fmt.Errorf("%w: %w", errEnded, t.broken)
}

// errEnded: a commit that was under way may have happened.
var errEnded = fmt.Errorf("the process that has the ledger open has ended or hangs: %w", store.ErrAgain)

// drop closes a connection that failed. If one fails, the other process has ended, or
// hangs: the others would fail, too.
func (s *Store) drop(c *conn) {
	_ = c.Close()
	_ = s.Close()
}

// tx is an update or a view.
type tx struct {
	*conn
	first  *response // to its begin
	broken error     // the connection failed
}

// Now implements store.SharedTx.
func (t *tx) Now() time.Time { return t.first.Now }

func (t *tx) send(r *request) error {
	if t.broken == nil {
		if t.broken = t.SetDeadline(time.Now().Add(2 * patience)); t.broken == nil {
			t.broken = t.out.Encode(r)
		}
	}
	return t.broken
}

func (t *tx) ask(r *request) (*response, error) {
	if err := t.send(r); err != nil {
		return nil, err
	}
	a := &response{}
	if t.broken = t.in.Decode(a); t.broken != nil {
		return nil, t.broken
	}
	return a, a.Failure.err()
}

// Get implements store.Snapshot.
func (t *tx) Get(id store.ID) ([]byte, error) {
	a, err := t.ask(&request{Verb: get, ID: id})
	if err != nil {
		return nil, err
	}
	return a.Records[0].Value, nil
}

// Scan implements store.Snapshot.
func (t *tx) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	return t.scan(&request{Verb: scan, ID: from, Only: only}, fn)
}

// ScanBack implements store.Snapshot.
func (t *tx) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	return t.scan(&request{Verb: scanBack, ID: from}, fn)
}

func (t *tx) scan(r *request, fn func(store.ID, []byte) error) error {
	for {
		a, err := t.ask(r)
		if err != nil {
			return err
		}
		for _, x := range a.Records {
			if err := fn(x.ID, x.Value); err != nil {
				if errors.Is(err, store.ErrStop) {
					return nil
				}
				return err
			}
		}
		if !a.More {
			return nil
		}
		last := a.Records[len(a.Records)-1].ID
		if r.Verb == scanBack && last.Name == "" { // to go on before it would begin again
			return nil
		}
		r.ID, r.Behind = last, true
	}
}

// Put implements store.Tx.
func (t *tx) Put(id store.ID, value []byte) error {
	return t.send(&request{Verb: put, ID: id, Value: value})
}

// Delete implements store.Tx.
func (t *tx) Delete(id store.ID) error { return t.send(&request{Verb: remove, ID: id}) }

var _ store.Shared = (*Store)(nil)
