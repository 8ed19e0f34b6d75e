// Package ownership knows which account got which id from an upstream: of a file,
// a batch, a response, a job. Upstreams see one caller, the gateway, and would
// show every account everything, so a request may name only what its account has
// got. In a path an unknown id is refused like one of another account; in a body
// or a query it passes by default, see Request.UnknownIDs.
//
// A record is a few bytes. It is kept for as long as resource.Retention says after
// the id was last used.
package ownership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

const (
	// maxName is the longest name of a record, in bytes. Longer ids have no owner.
	maxName = 504
	// touchEvery is how old the time in a record may become before a use renews it.
	touchEvery = 24 * time.Hour
)

// Owners are the records of a ledger's store. Its methods are safe for
// concurrent use.
type Owners struct {
	writer  *writer.Writer
	now     func() time.Time
	problem func(error)

	mu      sync.Mutex
	pending map[string]string // name → account, on the way to the disk: already in force
	sweeper *time.Timer
	closed  bool
}

// New keeps records in the store of a writer. problem gets what fails in the
// background.
func New(w *writer.Writer, now func() time.Time, problem func(error)) *Owners {
	return &Owners{writer: w, now: now, problem: problem, pending: map[string]string{}}
}

func key(name string) store.ID {
	return store.ID{Kind: store.UpstreamID, Name: name}
}

// record is who owns an id, and when they last used it. Those of the earliest
// versions have no time and are kept.
type record struct {
	Account string    `json:"account"`
	Used    time.Time `json:"used,omitzero"`
}

func decode(v []byte) (r record, err error) {
	if err = json.Unmarshal(v, &r); err != nil {
		err = fmt.Errorf("reading the owner of an id: %w", err)
	}
	return r, err
}

// Claim records that an account got these names. It is in force at once; done is
// closed when it is durable, or has failed. A name that belongs to another
// account stays with it.
func (o *Owners) Claim(account string, names []string) (done <-chan struct{}) {
	finished := make(chan struct{})
	fresh := o.addPending(account, names)
	if len(fresh) == 0 {
		close(finished)
		return finished
	}
	o.writer.GoUpdate(func(tx store.Tx) error { return o.ClaimIn(tx, account, fresh) }, func(err error) {
		o.removePending(fresh)
		close(finished)
		o.report(err, "recording the owner of %d ids of account %s", len(fresh), account)
	})
	return finished
}

func (o *Owners) addPending(account string, names []string) (fresh []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range names {
		if _, ok := o.pending[n]; !ok && len(n) <= maxName {
			o.pending[n] = account
			fresh = append(fresh, n)
		}
	}
	return fresh
}

func (o *Owners) removePending(names []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range names {
		delete(o.pending, n)
	}
}

// report passes an error on, unless the writer was only closed.
func (o *Owners) report(err error, format string, args ...any) {
	if err != nil && !errors.Is(err, writer.ErrClosed) {
		o.problem(fmt.Errorf(format+": %w", append(args, err)...))
	}
}

// ClaimIn is Claim within a commit of the caller.
func (o *Owners) ClaimIn(tx store.Tx, account string, names []string) error {
	now := o.now()
	for _, n := range names {
		v, err := tx.Get(key(n))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			have, err := decode(v)
			if err != nil {
				return err
			}
			if have.Account != account || now.Sub(have.Used) < touchEvery {
				continue
			}
		}
		raw, err := json.Marshal(record{account, now})
		if err != nil {
			return err
		}
		if err := tx.Put(key(n), raw); err != nil {
			return err
		}
	}
	return nil
}

// Release deletes the records of ids that their upstream has deleted.
func (o *Owners) Release(names []string) {
	o.writer.GoUpdate(func(tx store.Tx) error {
		for _, n := range names {
			if err := tx.Delete(key(n)); err != nil {
				return err
			}
		}
		return nil
	}, func(err error) { o.report(err, "deleting the records of ids that were deleted") })
}

// Owner is the account that an id belongs to, "" if none is known. It may be
// recorded under any of names. Asking renews the record.
func (o *Owners) Owner(ctx context.Context, names []string) (owner string, err error) {
	if owner = o.pendingOwner(names); owner != "" {
		return owner, nil
	}
	var stale []string
	err = o.writer.View(ctx, func(s store.Snapshot) error {
		for _, n := range names {
			v, err := s.Get(key(n))
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			r, err := decode(v)
			if err != nil {
				return err
			}
			if owner = r.Account; o.now().Sub(r.Used) >= touchEvery {
				stale = append(stale, n)
			}
		}
		return nil
	})
	if err == nil && len(stale) > 0 {
		o.Claim(owner, stale)
	}
	return owner, err
}

func (o *Owners) pendingOwner(names []string) (owner string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range names {
		if a, ok := o.pending[n]; ok {
			owner = a
		}
	}
	return owner
}
