package upkeep_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/upkeep"
	"github.com/farebox-dev/farebox/meter/writer"
)

const keep = 100 * 24 * time.Hour

// year is a ledger that a random year passes over.
type year struct {
	t       *testing.T
	s       store.Store
	w       *writer.Writer
	r       *rand.Rand
	now     time.Time
	charges map[ledger.AccountID][]ledger.ChargeID
}

func newYear(t *testing.T, s store.Store, seed uint64) *year {
	t.Helper()
	y := &year{t: t, s: s, r: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), charges: map[ledger.AccountID][]ledger.ChargeID{}} //nolint:gosec // a test's
	terms := &ledger.Terms{Zone: time.UTC, DefaultPlan: "basic", Plans: map[string]*ledger.Plan{"basic": {
		ID: "basic", Billing: calendar.Month, OverageLimit: ledger.NoLimit,
		Credits: []ledger.Schedule{{Type: "subscription", Amount: 90_000, Every: calendar.Month}, {Type: "free", Amount: 20, Every: calendar.Day}},
	}}}
	var err error
	if y.w, err = writer.Open(t.Context(), s, writer.Options{Now: func() time.Time { return y.now }, Terms: terms, Lease: -1, Abandoned: writer.CaptureHold}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(y.w.Close)
	for i := range 6 {
		id := ledger.AccountID(fmt.Sprint("acme", i))
		y.do(id, ledger.Open{ID: id})
	}
	return y
}

func (y *year) do(account ledger.AccountID, c ledger.Command) (ledger.Result, error) {
	y.t.Helper()
	return y.w.Do(y.t.Context(), account, c)
}

// day plays some hours: charges, refunds of old ones, grants.
func (y *year) day() {
	for range 12 {
		y.now = y.now.Add(time.Duration(y.r.IntN(4*3600)) * time.Second)
		account := ledger.AccountID(fmt.Sprint("acme", y.r.IntN(5))) // the sixth stays idle
		list := y.charges[account]
		switch n := y.r.IntN(10); {
		case n == 0 && len(list) > 0:
			old := list[y.r.IntN(len(list))]
			_, err := y.do(account, ledger.Refund{Charge: old, Amount: money.Amount(y.r.IntN(3)), Reason: "sorry"})
			if err != nil && !errors.Is(err, ledger.ErrRefundTooLarge) && !errors.Is(err, ledger.ErrPastRetention) && !errors.Is(err, ledger.ErrNotSettled) {
				y.t.Fatal(err)
			}
		case n == 1:
			_, _ = y.do(account, ledger.Give{Grant: ledger.GrantID(ulid.New("gr_", y.now)), Type: "promo", Amount: 50, Expires: calendar.Duration{Count: 20, Unit: calendar.Day}})
		default:
			y.charge(account)
		}
	}
}

func (y *year) charge(account ledger.AccountID) {
	y.t.Helper()
	id := ledger.ChargeID(ulid.New(ledger.ChargePrefix, y.now))
	c := &ledger.Charge{ID: id, Member: []string{"ann", "bob"}[y.r.IntN(2)], Operation: "chat", Model: "gpt"}
	key := fmt.Sprint("key ", id)
	if _, err := y.do(account, ledger.Reserve{Charge: c, Amount: 40, Plan: ledger.AnyPlan, Idempotency: key}); err != nil {
		y.t.Fatal(err)
	}
	switch y.r.IntN(12) {
	case 0: // stays open
	case 1:
		_, _ = y.do(account, ledger.Release{Charge: id, Outcome: ledger.Outcome{Text: "upstream 502"}})
	default:
		n, _ := money.ParseDecimal(fmt.Sprintf("%d.%d", y.r.IntN(900), y.r.IntN(9)))
		if _, err := y.do(account, ledger.Settle{Charge: id, Cost: money.Amount(y.r.IntN(60)), Outcome: ledger.Outcome{Text: "answered", Usage: ledger.Usage{Quantities: []ledger.Quantity{{Unit: "input", Count: n}}}}}); err != nil {
			y.t.Fatal(err)
		}
	}
	y.charges[account] = append(y.charges[account], id)
}

// clean verifies the ledger.
func clean(t *testing.T, s store.Store) *writer.Report {
	t.Helper()
	r, err := writer.Verify(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
	if t.Failed() {
		t.FailNow()
	}
	return r
}

// state is all accounts and all usage, to the byte: nothing of it may change when
// entries leave.
func state(t *testing.T, s store.Store) string {
	t.Helper()
	var b strings.Builder
	err := s.View(context.Background(), func(v store.Snapshot) (err error) {
		for _, kind := range []store.Kind{store.Account, store.Hold, store.Usage, store.Owned} {
			err = errors.Join(err, v.Scan(store.ID{Kind: kind}, false, func(id store.ID, value []byte) error {
				fmt.Fprintf(&b, "%q %x\n", id.Bytes(), value)
				return nil
			}))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Over a year, what is old leaves again and again. What accounts have stays as it was,
// the rest of the ledger verifies after the commits, and what is gone is in
// the exports, once.
func TestALedgerThatIsCutVerifiesAndLosesNothing(t *testing.T) {
	for _, s := range map[string]store.Store{"memory": memory.New(), "badger": onBadger(t)} {
		watched := &watched{Store: s, t: t}
		y, dir, lines := newYear(t, watched, seed.Of(t)), t.TempDir(), 0
		for day := range 220 {
			y.day()
			if day%40 != 39 {
				continue
			}
			for i := range 6 { // book what is due, which is no change by the cut
				y.do(ledger.AccountID(fmt.Sprint("acme", i)), ledger.Touch{})
			}
			was := state(t, s)
			watched.on = true
			d, err := upkeep.New(y.w, watched).Cut(t.Context(), upkeep.Retention{Keep: keep, Export: dir})
			watched.on = false
			if err != nil || len(d.Problems) > 0 {
				t.Fatal(d, err)
			}
			if state(t, s) != was {
				t.Fatal("the cut changed accounts, holds, grants or usage")
			}
			lines += d.Entries + d.Charges
			if (d.Entries > 0) != (d.File != "") {
				t.Errorf("%+v", d)
			}
		}
		r := clean(t, s)
		exported(t, dir, lines)
		if watched.seen < 10 || lines < 1000 || r.Entries > lines {
			t.Errorf("%d commits, %d lines left, %d entries stay", watched.seen, lines, r.Entries)
		}
	}
}

func onBadger(t *testing.T) store.Store {
	t.Helper()
	s, err := badger.Open(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// watched verifies the ledger after commits: a process may be killed there.
type watched struct {
	store.Store
	t    *testing.T
	on   bool
	seen int
}

func (w *watched) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	err := w.Store.Update(ctx, accounts, fn)
	if w.on && err == nil {
		if w.seen++; w.seen%5 == 1 {
			clean(w.t, w.Store)
		}
	}
	return err
}

// exported reads all exports: each entry and charge is there once, each file whole.
func exported(t *testing.T, dir string, want int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		zip, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(path, err)
		}
		last := ""
		for lines := bufio.NewScanner(zip); lines.Scan(); last = lines.Text() {
			var l struct {
				Type, Account, ID string
				Seq               uint64
				Record            []byte
			}
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			if l.Type == "entry" {
				if e, err := ledger.DecodeEntry(l.Record); err != nil || e.Seq != l.Seq {
					t.Fatal("the record of an entry cannot be read:", err)
				}
			}
			if id := fmt.Sprint(l); l.Type != "head" && l.Type != "end" {
				if seen[id] {
					t.Fatal("twice in the exports:", id)
				}
				seen[id] = true
			}
		}
		if !strings.Contains(last, `"type":"end"`) || !strings.HasSuffix(path, ".jsonl.gz") {
			t.Errorf("%s is not whole: %s", path, last)
		}
		_ = f.Close()
	}
	if len(seen) != want {
		t.Errorf("%d lines were exported, %d entries and charges left", len(seen), want)
	}
}

// cutOnce is a ledger of which half a year has left.
func cutOnce(t *testing.T) (*year, upkeep.Done) {
	t.Helper()
	y := newYear(t, memory.New(), 7)
	for range 250 {
		y.day()
	}
	d, err := upkeep.New(y.w, y.s).Cut(t.Context(), upkeep.Retention{Keep: keep})
	if err != nil || d.Charges == 0 {
		t.Fatal(d, err)
	}
	return y, d
}

func TestChargesThatLeftAreRefusedByName(t *testing.T) {
	y, _ := cutOnce(t)
	id := y.charges["acme0"][1]
	for _, c := range []ledger.Command{
		ledger.Refund{Charge: id}, ledger.Settle{Charge: id}, ledger.Release{Charge: id},
		ledger.Reserve{Charge: &ledger.Charge{ID: id}, Amount: 1, Plan: ledger.AnyPlan},
	} {
		if _, err := y.do("acme0", c); !errors.Is(err, ledger.ErrPastRetention) {
			t.Errorf("%T: %v", c, err)
		}
	}
	unknown := ledger.ChargeID(ulid.New(ledger.ChargePrefix, y.now))
	if _, err := y.do("acme0", ledger.Refund{Charge: unknown}); !errors.Is(err, ledger.ErrNoCharge) {
		t.Error(err)
	}
	clean(t, y.s)
}

// Whatever is changed in a ledger that was cut is found.
func TestDamageBeforeAndBehindTheCutIsFound(t *testing.T) {
	y, _ := cutOnce(t)
	clean(t, y.s)
	var firstRow, lastRow, entry store.ID
	err := y.s.View(t.Context(), func(v store.Snapshot) error {
		err := v.Scan(store.ID{Kind: store.Usage, Account: "acme0"}, true, func(id store.ID, _ []byte) error {
			if firstRow.Name == "" {
				firstRow = id
			}
			lastRow = id
			return nil
		})
		return errors.Join(err, v.Scan(store.ID{Kind: store.Entry, Account: "acme0"}, true, func(id store.ID, _ []byte) error {
			entry = id
			return store.ErrStop
		}))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []store.ID{firstRow, lastRow, entry, checkpoint.ID("acme0")} {
		var was []byte
		change := func(fn func(tx store.Tx) error) {
			if err := y.s.Update(t.Context(), nil, fn); err != nil {
				t.Fatal(err)
			}
		}
		for what, fn := range map[string]func(tx store.Tx) error{
			"deleted": func(tx store.Tx) error { return tx.Delete(id) },
			"changed": func(tx store.Tx) error {
				b := append([]byte(nil), was...)
				b[len(b)/2] ^= 1
				return tx.Put(id, b)
			},
		} {
			change(func(tx store.Tx) (err error) { was, err = tx.Get(id); was = append([]byte(nil), was...); return err })
			change(fn)
			if r, err := writer.Verify(t.Context(), y.s); err == nil && r.Clean() {
				t.Errorf("%v was %s unnoticed", id, what)
			}
			change(func(tx store.Tx) error { return tx.Put(id, was) })
		}
	}
	clean(t, y.s)
}

// An account that does not verify keeps what it has; the others are cut.
func TestABrokenAccountIsNotCut(t *testing.T) {
	y := newYear(t, memory.New(), 3)
	for range 250 {
		y.day()
	}
	err := y.s.Update(t.Context(), nil, func(tx store.Tx) error {
		return tx.Delete(store.ID{Kind: store.Entry, Account: "acme1", Name: store.Sequence(9)})
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := upkeep.New(y.w, y.s).Cut(t.Context(), upkeep.Retention{Keep: keep, Export: t.TempDir()})
	if err != nil || len(d.Problems) != 1 || !strings.Contains(d.Problems[0], "acme1") || d.Accounts != 5 {
		t.Fatalf("%+v, %v", d, err)
	}
	r, err := writer.Verify(t.Context(), y.s)
	if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "entry 9 is missing") {
		t.Error(r.Problems, err)
	}
}
