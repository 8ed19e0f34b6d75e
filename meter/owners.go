package meter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// An id that an upstream hands out belongs to the account that got it from an
// answer. Upstreams see one caller, the gateway, and would show every account
// everything. In a path an unknown id is refused like one of another account. In
// a body or a query it passes by default; see Request.UnknownIDs.
//
// A record is a few bytes, kept for as long as resource.Retention says after it was
// last asked for.

// maxOwnedID is the longest id that is kept, in bytes.
const maxOwnedID = 500

// touchEvery is how old the time in a record may become before a use renews it.
const touchEvery = 24 * time.Hour

// owners are the records that are on their way to the disk: who got an id may
// ask for it before it is there.
type owners struct {
	mu      sync.Mutex
	pending map[string]string // name → account
	sweeper *time.Timer
	closed  bool
}

func ownerKey(name string) store.ID {
	return store.ID{Kind: store.Owned, Account: ownersRoom, Name: name}
}

// ownerRecord is an account and when it last used the id; records of earlier
// versions have no time.
func ownerRecord(account string, used time.Time) []byte {
	return append(strconv.AppendInt(append([]byte(account), 0), used.Unix(), 10), '\n')
}

func readOwner(v []byte) (account string, used time.Time) {
	account, at, ok := strings.Cut(string(v), "\x00")
	if n, err := strconv.ParseInt(strings.TrimSuffix(at, "\n"), 10, 64); ok && err == nil {
		used = time.Unix(n, 0)
	}
	return account, used
}

// kindOf is the kind of a record's name; that of a job of the price file is its operation.
func kindOf(name string) string {
	kind, _, _ := strings.Cut(name, "\x00")
	return kind
}

// own notes that an account got these ids, at once for whoever asks; kept is
// closed when that is durable, or has failed. One that belongs to another
// account stays with it.
func (m *Meter) own(account string, names []string) (kept <-chan struct{}) {
	done := make(chan struct{})
	var fresh []string
	m.owners.mu.Lock()
	for _, n := range names {
		if len(n) > maxOwnedID {
			continue
		}
		if _, ok := m.owners.pending[n]; !ok {
			m.owners.pending[n] = account
			fresh = append(fresh, n)
		}
	}
	m.owners.mu.Unlock()
	if len(fresh) == 0 {
		close(done)
		return done
	}
	now := m.opt.Now()
	m.writer.GoUpdate(func(tx store.Tx) error {
		for _, n := range fresh {
			if err := putOwner(tx, n, account, now); err != nil {
				return err
			}
		}
		return nil
	}, func(err error) {
		m.owners.mu.Lock()
		for _, n := range fresh {
			delete(m.owners.pending, n)
		}
		m.owners.mu.Unlock()
		close(done)
		if err != nil && !errors.Is(err, writer.ErrClosed) {
			m.opt.Problem(fmt.Errorf("keeping whose %d ids of account %s are: %w", len(fresh), account, err))
		}
	})
	return done
}

func putOwner(tx store.Tx, name, account string, now time.Time) error {
	v, err := tx.Get(ownerKey(name))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil {
		if owner, used := readOwner(v); owner != account || now.Sub(used) < touchEvery {
			return nil
		}
	}
	return tx.Put(ownerKey(name), ownerRecord(account, now))
}

// ownerOf is the account that an id belongs to, "" if none is known. names are
// what the id is kept under, whichever of them it is.
func (m *Meter) ownerOf(ctx context.Context, names []string) (owner string, err error) {
	m.owners.mu.Lock()
	for _, n := range names {
		if a, ok := m.owners.pending[n]; ok {
			owner = a
		}
	}
	m.owners.mu.Unlock()
	if owner != "" {
		return owner, nil
	}
	var stale []string
	err = m.writer.View(ctx, func(s store.Snapshot) error {
		for _, n := range names {
			v, err := s.Get(ownerKey(n))
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			account, used := readOwner(v)
			if owner = account; m.opt.Now().Sub(used) >= touchEvery {
				stale = append(stale, n)
			}
		}
		return nil
	})
	if err == nil && len(stale) > 0 {
		m.own(owner, stale)
	}
	return owner, err
}

// disown forgets ids that their upstream has deleted.
func (m *Meter) disown(names []string) {
	m.writer.GoUpdate(func(tx store.Tx) error {
		for _, n := range names {
			if err := tx.Delete(ownerKey(n)); err != nil {
				return err
			}
		}
		return nil
	}, func(err error) {
		if err != nil && !errors.Is(err, writer.ErrClosed) {
			m.opt.Problem(fmt.Errorf("forgetting ids that were deleted: %w", err))
		}
	})
}

// Sweeping.
const (
	sweepOwnersEvery  = 6 * time.Hour
	sweepOwnersAtOnce = 500
)

func (m *Meter) startSweeping() {
	m.owners.mu.Lock()
	defer m.owners.mu.Unlock()
	m.owners.sweeper = time.AfterFunc(time.Minute, func() {
		if err := m.sweepOwners(context.Background()); err != nil && !errors.Is(err, writer.ErrClosed) {
			m.opt.Problem(fmt.Errorf("deleting records of unused ids: %w", err))
		}
		m.owners.mu.Lock()
		defer m.owners.mu.Unlock()
		if !m.owners.closed {
			m.owners.sweeper.Reset(sweepOwnersEvery)
		}
	})
}

func (m *Meter) stopSweeping() {
	m.owners.mu.Lock()
	defer m.owners.mu.Unlock()
	m.owners.closed = true
	if m.owners.sweeper != nil {
		m.owners.sweeper.Stop()
	}
}

// sweepOwners deletes records that have not been used for a long time.
func (m *Meter) sweepOwners(ctx context.Context) error {
	now := m.opt.Now()
	old := func(name string, v []byte) bool {
		_, used := readOwner(v)
		return !used.IsZero() && now.Sub(used) > resource.Retention(kindOf(name))
	}
	for from := ""; ; {
		var names []string
		err := m.writer.View(ctx, func(s store.Snapshot) error {
			return s.Scan(store.ID{Kind: store.Owned, Account: ownersRoom, Name: from}, true, func(id store.ID, v []byte) error {
				if old(id.Name, v) {
					names = append(names, id.Name)
				}
				if len(names) == sweepOwnersAtOnce {
					return store.ErrStop
				}
				return nil
			})
		})
		if err != nil || len(names) == 0 {
			return err
		}
		from = names[len(names)-1]
		if err := m.writer.Update(ctx, func(tx store.Tx) error {
			for _, n := range names {
				v, err := tx.Get(ownerKey(n))
				if errors.Is(err, store.ErrNotFound) || err == nil && !old(n, v) { // somebody has asked meanwhile
					continue
				}
				if err = errors.Join(err, tx.Delete(ownerKey(n))); err != nil {
					return err
				}
			}
			return nil
		}); err != nil || len(names) < sweepOwnersAtOnce {
			return err
		}
	}
}
