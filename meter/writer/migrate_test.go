package writer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// oldStore fills s and takes away what format 1 did not have. The usage sums
// that a migration must bring back are returned.
func oldStore(t *testing.T, s store.Store) (usage map[string]string) {
	t.Helper()
	now := time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC)
	b := open(t, s, Options{Now: func() time.Time { return now }})
	for i := range 4 {
		account := ledger.AccountID(fmt.Sprint("acme", i))
		do := func(c ledger.Command) {
			t.Helper()
			if _, err := b.Do(ctx, account, c); err != nil {
				t.Fatal(err)
			}
		}
		do(ledger.Open{ID: account})
		do(ledger.Give{Grant: ledger.GrantID(fmt.Sprint("gr_", i)), Type: "top_up", Amount: 10_000})
		for n := range 12 {
			now = now.Add(7 * time.Minute)
			id := ledger.ChargeID(fmt.Sprintf("ch_%d_%d", i, n))
			do(ledger.Reserve{Charge: &ledger.Charge{ID: id, Operation: "chat", Model: []string{"m", "n"}[n%2], Member: "ann"}, Amount: 20, Plan: ledger.AnyPlan})
			switch n % 4 {
			case 0:
				do(ledger.Release{Charge: id, Failed: true})
			default:
				do(ledger.Settle{Charge: id, Cost: money.Amount(n), Outcome: ledger.Outcome{Usage: usageOf("input=12 output=3")}})
			}
			if n%4 == 1 {
				do(ledger.Refund{Charge: id})
			}
		}
	}
	b.Close()
	usage = records(t, s, store.Usage)
	if len(usage) < 20 {
		t.Fatalf("only %d rows of usage", len(usage))
	}
	err := s.Update(ctx, nil, func(tx store.Tx) error {
		for key := range usage {
			id, _ := store.ParseID([]byte(key))
			if err := tx.Delete(id); err != nil {
				return err
			}
		}
		return tx.Put(formatID, []byte("1"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return usage
}

func records(t *testing.T, s store.Store, kind store.Kind) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := s.View(ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: kind}, false, func(id store.ID, value []byte) error {
			found[string(id.Bytes())] = string(value)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// migrated checks that s is as it was before it was made old.
func migrated(t *testing.T, s store.Store, usage map[string]string) {
	t.Helper()
	if got := records(t, s, store.Usage); !maps.Equal(got, usage) {
		t.Errorf("%d rows of usage, want the %d of before", len(got), len(usage))
	}
	if n, err := Format(ctx, s); err != nil || n != NewestFormat() {
		t.Errorf("format %d, %v", n, err)
	}
	r, err := Verify(ctx, s)
	if err != nil || !r.Clean() {
		t.Errorf("verify: %v %+v", err, r)
	}
	open(t, s, Options{}).Close()
}

func TestAnOldFormatIsRefusedAndMigrated(t *testing.T) {
	for name, s := range map[string]store.Store{"memory": memory.New(), "badger": openBadger(t, filepath.Join(t.TempDir(), "data"))} {
		t.Run(name, func(t *testing.T) {
			usage := oldStore(t, s)
			if _, err := Open(ctx, s, Options{Now: time.Now, Terms: terms()}); !errors.Is(err, ErrOtherFormat) || !strings.Contains(err.Error(), "farebox meter migrate") {
				t.Errorf("an old store was opened: %v", err)
			}
			if _, err := Verify(ctx, s); !errors.Is(err, ErrOtherFormat) {
				t.Errorf("the old store was verified: %v", err)
			}
			var steps []string
			progress := func(p Progress) {
				if p.Records == 0 {
					steps = append(steps, fmt.Sprint(p.From, p.To, p.Step))
				}
			}
			for range 2 { // the second time there is nothing to do
				if err := Migrate(ctx, s, progress); err != nil {
					t.Fatal(err)
				}
				migrated(t, s, usage)
			}
			if want := []string{"1 2usage sums", "2 3accounts", "2 3open holds", "2 3charges", "2 3idempotency keys", "2 3jobs and owners of upstream ids", "2 3usage sums"}; !slices.Equal(steps, want) {
				t.Errorf("steps %q, want %q", steps, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func openBadger(t *testing.T, dir string) store.Store {
	t.Helper()
	s, err := badger.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mortal dies at one of its commits, before or after it is written.
type mortal struct {
	store.Store
	left  int // commits that go well
	after bool
}

func (m *mortal) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	if m.left--; m.left > 0 {
		return m.Store.Update(ctx, accounts, fn)
	}
	if m.left == 0 && m.after {
		if err := m.Store.Update(ctx, accounts, fn); err != nil {
			return err
		}
	}
	return errFault
}

func TestAMigrationThatIsKilledCanBeRunAgain(t *testing.T) {
	whole := migrateAtOnce
	t.Cleanup(func() { migrateAtOnce = whole })
	migrateAtOnce = 3
	deaths := 0
	for _, after := range []bool{false, true} {
		for commit := 1; ; commit++ {
			s := memory.New()
			usage := oldStore(t, s)
			err := Migrate(ctx, &mortal{Store: s, left: commit, after: after}, nil)
			if err == nil {
				break
			}
			if !errors.Is(err, errFault) {
				t.Fatal(err)
			}
			deaths++
			if n, _ := Format(ctx, s); n == formatVersion && !after {
				t.Fatalf("killed at commit %d, it has the new format", commit)
			}
			if after && commit%3 == 0 { // what an old gateway does in between
				spoil(t, s, usage)
			}
			if err := Migrate(ctx, s, nil); err != nil {
				t.Fatalf("again after commit %d: %v", commit, err)
			}
			migrated(t, s, usage)
		}
	}
	if deaths < 20 {
		t.Errorf("only %d deaths: too few commits to say anything", deaths)
	}
	t.Logf("%d deaths", deaths)
}

// spoil leaves a wrong row and one too many behind, as long as the store is old.
func spoil(t *testing.T, s store.Store, usage map[string]string) {
	t.Helper()
	if n, _ := Format(ctx, s); n >= sameRecords {
		return
	}
	key := slices.Sorted(maps.Keys(usage))[0]
	id, _ := store.ParseID([]byte(key))
	err := s.Update(ctx, nil, func(tx store.Tx) error {
		extra := id
		extra.Name += "x"
		return errors.Join(tx.Put(id, []byte("wrong")), tx.Put(extra, []byte(usage[key])))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFormatsThatCannotBeMigrated(t *testing.T) {
	for text, say := range map[string]string{"7": "newer version", "x": "no version", "0": "no version"} {
		s := memory.New()
		oldStore(t, s)
		if err := s.Update(ctx, nil, func(tx store.Tx) error { return tx.Put(formatID, []byte(text)) }); err != nil {
			t.Fatal(err)
		}
		_, opened := Open(ctx, s, Options{Now: time.Now, Terms: terms()})
		for what, err := range map[string]error{"opened": opened, "migrated": Migrate(ctx, s, nil)} {
			if !errors.Is(err, ErrOtherFormat) || !strings.Contains(err.Error(), say) {
				t.Errorf("format %q was %s: %v", text, what, err)
			}
		}
	}
	if err := Migrate(ctx, memory.New(), nil); !errors.Is(err, ErrNoLedger) {
		t.Errorf("an empty store was migrated: %v", err)
	}
}

func TestThereIsAWayFromEveryFormat(t *testing.T) {
	for i, m := range migrations {
		if m.from != i+1 {
			t.Errorf("migration %d is from format %d, want %d", i, m.from, i+1)
		}
	}
	if len(migrations) != formatVersion-1 {
		t.Errorf("%d migrations for %d formats", len(migrations), formatVersion)
	}
}
