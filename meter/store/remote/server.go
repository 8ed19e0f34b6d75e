package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// errLeft ends an update that the other side does not commit.
var errLeft = errors.New("left")

// Serve gives the other end of a connection a store, until it closes the connection.
func Serve(ctx context.Context, c net.Conn, s store.Shared) error {
	x := &session{conn: newConn(c), store: s}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer c.Close() //nolint:errcheck // it has ended
	for {
		var r request
		if err := x.in.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if err := x.serve(ctx, &r); err != nil {
			return err
		}
	}
}

type session struct {
	*conn
	store store.Shared
}

// serve does one update or view.
func (x *session) serve(ctx context.Context, begin *request) error {
	switch begin.Verb {
	case beginUpdate:
		return x.update(ctx, begin.Locks)
	case versions:
		v, err := x.store.Versions(ctx)
		return x.out.Encode(&response{Versions: v, Failure: failed(err)})
	case beginView:
		left := false
		err := x.store.View(ctx, func(s store.Snapshot) error {
			if err := x.out.Encode(&response{}); err != nil {
				return err
			}
			err := x.reads(readOnly{s})
			left = errors.Is(err, errLeft)
			return err
		})
		if left {
			return nil
		}
		return err
	}
	return fmt.Errorf("message %d without a begin", begin.Verb)
}

// update runs an update of the other side. It is open only as long as the other side
// keeps talking.
func (x *session) update(ctx context.Context, locks []string) error {
	var broken error
	err := x.store.UpdateAhead(ctx, &store.Ahead{Locks: locks}, func(tx store.SharedTx) error {
		if broken = x.out.Encode(&response{Now: tx.Now()}); broken != nil {
			return broken
		}
		err := x.reads(tx)
		if err != nil && !errors.Is(err, errLeft) {
			broken = err
		}
		return err
	})
	switch {
	case broken != nil:
		return broken
	case errors.Is(err, errLeft):
		return nil
	}
	return x.out.Encode(&response{Failure: failed(err)})
}

// reads does what the other side asks for until it commits, which is nil, or leaves.
func (x *session) reads(tx store.Tx) error {
	defer x.SetReadDeadline(time.Time{}) //nolint:errcheck // a connection that is closed says so when it is read
	for {
		if err := x.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		var r request
		if err := x.in.Decode(&r); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("the other process has sent no message within %s", patience)
			}
			return err
		}
		switch r.Verb {
		case commit:
			return nil
		case leave:
			return errLeft
		case put:
			if err := tx.Put(r.ID, r.Value); err != nil {
				return err
			}
		case remove:
			if err := tx.Delete(r.ID); err != nil {
				return err
			}
		default:
			if err := x.out.Encode(answer(tx, &r)); err != nil {
				return err
			}
		}
	}
}

// answer reads one record, or the next part of a scan.
func answer(s store.Snapshot, r *request) *response {
	a := &response{}
	add := func(id store.ID, value []byte) error {
		if r.Behind && id == r.ID {
			return nil
		}
		if len(a.Records) == chunk {
			a.More = true
			return store.ErrStop
		}
		a.Records = append(a.Records, record{id, append([]byte{}, value...)})
		return nil
	}
	var err error
	switch r.Verb {
	case get:
		var value []byte
		if value, err = s.Get(r.ID); err == nil {
			err = add(r.ID, value)
		}
	case scan:
		err = s.Scan(r.ID, r.Only, add)
	case scanBack:
		err = s.ScanBack(r.ID, add)
	default:
		err = fmt.Errorf("unknown message %d", r.Verb)
	}
	a.Failure = failed(err)
	return a
}

// readOnly is a Tx that refuses to write.
type readOnly struct{ store.Snapshot }

func (readOnly) Put(store.ID, []byte) error { return errors.New("a view cannot write") }
func (readOnly) Delete(store.ID) error      { return errors.New("a view cannot write") }
