// Package upkeep keeps a ledger small: entries and charges that are old enough leave
// it, and the store becomes smaller.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Retention says which entries and charges leave.
type Retention struct {
	// Keep is how long they stay at least: those of an account leave together, at most a
	// sixteenth of it later. 0: for as long as the ledger exists.
	Keep time.Duration
	// Export is a directory: what leaves is in a file there, whole, before anything
	// leaves. "": it is deleted.
	Export string
	// Decimals are those of the credit, for amounts in the export.
	Decimals int
}

// MinKeep is the shortest retention: results under idempotency keys, late ends of
// requests and billing periods that just closed need what is younger.
const MinKeep = 48 * time.Hour

// Upkeep works on one ledger.
type Upkeep struct {
	writer *writer.Writer
	store  store.Store
	one    sync.Mutex // one run at a time

	mu        sync.Mutex // guards all below
	retention Retention
	last      time.Time
}

// New is the upkeep of a ledger.
func New(w *writer.Writer, s store.Store) *Upkeep {
	return &Upkeep{writer: w, store: s, last: time.Now()}
}

// Done is what a run did.
type Done struct {
	Before   time.Time // entries and charges from before have left
	Accounts int       // of which some left
	Entries  int
	Charges  int
	File     string   // the export; "" if nothing left, or none was wanted
	Problems []string // accounts whose journal does not verify: nothing of theirs left

	SizeBefore, Size int64 // bytes on disk, before and after the compaction; 0: not known
}

// target is an account of which entries leave: those up to a sequence number.
type target struct {
	account ledger.AccountID
	upto    uint64
}

// Cut lets go what is older than the retention. It may be stopped anywhere, and run
// again: an account's entries and what stands for them change in one commit. Requests
// go on meanwhile.
func (u *Upkeep) Cut(ctx context.Context, r Retention) (Done, error) {
	u.one.Lock()
	defer u.one.Unlock()
	if r.Keep < MinKeep {
		return Done{}, fmt.Errorf("retention %s: write at least %s; younger charges are still needed", r.Keep, MinKeep)
	}
	d := Done{Before: u.writer.Now().Add(-r.Keep)}
	targets, err := u.plan(ctx, d.Before, r.Keep/16)
	if err != nil || len(targets) == 0 {
		return d, err
	}
	if r.Export != "" {
		if d.File, err = u.export(ctx, r, d.Before, targets); err != nil {
			return Done{}, fmt.Errorf("exporting what would leave: %w; nothing has left", err)
		}
	}
	for len(targets) > 0 && err == nil {
		targets, err = u.some(ctx, targets, &d)
	}
	return d, err
}

// plan finds the accounts of which something leaves.
func (u *Upkeep) plan(ctx context.Context, before time.Time, late time.Duration) (list []target, err error) {
	err = u.store.View(ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Account}, false, func(id store.ID, _ []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			upto, err := last(v, id.Account, before, late)
			if upto > 0 {
				list = append(list, target{ledger.AccountID(id.Account), upto})
			}
			return err
		})
	})
	return list, err
}

// last is the last entry of an account from before a time, if its first one is older
// than that by late; else 0.
func last(v store.Snapshot, account string, before time.Time, late time.Duration) (upto uint64, err error) {
	limit := before.Add(-late)
	err = v.Scan(store.ID{Kind: store.Entry, Account: account}, true, func(id store.ID, raw []byte) error {
		e, err := ledger.DecodeEntry(raw)
		if err != nil || !e.At.Before(limit) {
			return errors.Join(err, store.ErrStop)
		}
		upto, limit = e.Seq, before
		return nil
	})
	if err != nil {
		return 0, nil //nolint:nilerr // verify says what is wrong with this journal; it stays as it is
	}
	return upto, nil
}

// some lets go a part of what is to leave, in one commit, and returns the rest. Then
// it waits as long as that took, so that requests have the writer to themselves half
// of the time.
func (u *Upkeep) some(ctx context.Context, targets []target, d *Done) ([]target, error) {
	c := &cut{now: u.writer.Now(), room: atOnce}
	for len(targets) > 0 && c.room > 0 {
		s, err := survey(ctx, u.store, targets[0])
		targets = targets[1:]
		if errors.Is(err, errBroken) {
			d.Problems = append(d.Problems, err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		c.list = append(c.list, s)
		c.room -= int(min(uint64(c.room), s.upto-s.from)) //nolint:gosec // at most atOnce
	}
	for len(c.list) > 0 {
		began := time.Now()
		if err := writer.UpdateOf(ctx, u.writer, c.accounts(), c.step); err != nil {
			return nil, err
		}
		c.settle(d)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Since(began)):
		}
	}
	return targets, nil
}

// Set is the retention from now on.
func (u *Upkeep) Set(r Retention) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.retention = r
}

// Retention is the one in force; Keep is 0 if everything stays.
func (u *Upkeep) Retention() Retention {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.retention
}

// Last is when the last Run ended, or New.
func (u *Upkeep) Last() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// Run lets go what is older than the retention in force, and compacts the store: the
// whole of it after something has left, or if whole.
func (u *Upkeep) Run(ctx context.Context, whole bool) (d Done, err error) {
	if r := u.Retention(); r.Keep > 0 {
		if d, err = u.Cut(ctx, r); err != nil {
			return d, err
		}
	}
	s, ok := u.store.(store.Compacter)
	if !ok {
		return d, nil // it compacts itself
	}
	u.one.Lock()
	defer u.one.Unlock()
	if d.SizeBefore, err = s.Size(); err == nil {
		err = s.Compact(ctx, store.Compaction{Whole: whole || d.Entries > 0, Paced: true})
	}
	if err == nil {
		d.Size, err = s.Size()
	}
	u.mu.Lock()
	u.last = time.Now()
	u.mu.Unlock()
	return d, err
}

// Checkpoint is what stands for the entries of an account that have left.
func (u *Upkeep) Checkpoint(ctx context.Context, account string) (c *checkpoint.Checkpoint, err error) {
	err = u.store.View(ctx, func(v store.Snapshot) error {
		c, err = checkpoint.Read(v, ledger.AccountID(account))
		return err
	})
	return c, err
}
