// Package account opens, changes and ends accounts, and watches them: their plan
// and suspension, the credits that they are granted, their alert thresholds.
package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Accounts are all accounts of a ledger. Its methods are safe for concurrent use.
type Accounts struct {
	*Watchers

	writer *writer.Writer
	books  *pricebook.Books
	keys   *directory.Keys
	labels *directory.Profiles
	names  *Names
	now    func() time.Time
}

// New works on the accounts of a writer, by the plans of books. The writer tells
// watchers and names of what it does.
func New(w *writer.Writer, books *pricebook.Books, who *directory.Directory, watchers *Watchers, names *Names, now func() time.Time) *Accounts {
	return &Accounts{Watchers: watchers, writer: w, books: books, keys: who.Keys, labels: who.Profiles, names: names, now: now}
}

// Create opens an account on a plan; "" is the default plan.
func (s *Accounts) Create(ctx context.Context, id, name, plan string) (*ledger.Account, error) {
	return (&Opening{ID: id, Name: name, Plan: plan}).Open(ctx, s)
}

// Opening is an account that is to be opened, with its profile, in one commit.
type Opening struct {
	ID, Name, Plan string
	Profile        directory.ProfileChange
}

// Open opens the account.
func (o *Opening) Open(ctx context.Context, s *Accounts) (*ledger.Account, error) {
	id, plan := o.ID, o.Plan
	if err := directory.ValidID(id); err != nil {
		return nil, err
	}
	if plan != "" && s.books.InForce().Plan(plan) == nil {
		return nil, fmt.Errorf("%w: %q; the price file has %s", ledger.ErrNoPlan, plan, s.planNames())
	}
	n, wrong := s.keys.Newcomers(id, nil, nil, o.Profile)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	opened := make(chan error, 1)
	n.Companion().Go(ctx, s.writer, ledger.AccountID(id), ledger.Open{ID: ledger.AccountID(id), Name: o.Name, Plan: plan}, func(_ ledger.Result, err error) { opened <- err })
	err := <-opened
	if n.Forget(); err != nil {
		return nil, err
	}
	return s.Get(ctx, id)
}

func (s *Accounts) planNames() string {
	var names []string
	for _, p := range s.books.InForce().Plans {
		names = append(names, p.ID)
	}
	if len(names) == 0 {
		return "no plans"
	}
	return strings.Join(names, ", ")
}

// Close ends an account: its requests are refused, its plan ends now and its
// keys are revoked. Open requests run to their end; credits and journal stay, so
// that charges can still be refunded. If it fails halfway, call it again.
// An account that is resumed later needs new keys.
func (s *Accounts) Close(ctx context.Context, id, reason string) (*ledger.Account, error) {
	suspended := true
	if _, err := s.Do(ctx, id, ledger.SetAttributes{Suspended: &suspended, Reason: reason}); err != nil {
		return nil, err
	}
	keys, err := s.keys.List(id)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if _, err := s.keys.Revoke(ctx, id, k.ID); err != nil {
			return nil, err
		}
	}
	if _, err := s.Do(ctx, id, ledger.Cancel{Now: true, Reason: reason}); err != nil && !errors.Is(err, ledger.ErrNothingToRenew) {
		return nil, err
	}
	return s.Get(ctx, id)
}

// Get is a copy of an account's state, up to now.
func (s *Accounts) Get(ctx context.Context, id string) (*ledger.Account, error) {
	return s.writer.Account(ctx, ledger.AccountID(id))
}

// Each calls fn for every account in order of id, beginning at from, until it
// returns false. What is due by the clock may not be booked in them yet.
func (s *Accounts) Each(ctx context.Context, from string, fn func(*ledger.Account) bool) error {
	return s.writer.Accounts(ctx, from, fn)
}

// Do runs any other command on an account and waits until it is durable.
func (s *Accounts) Do(ctx context.Context, id string, c ledger.Command) (ledger.Result, error) {
	return s.writer.Do(ctx, ledger.AccountID(id), c)
}

// SetAlerts gives an account thresholds of its own, "20%" or "500"; none at all
// if the list is empty, and those of the price file again if it is nil.
func (s *Accounts) SetAlerts(ctx context.Context, id string, below []string) error {
	c := ledger.SetAlerts{Own: below != nil}
	for _, text := range below {
		t, err := pricefile.ParseThreshold(text, s.books.InForce().Credit.Decimals)
		if err != nil {
			return input.Errorf("the threshold %q is neither a share such as 20%% nor an amount: %v", text, err)
		}
		c.Thresholds = append(c.Thresholds, pricebook.Threshold(t))
	}
	_, err := s.Do(ctx, id, c)
	return err
}
