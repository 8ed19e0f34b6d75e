package writer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// fault is what goes wrong with one commit.
type fault int

const (
	noFault     fault = iota
	errorBefore       // an error, and nothing was written
	errorAfter        // an error, but everything was written: the answer was lost
	conflict          // the store runs the batch a second time
	crashBefore       // the process dies before the commit
	crashAfter        // … after it, before any caller got a result
	noSpace           // one of the batch's writes fails
)

var faultNames = []string{"none", "error before", "error after", "conflict", "crash before", "crash after", "no space"}

var errFault = errors.New("injected")

// faulty is a store of which one commit goes wrong.
type faulty struct {
	store.Store
	next   fault
	write  int // noSpace: which of the writes
	writes int // of the last commit
	dead   bool
	hit    bool
}

func (f *faulty) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	if f.dead {
		return errFault
	}
	kind := f.next
	if kind == conflict {
		_ = f.Store.Update(ctx, accounts, func(tx store.Tx) error { return errors.Join(fn(tx), errFault) })
	}
	err := f.Store.Update(ctx, accounts, func(tx store.Tx) error {
		count := &counting{Tx: tx, fail: -1}
		if kind == noSpace {
			count.fail = f.write
		}
		err := fn(count)
		f.writes = count.n
		if err == nil && count.n > 0 && (kind == errorBefore || kind == crashBefore) {
			err = errFault
		}
		return err
	})
	if f.writes == 0 {
		return err // only a look; the fault waits for a commit
	}
	if kind != noFault {
		f.next, f.hit = noFault, true
	}
	f.dead = kind == crashBefore || kind == crashAfter
	if err == nil && (kind == errorAfter || kind == crashAfter) {
		err = errFault
	}
	return err
}

type counting struct {
	store.Tx
	n, fail int
}

func (c *counting) Put(id store.ID, v []byte) error {
	c.n++
	if c.n-1 == c.fail {
		return errors.New("no space left on device")
	}
	return c.Tx.Put(id, v)
}

func (c *counting) Delete(id store.ID) error {
	c.n++
	if c.n-1 == c.fail {
		return errors.New("no space left on device")
	}
	return c.Tx.Delete(id)
}

// faultStep is one command of the script. done: the errors that say, when it is
// sent again, that it has happened.
type faultStep struct {
	kind    string
	command ledger.Command
	update  bool
	later   time.Duration // time that passes before it
	done    []error
}

func faultScript() []faultStep {
	id := func(s string, amount money.Amount) ledger.Reserve {
		return ledger.Reserve{Charge: &ledger.Charge{ID: ledger.ChargeID(s), Member: "ann"}, Amount: amount, Plan: ledger.AnyPlan}
	}
	keyed := id("ch_4", 30)
	keyed.Idempotency, keyed.Hash = "k4", [32]byte{4}
	gone := []error{ledger.ErrNoCharge} // its process died, and the hold with it
	name := "Acme"
	return []faultStep{
		{kind: "open", command: ledger.Open{ID: "acme"}, done: []error{ledger.ErrAccountExists}},
		{kind: "give", command: ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 90, Paid: true}},
		{kind: "give with key", command: ledger.Give{Grant: "gr_2", Type: "promo", Amount: 40, Idempotency: "in_1", Hash: [32]byte{1}}},
		{kind: "reserve", command: id("ch_1", 100)},
		{kind: "observe", command: ledger.Observe{Charge: "ch_1", Observed: 20}, done: gone},
		{kind: "extend", command: ledger.Extend{Charge: "ch_1", Amount: 160, Observed: 80}, done: gone},
		{kind: "settle", command: ledger.Settle{Charge: "ch_1", Cost: 140}},
		{kind: "refund of a part", command: ledger.Refund{Charge: "ch_1", Amount: 15, Idempotency: "r_1"}},
		{kind: "reserve", command: id("ch_2", 450)},
		{kind: "release", command: ledger.Release{Charge: "ch_2"}},
		{kind: "reserve", command: id("ch_3", 60)},
		{kind: "release failed", command: ledger.Release{Charge: "ch_3", Failed: true}},
		{kind: "reserve with key", command: keyed},
		{kind: "settle above", command: ledger.Settle{Charge: "ch_4", Cost: 77, Answer: []byte("hello")}},
		{kind: "refund", command: ledger.Refund{Charge: "ch_4"}},
		{kind: "void", command: ledger.Void{Grant: "gr_2"}, done: []error{ledger.ErrNoGrant}},
		{kind: "attributes", command: ledger.SetAttributes{Name: &name}},
		{kind: "key", update: true},
		{kind: "touch after a renewal", command: ledger.Touch{}, later: 40 * 24 * time.Hour},
		{kind: "plan at renewal", command: ledger.SetPlan{Plan: "paid", AtRenewal: true}},
		{kind: "plan now", command: ledger.SetPlan{Plan: "paid"}},
		{kind: "renew", command: ledger.Renew{Idempotency: "in_2"}},
		{kind: "reserve", command: id("ch_5", 100)},
		{kind: "settle", command: ledger.Settle{Charge: "ch_5", Cost: 100}, later: 45 * 24 * time.Hour}, // over a renewal
		{kind: "cancel at renewal", command: ledger.Cancel{}},
		{kind: "cancel now", command: ledger.Cancel{Now: true}, done: []error{ledger.ErrNothingToRenew}},
		{kind: "touch after a year", command: ledger.Touch{}, later: 400 * 24 * time.Hour},
	}
}

// faultRun runs the script with one fault.
type faultRun struct {
	t      *testing.T
	store  *faulty
	again  func(store.Store) store.Store // what a new process finds
	writer *Writer
	now    time.Time
	terms  *ledger.Terms
}

func (r *faultRun) open() {
	r.writer = open(r.t, r.store, Options{Now: func() time.Time { return r.now }, Terms: r.terms})
}

func (r *faultRun) do(s *faultStep) error {
	if s.update {
		return r.writer.Update(ctx, func(tx store.Tx) error {
			return tx.Put(store.ID{Kind: store.Key, Name: "hash"}, []byte(`{"id":"key_1"}`))
		})
	}
	_, err := r.writer.Do(ctx, "acme", s.command)
	return err
}

// run does the script, with a fault in step at. It returns the writes of each
// step and the end.
func (r *faultRun) run(script []faultStep, at int, f fault, write int, loose bool) (writes []int, end string, problem error) {
	r.open()
	defer func() { r.writer.Close() }()
	crashed := false
	for i := range script {
		s := &script[i]
		r.now = r.now.Add(s.later)
		if i == at {
			r.store.next, r.store.write = f, write
		}
		r.store.writes = 0
		err := r.do(s)
		if i == at && f != noFault {
			switch {
			case !r.store.hit:
				return nil, "", errors.New("the fault was not hit")
			case f != conflict && !errors.Is(err, ErrUnavailable):
				return nil, "", fmt.Errorf("the caller got %w", err)
			}
			if r.store.dead {
				crashed = true
				r.writer.Close()
				r.store = &faulty{Store: r.again(r.store.Store)}
				r.open()
			}
			if report, e := Verify(ctx, r.store); e != nil || !report.Clean() {
				return nil, "", fmt.Errorf("after the fault: %v %v", report, e)
			}
			if err = r.do(s); err != nil && slices.ContainsFunc(s.done, func(e error) bool { return errors.Is(err, e) }) {
				err = nil
			}
		}
		if crashed && errors.Is(err, ledger.ErrNoCharge) && len(s.done) > 0 {
			err = nil
		}
		if err != nil {
			return nil, "", fmt.Errorf("step %d (%s): %w", i, s.kind, err)
		}
		writes = append(writes, r.store.writes)
	}
	end = r.end(!crashed && !loose)
	if report, e := Verify(ctx, r.store); e != nil || !report.Clean() {
		return nil, "", fmt.Errorf("in the end: %v %v", report, e)
	}
	return writes, end, nil
}

// end is all that matters of the ledger in the end, as text. Without sources it
// leaves out which instance of a plan's grant a charge was drawn from: a crash
// releases its hold, and the late settle draws anew, maybe after a renewal.
func (r *faultRun) end(sources bool) string {
	a, err := r.writer.Account(ctx, "acme")
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, a.Name, a.Suspended, a.Sub, a.Issued, a.Spent, a.Expired, a.Revoked, a.Overage, a.OverageHeld, a.Debt, a.Absorbed, len(a.Holds), a.Periods)
	for _, g := range a.Grants {
		fmt.Fprintln(&b, g.ID, g.Type, g.Amount, g.Available, g.Held, g.Gone, g.Paid, g.Voided, g.Parked, g.EffectiveAt, g.ExpiresAt)
	}
	fmt.Fprintln(&b, a.Counters)
	drawn := func(c *ledger.Charge) any { return c.Captures }
	if !sources {
		drawn = func(c *ledger.Charge) any { return c.Drawn() }
	}
	err = r.store.View(ctx, func(v store.Snapshot) error {
		err := v.Scan(store.ID{Kind: store.Charge}, false, func(_ store.ID, raw []byte) error {
			c, err := ledger.DecodeCharge(raw)
			if err == nil {
				fmt.Fprintln(&b, c.ID, c.State, c.Cost, c.Refunded, c.Absorbed, drawn(c), c.Abandoned)
			}
			return err
		})
		return errors.Join(err, v.Scan(store.ID{Kind: store.Key}, false, func(id store.ID, v []byte) error {
			fmt.Fprintf(&b, "key %s %s\n", id.Name, v)
			return nil
		}))
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

func faultTerms() *ledger.Terms {
	month := ledger.Schedule{Type: "subscription", Amount: 500, Every: calendar.Month}
	t := &ledger.Terms{Zone: time.UTC, DefaultPlan: "basic", Overdraft: 20, Plans: map[string]*ledger.Plan{
		"basic": {Credits: []ledger.Schedule{month}, Caps: []ledger.Cap{{Per: "member", Amount: 100_000, Every: calendar.Month}}},
		"paid":  {Credits: []ledger.Schedule{{Type: "subscription", Amount: 300, Every: calendar.Month, Rollover: 100}}, WhenPaid: true},
	}}
	for id, p := range t.Plans {
		p.ID, p.Billing, p.OverageLimit = id, calendar.Month, ledger.NoLimit
	}
	return t
}

// TestFaultMatrix lets each commit of each command go wrong in each way; then
// the books must be right, the same command is sent again, and in the end
// everything is as if nothing had happened. FAREBOX_LONG: on Badger, too.
func TestFaultMatrix(t *testing.T) {
	for _, on := range []struct {
		name string
		open func(t *testing.T) (store.Store, func(store.Store) store.Store)
	}{{"memory", onMemory}, {"badger", onBadger}} {
		t.Run(on.name, func(t *testing.T) {
			if on.name == "badger" && os.Getenv("FAREBOX_LONG") == "" {
				t.Skip("FAREBOX_LONG runs it on Badger")
			}
			faultMatrix(t, func() *faultRun {
				s, again := on.open(t)
				return &faultRun{t: t, store: &faulty{Store: s}, again: again, now: time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC), terms: faultTerms()}
			})
		})
	}
}

func faultMatrix(t *testing.T, fresh func() *faultRun) {
	script := faultScript()
	writes, want, err := fresh().run(script, -1, noFault, 0, false)
	_, wantLoose, errLoose := fresh().run(script, -1, noFault, 0, true)
	if err = errors.Join(err, errLoose); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-24s %6s", "", "writes")
	for _, name := range faultNames[1:] {
		fmt.Fprintf(&table, " %13s", name)
	}
	cells, wrong := 0, 0
	for at := range script {
		fmt.Fprintf(&table, "\n%-24s %6d", script[at].kind, writes[at])
		for f := errorBefore; f <= noSpace; f++ {
			times, bad := 1, 0
			if f == noSpace {
				times = writes[at]
			}
			for write := range times {
				_, end, err := fresh().run(script, at, f, write, false)
				if err == nil && end != want && (f != crashBefore && f != crashAfter || end != wantLoose) {
					err = fmt.Errorf("the end is another one:\n%s\nwant\n%s", end, want)
				}
				if err != nil {
					bad++
					t.Errorf("%s of %q, write %d: %v", faultNames[f], script[at].kind, write, err)
				}
			}
			cells += times
			wrong += bad
			fmt.Fprintf(&table, " %9d ok %d", times-bad, bad)
		}
	}
	t.Logf("%d cells, %d violations (each: ok, wrong)\n%s", cells, wrong, table.String())
}

func onMemory(*testing.T) (store.Store, func(store.Store) store.Store) {
	return memory.New(), func(s store.Store) store.Store { return s }
}

func onBadger(t *testing.T) (store.Store, func(store.Store) store.Store) {
	dir := filepath.Join(t.TempDir(), "ledger")
	begin := func() store.Store {
		s, err := badger.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	return begin(), func(s store.Store) store.Store {
		_ = s.Close()
		return begin()
	}
}
