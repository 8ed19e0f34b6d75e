package writer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/pgtest"
	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/store/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func database(t *testing.T, dsn string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(ctx, postgres.Options{DSN: dsn, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Several gateways share an account: together they spend exactly what it has, and what
// each booked adds up in the usage sums.
func TestWritersOfOneDatabaseDoNotOverspend(t *testing.T) {
	dsn := pgtest.DSN(t)
	var writers []*Writer
	for range 3 {
		writers = append(writers, open(t, database(t, dsn), Options{}))
	}
	must(t, writers[0], "hot", ledger.Open{ID: "hot"})
	var admitted atomic.Int64
	var all sync.WaitGroup
	for i, w := range writers {
		for n := range 10 {
			all.Go(func() {
				for k := range 10 {
					id := 1000*i + 100*n + k
					if _, err := w.Do(ctx, "hot", reserve(id, 5)); err != nil {
						continue
					}
					admitted.Add(1)
					if _, err := w.Do(ctx, "hot", ledger.Settle{Charge: ledger.ChargeID(fmt.Sprint("ch_", id)), Cost: 5}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	a, err := writers[2].Account(ctx, "hot")
	if err != nil || admitted.Load() != 100 || a.SpentNet() != 500 {
		t.Errorf("%d requests of 5 were admitted on 500 credits and %d spent, %v; want 100 and 500", admitted.Load(), a.SpentNet(), err)
	}
	for _, w := range writers {
		w.Close()
	}
	if r := clean(t, database(t, dsn)); r.Charges != 100 {
		t.Errorf("%d charges, want 100", r.Charges)
	}
}

// pause makes a gateway one that does not run: it renews nothing.
func pause(w *Writer) {
	w.Peers.stop()
	w.Peers.working.Wait()
}

// A gateway is paused beyond its lease while its request runs: the others resolve its
// holds, once, and those of the living stay. When it wakes, its settle is booked late.
func TestHoldsOfADeadGatewayAreResolvedOnceAndSettledLate(t *testing.T) {
	dsn := pgtest.DSN(t)
	o := Options{Presence: 3 * time.Second}
	a, b, c := open(t, database(t, dsn), o), open(t, database(t, dsn), o), open(t, database(t, dsn), o)
	must(t, a, "hot", ledger.Open{ID: "hot"})
	must(t, a, "hot", reserve(1, 100))
	must(t, a, "hot", ledger.Observe{Charge: "ch_1", Observed: 30})
	must(t, b, "hot", reserve(2, 50))
	pause(a)
	var got *ledger.Account
	eventually(t, "the holds of the dead gateway were not resolved", func() bool {
		got, _ = c.Account(ctx, "hot")
		return got != nil && got.Holds["ch_1"] == nil
	})
	if left, _ := got.Available(c.Now()); left != 420 || got.Holds["ch_2"] == nil {
		t.Errorf("%d are available, holds %v; want 420, with 30 captured and the hold of the living", left, got.Holds)
	}
	must(t, a, "hot", ledger.Settle{Charge: "ch_1", Cost: 64})
	must(t, a, "hot", ledger.Settle{Charge: "ch_1", Cost: 64}) // sent again
	must(t, b, "hot", ledger.Settle{Charge: "ch_2", Cost: 50})
	if got, _ = b.Account(ctx, "hot"); got.SpentNet() != 114 || len(got.Holds) != 0 {
		t.Errorf("%d were spent, holds %v; want 114 and none", got.SpentNet(), got.Holds)
	}
	for _, w := range []*Writer{a, b, c} {
		w.Close()
	}
	clean(t, database(t, dsn))
}

func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	for began := time.Now(); !fn(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal(what)
		}
	}
}

// One gateway is on duty: the one that has been there longest. When it is gone, another.
func TestOneGatewayIsOnDuty(t *testing.T) {
	dsn := pgtest.DSN(t)
	o := Options{Presence: 3 * time.Second}
	a, b := open(t, database(t, dsn), o), open(t, database(t, dsn), o)
	defer b.Close()
	if !a.Peers.OnDuty() || b.Peers.OnDuty() {
		t.Errorf("on duty: the first %t, the second %t; want the first alone", a.Peers.OnDuty(), b.Peers.OnDuty())
	}
	if list := b.Peers.Gateways(); len(list) != 2 || list[0].ID != a.Peers.name() {
		t.Errorf("the gateways are %+v", list)
	}
	pause(a)
	eventually(t, "none came on duty after the first was paused", func() bool {
		first, second := a.Peers.OnDuty(), b.Peers.OnDuty()
		if first && second {
			t.Fatal("two are on duty")
		}
		return second
	})
	if err := a.Peers.renew(ctx); err != nil { // it wakes
		t.Fatal(err)
	}
	if a.Peers.OnDuty() {
		t.Error("a gateway that woke is on duty as before")
	}
	b.Close()
	eventually(t, "none came on duty after the other had ended", func() bool { _ = a.Peers.renew(ctx); return a.Peers.OnDuty() })
	a.Close()
}

// cutting is a database of which the answer of a commit gets lost now and then, or the
// update itself.
type cutting struct {
	*postgres.Store
	after, before atomic.Int64 // so many of the next answers, or updates
}

func (c *cutting) UpdateAhead(ctx context.Context, a *store.Ahead, fn func(store.SharedTx) error) error {
	if c.before.Add(-1) >= 0 {
		return fmt.Errorf("%w: cut", store.ErrAgain)
	}
	err := c.Store.UpdateAhead(ctx, a, fn)
	if err == nil && c.after.Add(-1) >= 0 {
		err = fmt.Errorf("%w: cut", store.ErrAgain)
	}
	return err
}

// A commit whose answer is lost is sent again, and takes effect once, whether it had been
// written or not.
func TestWhatWasSentAgainTakesEffectOnce(t *testing.T) {
	s := &cutting{Store: database(t, pgtest.DSN(t))}
	w := open(t, s, Options{})
	commands := []ledger.Command{
		ledger.Open{ID: "acme"},
		fresh(reserve(1, 100)),
		ledger.Extend{Charge: "ch_1", Amount: 150},
		ledger.Give{Grant: "gr_1", Amount: 40, Type: "gift", Idempotency: "k1"},
		ledger.Settle{Charge: "ch_1", Cost: 120},
		ledger.Refund{Charge: "ch_1", Amount: 20, Idempotency: "k2"},
		fresh(reserve(2, 440)), // all that is left
	}
	for _, c := range commands {
		s.after.Store(2)
		if _, isOpen := c.(ledger.Open); isOpen { // it has no id of its own to be known by
			s.after.Store(0)
			s.before.Store(2)
		}
		if _, err := w.Do(ctx, "acme", c); err != nil {
			t.Errorf("%T: %v", c, err)
		}
	}
	s.after.Store(1)
	var refused *ledger.Refusal
	if _, err := w.Do(ctx, "acme", fresh(reserve(3, 1))); !errors.As(err, &refused) {
		t.Errorf("one more than is left: %v, want a refusal", err)
	}
	a, err := w.Account(ctx, "acme")
	if err != nil || a.SpentNet() != 100 || len(a.Holds) != 1 || a.Issued != 540 {
		t.Errorf("%d spent, %d issued, holds %v, %v; want 100, 540 and ch_2", a.SpentNet(), a.Issued, a.Holds, err)
	}
	w.Close()
	clean(t, s)
}

func fresh(r ledger.Reserve) ledger.Reserve {
	r.Fresh = true
	return r
}

// The ledger's clock is the database's: gateways whose own are an hour apart agree.
func TestClocksOfGatewaysMayDiffer(t *testing.T) {
	dsn := pgtest.DSN(t)
	var last time.Time
	for _, off := range []time.Duration{time.Hour, -time.Hour, 0} {
		w := open(t, database(t, dsn), Options{Now: func() time.Time { return time.Now().Add(off) }})
		_, _ = w.Do(ctx, "acme", ledger.Open{ID: "acme"})
		a, err := w.Account(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if now := w.Now(); now.Before(last) || time.Since(now).Abs() > time.Minute || a.Clock.After(now) || w.Clock().Problem() != nil {
			t.Errorf("a gateway whose clock is off by %s: the ledger's shows %s, after %s; %v", off, now, last, w.Clock().Problem())
		}
		last = w.Now()
		w.Close()
	}
}

// What one gateway changes, the others notice within a second.
func TestChangesAreNoticed(t *testing.T) {
	dsn := pgtest.DSN(t)
	a, b := open(t, database(t, dsn), Options{}), open(t, database(t, dsn), Options{})
	defer a.Close()
	defer b.Close()
	keys, members := make(chan struct{}, 100), make(chan struct{}, 100)
	b.Peers.OnChange(func() { keys <- struct{}{} }, store.Key)
	b.Peers.OnChange(func() { members <- struct{}{} }, store.Member)
	if err := a.Update(ctx, func(tx store.Tx) error { return tx.Put(store.ID{Kind: store.Key, Name: "k"}, []byte("1")) }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	select {
	case <-keys:
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
	case <-time.After(20 * time.Second):
		t.Error("a change was not noticed")
	}
	if len(members) > 0 {
		t.Error("a change of a key was taken for one of a member")
	}
}

// A ledger that comes from a shared store has holds with owners in their names: a store
// that is not shared resolves them as its own.
func TestHoldsKeepTheirNamesInAnotherStore(t *testing.T) {
	from := database(t, pgtest.DSN(t))
	w := open(t, from, Options{})
	must(t, w, "acme", ledger.Open{ID: "acme"})
	must(t, w, "acme", reserve(1, 100))
	w.Close()
	to := memory.New()
	if err := backup.Copy(ctx, from, to); err != nil {
		t.Fatal(err)
	}
	w = open(t, to, Options{})
	if a, err := w.Account(ctx, "acme"); err != nil || len(a.Holds) != 0 {
		t.Errorf("holds %v, %v", a.Holds, err)
	}
	w.Close()
	clean(t, to)
	err := to.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Hold}, false, func(id store.ID, _ []byte) error { t.Errorf("%v is left", id); return nil })
	})
	if err != nil {
		t.Error(err)
	}
}
