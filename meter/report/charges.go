package report

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/usage"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Usage sums what an account used; see usage.Query. Everything that was settled
// before the call is in it.
func (rs *Reports) Usage(ctx context.Context, account string, q usage.Query) (*usage.Report, error) {
	if _, err := rs.writer.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return nil, err
	}
	r := usage.NewReport(q)
	err := rs.writer.View(ctx, func(s store.Snapshot) error { return addUsage(s, r, account) })
	return r, err
}

// UsageOfAll calls fn with the report of each account that used anything.
func (rs *Reports) UsageOfAll(ctx context.Context, q usage.Query, fn func(account string, r *usage.Report)) error {
	if err := rs.writer.Update(ctx, func(store.Tx) error { return nil }); err != nil {
		return err
	}
	r, account := usage.NewReport(q), ""
	end := func() {
		if r.Total.Requests > 0 {
			fn(account, r)
		}
	}
	err := rs.writer.View(ctx, func(s store.Snapshot) error {
		return window(s, store.Usage, r.Start(), func(id store.ID, value []byte) (bool, error) {
			if id.Account != account {
				end()
				r, account = usage.NewReport(q), id.Account
			}
			return r.Add(id.Name, value)
		})
	})
	if err == nil {
		end()
	}
	return err
}

func addUsage(s store.Snapshot, r *usage.Report, account string) error {
	return s.Scan(store.ID{Kind: store.Usage, Account: account, Name: r.Start()}, true, func(id store.ID, value []byte) error {
		more, err := r.Add(id.Name, value)
		if err == nil && !more {
			err = store.ErrStop
		}
		return err
	})
}

// ChargeFilter selects charges. The zero value selects all.
type ChargeFilter struct {
	From, To time.Time         // of the request; zero: open
	Where    map[string]string // dimension or label of usage.Query, and "state", "outcome"
	Text     string            // in any field that people see
	Before   string            // cursor: charges older than this one
}

// Charges calls fn with the charges of an account, newest first, open ones
// included, until it returns false.
func (rs *Reports) Charges(ctx context.Context, account string, f ChargeFilter, fn func(*ledger.Charge) bool) error {
	a, err := rs.writer.Account(ctx, ledger.AccountID(account))
	if err != nil {
		return err
	}
	if f.Before == "" && !f.To.IsZero() {
		f.Before = ulid.Least(ledger.ChargePrefix, f.To.Add(admitting))
	}
	m := &merged{filter: &f, holds: newestHolds(a, f.Before), fn: fn}
	return rs.writer.View(ctx, func(s store.Snapshot) error {
		err := s.ScanBack(store.ID{Kind: store.Charge, Account: account, Name: f.Before}, func(_ store.ID, v []byte) error {
			c, err := ledger.DecodeCharge(v)
			if err == nil && !m.add(c) {
				err = store.ErrStop
			}
			return err
		})
		if err == nil {
			m.addHolds("")
		}
		return err
	})
}

// merged passes settled charges and open holds on to fn, newest first.
type merged struct {
	filter *ChargeFilter
	holds  []*ledger.Charge // newest first
	fn     func(*ledger.Charge) bool
	done   bool
}

// add passes on a settled charge, after the holds that are newer; false: no more
// charges are wanted.
func (m *merged) add(c *ledger.Charge) bool {
	m.addHolds(c.ID)
	if from := m.filter.From; !from.IsZero() && c.At.Before(from.Add(-admitting)) {
		m.done = true
	}
	m.pass(c)
	return !m.done
}

// addHolds passes on the holds that are newer than a charge. A hold with the id of
// that charge has been settled since it was read.
func (m *merged) addHolds(than ledger.ChargeID) {
	for ; len(m.holds) > 0 && m.holds[0].ID >= than; m.holds = m.holds[1:] {
		if m.holds[0].ID != than {
			m.pass(m.holds[0])
		}
	}
}

func (m *merged) pass(c *ledger.Charge) {
	if !m.done && m.filter.selects(c) {
		m.done = !m.fn(c)
	}
}

// admitting bounds the time between a charge's id and its place in the ledger.
const admitting = 5 * time.Minute

func newestHolds(a *ledger.Account, before string) (list []*ledger.Charge) {
	for _, id := range slices.Sorted(maps.Keys(a.Holds)) {
		if before == "" || string(id) < before {
			list = append([]*ledger.Charge{a.Holds[id]}, list...)
		}
	}
	return list
}

func (f *ChargeFilter) selects(c *ledger.Charge) bool {
	if !f.From.IsZero() && c.At.Before(f.From) || !f.To.IsZero() && !c.At.Before(f.To) {
		return false
	}
	k, _ := usage.Of(c)
	for name, want := range f.Where {
		have := k.Value(name)
		switch name {
		case "state":
			have = StateOf(c)
		case "outcome":
			have = c.Outcome
		}
		if have != want {
			return false
		}
	}
	if f.Text == "" {
		return true
	}
	seen := []string{string(c.ID), c.Operation, c.Subject.Feature, c.Model, c.Member, c.Key, c.Outcome}
	for _, l := range c.Labels {
		seen = append(seen, l.Name+"="+l.Value)
	}
	return strings.Contains(strings.ToLower(strings.Join(seen, "\n")), strings.ToLower(f.Text))
}

// StateOf is a charge's state in the words of reports: "open", "charged",
// "refunded" (nothing of it is left to pay, because it failed or was refunded)
// or "refunded in part".
func StateOf(c *ledger.Charge) string {
	switch {
	case c.State == ledger.Held:
		return "open"
	case c.State == ledger.Released || c.Refunded > 0 && c.Refunded >= c.Cost:
		return "refunded"
	case c.Refunded > 0:
		return "refunded in part"
	}
	return "charged"
}

// JournalBack calls fn with the entries of an account's journal, newest first,
// beginning before a sequence number (0: at the end), until it returns false.
func (rs *Reports) JournalBack(ctx context.Context, account string, before uint64, fn func(*ledger.Entry) bool) error {
	if _, err := rs.writer.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return err
	}
	from := store.ID{Kind: store.Entry, Account: account}
	if before > 0 {
		from.Name = store.Sequence(before)
	}
	return rs.writer.View(ctx, func(s store.Snapshot) error {
		return s.ScanBack(from, func(_ store.ID, v []byte) error {
			e, err := ledger.DecodeEntry(v)
			if err == nil && !fn(e) {
				err = store.ErrStop
			}
			return err
		})
	})
}

// Holds calls fn with every open hold, oldest first.
func (rs *Reports) Holds(ctx context.Context, fn func(*ledger.Charge)) error {
	var all []*ledger.Charge
	err := rs.writer.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Hold}, false, func(_ store.ID, v []byte) error {
			h, err := ledger.DecodeCharge(v)
			all = append(all, h)
			return err
		})
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b *ledger.Charge) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, h := range all {
		fn(h)
	}
	return nil
}

// Charge finds a charge of an account, open or resolved.
func (rs *Reports) Charge(ctx context.Context, account, id string) (*ledger.Charge, error) {
	a, err := rs.writer.Account(ctx, ledger.AccountID(account))
	if err != nil {
		return nil, err
	}
	if h := a.Holds[ledger.ChargeID(id)]; h != nil {
		return h, nil
	}
	var c *ledger.Charge
	err = rs.writer.View(ctx, func(s store.Snapshot) error {
		if c, err = writer.Charge(s, ledger.AccountID(account), ledger.ChargeID(id)); !errors.Is(err, ledger.ErrNoCharge) {
			return err
		}
		if left, failed := checkpoint.Left(s, ledger.AccountID(account), ledger.ChargeID(id)); left || failed != nil {
			err = errors.Join(failed, fmt.Errorf("%w: %s", ledger.ErrPastRetention, id))
		}
		return err
	})
	return c, err
}

// Journal calls fn for the entries of an account's journal after a sequence
// number, in order, until it returns false.
func (rs *Reports) Journal(ctx context.Context, account string, after uint64, fn func(*ledger.Entry) bool) error {
	if _, err := rs.writer.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return err
	}
	return rs.writer.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Entry, Account: account, Name: store.Sequence(after + 1)}, true, func(_ store.ID, v []byte) error {
			e, err := ledger.DecodeEntry(v)
			if err != nil {
				return err
			}
			if !fn(e) {
				return store.ErrStop
			}
			return nil
		})
	})
}
