package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Report is what Verify found.
type Report struct {
	Accounts, Grants, Entries, Charges, Holds int
	Problems                                  []string // the first broken entry of each account, and what follows from it
	Findings                                  []Finding
}

// Clean reports whether the books are right.
func (r *Report) Clean() bool { return len(r.Problems) == 0 }

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *Report) add(x *Report) {
	r.Accounts += x.Accounts
	r.Grants += x.Grants
	r.Entries += x.Entries
	r.Charges += x.Charges
	r.Holds += x.Holds
}

// VerifyOptions of VerifyWith. The zero value is what Verify does.
type VerifyOptions struct {
	Workers int // default 2, which leaves a running gateway time to serve
	// Progress, if set, is called now and then; never concurrently.
	Progress func(accounts, entries int)
}

// Verify recomputes every account from its journal, from zero, and compares:
// hash chain, sums, balances, open holds, charges, usage.
func Verify(ctx context.Context, s store.Store) (*Report, error) {
	return VerifyWith(ctx, s, VerifyOptions{})
}

// VerifyWith is Verify with options. It reads one consistent snapshot.
func VerifyWith(ctx context.Context, s store.Store, o VerifyOptions) (*Report, error) {
	if o.Workers <= 0 {
		o.Workers = 2
	}
	var whole *Report
	err := s.View(ctx, func(v store.Snapshot) (err error) {
		if format, err := readFormat(v); err == nil {
			if err := fits(format); err != nil {
				return err
			}
		}
		c := &check{v: v, o: o, found: map[int]found{}}
		whole, err = c.run(ctx)
		return err
	})
	return whole, err
}

// check is one run of VerifyWith.
type check struct {
	v store.Snapshot
	o VerifyOptions

	mu       sync.Mutex // guards all below
	whole    Report
	found    map[int]found // by the account's place
	reported int
}

// found is what is wrong with an account, and with the records that sort behind
// it and belong to no account.
type found struct {
	own    *Finding
	beside []string
}

// progressEvery is the number of entries between two calls of Progress.
const progressEvery = 5_000

type numbered struct {
	n    int
	id   ledger.AccountID
	raw  []byte
	next string // the account behind it; "" if it is the last
}

func (c *check) run(ctx context.Context) (*Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan []numbered, 2*c.o.Workers)
	var workers sync.WaitGroup
	for range c.o.Workers {
		workers.Go(func() {
			for row := range work {
				if err := c.row(row); err != nil {
					cancel(err)
				}
			}
		})
	}
	var row []numbered
	accounts, length := 0, shortestRow
	send := func() error {
		select {
		case work <- row:
			row = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := c.v.Scan(store.ID{Kind: store.Account}, false, func(id store.ID, raw []byte) (err error) {
		if len(row) > 0 {
			row[len(row)-1].next = id.Account
		}
		if len(row) == length {
			length = min(2*length, longestRow)
			err = send()
		}
		accounts++
		row = append(row, numbered{n: accounts, id: ledger.AccountID(id.Account), raw: slices.Clone(raw)})
		return err
	})
	if err == nil && len(row) > 0 {
		err = send()
	}
	close(work)
	workers.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	for _, kind := range []store.Kind{store.Entry, store.Charge, store.Hold, store.Usage} {
		if err == nil { // before the first account; of holds, which are few, all
			err = c.orphans(&c.whole, kind, "", kind == store.Hold)
		}
	}
	if err == nil {
		err = c.keys()
	}
	c.list(accounts)
	return &c.whole, err
}

// list lists what was found in order of account.
func (c *check) list(accounts int) {
	for i := 1; i <= accounts; i++ {
		f := c.found[i]
		if f.own != nil {
			c.whole.Problems = append(c.whole.Problems, f.own.Problems...)
			c.whole.Findings = append(c.whole.Findings, *f.own)
		}
		c.whole.Problems = append(c.whole.Problems, f.beside...)
	}
}

// How many accounts in a row one worker takes: the more there are, the more, which
// makes up for the scans that it begins; few at first, to share the work out.
const (
	shortestRow = 32
	longestRow  = 1024
)

func (c *check) row(row []numbered) error {
	all := newWalks(c.v, row[0].id)
	defer all.stop()
	for _, x := range row {
		if err := c.one(x, all); err != nil {
			return err
		}
	}
	return nil
}

// one verifies an account and adds what it found.
func (c *check) one(x numbered, all walks) error {
	a := &accountCheck{check: c, numbered: x, walks: all}
	err := a.run()
	f := found{beside: a.beside.Problems}
	if err == nil && !a.Clean() {
		f.own, err = a.finding()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole.add(&a.Report)
	if f.own != nil || f.beside != nil {
		c.found[x.n] = f
	}
	if c.o.Progress != nil && c.whole.Entries >= c.reported+progressEvery {
		c.reported = c.whole.Entries
		c.o.Progress(c.whole.Accounts, c.whole.Entries)
	}
	return err
}

var orphanWhat = map[store.Kind]string{store.Entry: "a journal", store.Charge: "charges", store.Hold: "open holds", store.Usage: "usage"}

// orphans finds records of accounts that do not exist: those between an account
// and the next one, or, with all, every one after it. The scan of an account
// already reads one record too far, so finding orphans reads nothing twice.
func (c *check) orphans(r *Report, kind store.Kind, after string, all bool) error {
	for {
		next := ""
		from := store.ID{Kind: kind}
		if after != "" {
			from.Account = after + "\x01" // behind all that after has, before any other: ids hold no control characters
		}
		err := c.v.Scan(from, false, func(id store.ID, _ []byte) error {
			next = id.Account
			return store.ErrStop
		})
		if err != nil || next == "" {
			return err
		}
		_, err = c.v.Get(store.ID{Kind: store.Account, Account: next})
		switch {
		case errors.Is(err, store.ErrNotFound):
			r.problem("account %s has %s, but no state", next, orphanWhat[kind])
		case err != nil || !all:
			return err
		}
		after = next
	}
}
