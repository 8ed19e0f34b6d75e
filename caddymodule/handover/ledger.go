package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/remote"
)

// Ledger is a ledger that a process has open, and can share with another one.
type Ledger struct {
	Address string
	// Store is nil if the ledger is in a database, which processes share anyway.
	Store *remote.Switch
	// Open opens the store of the ledger on this machine.
	Open  func() (store.Store, error)
	Peers Peers

	before atomic.Bool // the process that this one replaced has not ended
}

// Peers are the processes that share the ledger, as the writer sees them.
type Peers interface {
	// Share goes on with a store that others write to, too.
	Share(ctx context.Context, s store.Shared) error
	// Resign leaves to others what has to be done once.
	Resign(ctx context.Context) error
	// Own goes on with the store as this process's alone. What others have left behind
	// is resolved.
	Own(ctx context.Context) error
}

// Replaced says what replaced this process.
type Replaced struct {
	PID    int
	Closed time.Duration // for how long the ledger was open in neither process
	Exited <-chan struct{}

	by *Successor // its sockets stay open until this process ends
}

// Replace starts a successor and gives it the ledger. If that fails, the ledger is here
// as before.
func (l *Ledger) Replace(ctx context.Context) (r Replaced, err error) {
	if l.before.Load() {
		return r, errors.New("the process that this one replaced has not ended: it still has requests. Try again when they have ended, or end it")
	}
	s, err := Start()
	if err != nil {
		return r, err
	}
	gave, err := s.Await(ctx, func(address string) error { return l.give(ctx, address, s) })
	if err == nil {
		return Replaced{PID: s.PID, Closed: s.closed, Exited: s.Exited(), by: s}, nil
	}
	if gave {
		err = errors.Join(err, l.Recover())
	}
	return r, errors.Join(err, s.Close())
}

// idleFor is how long no request must have run before a process that was replaced stops
// to listen. A client that sends a request on a connection that is closed at that moment
// gets an error. So the process serves each connection once more, and says in its answer
// that it is closed.
const idleFor = 2 * time.Second

// Retire ends this process, which was replaced, when its requests have ended. New
// connections are the successor's from now on. running is how many requests run. Where
// the system gives new connections to both, this process stops to listen after a moment,
// and ends when Caddy's grace period is over at the latest.
func (l *Ledger) Retire(r Replaced, running func() int64) error {
	steered := Steer()
	tellSystemd(r.PID)
	ctx, cancel := context.WithTimeout(context.Background(), idleFor)
	defer cancel()
	err := l.Peers.Resign(ctx)
	exited, idle := r.Exited, idleFor
	for busy, since := true, time.Now(); busy || time.Since(since) < idle; {
		select {
		case <-exited:
			if err = errors.Join(err, l.Recover()); err != nil || r.by.failed() {
				return errors.Join(err, errors.New("the new process ended; this one serves again"))
			}
			exited, idle = nil, 0 // it was stopped, so this one ends, too
		case <-time.After(idleFor / 40):
		}
		if busy = running() > 0 && (steered || idle == 0); busy {
			since = time.Now()
		}
	}
	this, findErr := os.FindProcess(os.Getpid())
	if findErr == nil {
		findErr = this.Signal(syscall.SIGTERM)
	}
	return errors.Join(err, findErr)
}

// Recover opens the ledger here again, if it was in a directory that a successor had
// when it ended.
func (l *Ledger) Recover() error {
	if l.Store == nil {
		return nil
	}
	return l.takeBack()
}

// give closes the store here and goes on with that of the successor, which is there
// as soon as it serves it.
func (l *Ledger) give(ctx context.Context, address string, s *Successor) error {
	if address != l.Address {
		return fmt.Errorf("an upgrade cannot change the ledger: %s is in use, and the new process opens %s. Set store back, or stop the gateway and start it with the new configuration", l.Address, address)
	}
	if l.Store == nil {
		return nil
	}
	var here store.Store
	err := l.Store.Swap(ctx, func(now store.Store) (store.Store, error) {
		here = now
		return remote.Share(now, time.Now), nil
	})
	if err != nil {
		return err
	}
	if err := l.Peers.Share(ctx, l.Store.Shared()); err != nil {
		return errors.Join(err, l.keep(here))
	}
	err = l.Store.Swap(ctx, func(store.Store) (store.Store, error) {
		s.began = time.Now()
		if err := here.Close(); err != nil {
			return nil, fmt.Errorf("closing the ledger: %w", err)
		}
		return remote.New(s.Sessions...), nil
	})
	if err != nil {
		return errors.Join(err, l.keep(here))
	}
	return nil
}

// takeBackWithin bounds how long it may take until a process that was ended has left the
// ledger.
const takeBackWithin = 5 * time.Second

// takeBack opens the ledger here again, after the successor has ended.
func (l *Ledger) takeBack() error {
	var s store.Store
	var err error
	for began := time.Now(); time.Since(began) < takeBackWithin; time.Sleep(20 * time.Millisecond) {
		if s, err = l.Open(); err == nil {
			return l.keep(s)
		}
	}
	return fmt.Errorf("opening the ledger here again: %w", err)
}

// keep goes on with a store that no other process has.
func (l *Ledger) keep(s store.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), takeBackWithin)
	defer cancel()
	if err := l.Store.Swap(ctx, func(store.Store) (store.Store, error) { return s, nil }); err != nil {
		return err
	}
	return l.Peers.Own(ctx)
}

// Inherit shares the ledger with the predecessor, which gave it, until that has ended.
// then is called when it has.
func (l *Ledger) Inherit(ctx context.Context, p *Predecessor, then func(error)) error {
	l.before.Store(true)
	if l.Store == nil {
		p.Serve(ctx, nil, func() {
			l.before.Store(false)
			then(nil)
		})
		return nil
	}
	var shared *remote.Local
	err := l.Store.Swap(ctx, func(now store.Store) (store.Store, error) {
		shared = remote.Share(now, time.Now)
		return shared, nil
	})
	if err != nil {
		return err
	}
	if err := l.Peers.Share(ctx, l.Store.Shared()); err != nil {
		return err
	}
	p.Serve(ctx, shared, func() {
		err := l.keep(shared.Store)
		l.before.Store(false)
		then(err)
	})
	return nil
}
