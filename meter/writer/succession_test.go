package writer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	succession "github.com/farebox-dev/farebox/meter/store/remote"
)

// generation is one process of a chain of successors, with its requests.
type generation struct {
	*Writer
	at   *succession.Switch
	stop chan struct{}
	all  sync.WaitGroup
}

// begin opens the ledger in a process.
func begin(t *testing.T, s store.Store, o Options) *generation {
	t.Helper()
	g := &generation{at: succession.NewSwitch(s), stop: make(chan struct{})}
	g.Writer = open(t, g.at, o)
	return g
}

// become changes the store of a process.
func (g *generation) become(t *testing.T, fn func(store.Store) store.Store) {
	t.Helper()
	if err := g.at.Swap(ctx, func(now store.Store) (store.Store, error) { return fn(now), nil }); err != nil {
		t.Fatal(err)
	}
}

// succeed hands the ledger over to a new process, as two gateways do. The old one goes
// on with what it has begun.
func (g *generation) succeed(t *testing.T, disk store.Store) (next *generation, left func()) {
	t.Helper()
	g.become(t, func(now store.Store) store.Store { return succession.Share(now, time.Now) })
	if err := g.Peers.Share(ctx, g.at.Shared()); err != nil {
		t.Fatal(err)
	}
	var ours, theirs []net.Conn
	for range 2 {
		a, b := net.Pipe()
		ours, theirs = append(ours, a), append(theirs, b)
	}
	g.become(t, func(store.Store) store.Store { return succession.New(ours...) })

	next = begin(t, disk, Options{Succeeds: true})
	shared := succession.Share(disk, time.Now)
	next.become(t, func(store.Store) store.Store { return shared })
	if err := next.Peers.Share(ctx, next.at.Shared()); err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	for _, c := range theirs {
		served.Go(func() { _ = succession.Serve(ctx, c, shared) })
	}
	return next, func() {
		served.Wait()
		next.become(t, func(store.Store) store.Store { return disk })
		if err := next.Peers.Own(ctx); err != nil {
			t.Error(err)
		}
	}
}

// TestAClaimedHoldIsKnownInItsBatch: commands of the batch in which a hold gets its
// process's name find it, before and after.
func TestAClaimedHoldIsKnownInItsBatch(t *testing.T) {
	disk := memory.New()
	g := begin(t, disk, Options{})
	must(t, g.Writer, "a", ledger.Open{ID: "a"})
	must(t, g.Writer, "a", reserve(1, 10))
	g.turn.Lock() // as if Share had come so far
	shared := g.at.Shared()
	g.sharing.Store(&shared)
	g.cache.shared = true
	g.trustNothing()
	g.turn.Unlock()
	if err := g.Peers.open(ctx); err != nil {
		t.Fatal(err)
	}
	failed := func(_ ledger.Result, err error) {
		if err != nil {
			t.Error(err)
		}
	}
	g.turn.Lock()
	g.commit([]*job{
		{account: "a", command: ledger.Observe{Charge: "ch_1", Observed: 3}, answer: failed},
		{update: g.Peers.claim, answer: failed},
		{account: "a", command: ledger.Settle{Charge: "ch_1", Cost: 7}, answer: failed},
	})
	g.turn.Unlock()
	a, err := g.Account(ctx, "a")
	if err != nil || len(a.Holds) > 0 || a.SpentNet() != 7 {
		t.Errorf("%d holds, spent %d, %v", len(a.Holds), a.SpentNet(), err)
	}
	g.Close()
	clean(t, disk)
}

// TestWhatTheOtherProcessWroteIsRead when a process goes on alone.
func TestWhatTheOtherProcessWroteIsRead(t *testing.T) {
	disk := memory.New()
	old := begin(t, disk, Options{})
	must(t, old.Writer, "a", ledger.Open{ID: "a"})
	must(t, old.Writer, "a", reserve(1, 10))
	next, left := old.succeed(t, disk)
	must(t, next.Writer, "a", reserve(2, 20))
	must(t, old.Writer, "a", ledger.Settle{Charge: "ch_1", Cost: 10})
	old.Close()
	if err := old.at.Close(); err != nil {
		t.Error(err)
	}
	left()
	must(t, next.Writer, "a", ledger.Settle{Charge: "ch_2", Cost: 20})
	if a, err := next.Account(ctx, "a"); err != nil || a.SpentNet() != 30 {
		t.Errorf("spent %d, %v; want 30", a.SpentNet(), err)
	}
	next.Close()
	clean(t, disk)
}

// TestSuccession: requests that begin in one process and end while the next one, or the
// one after it, has the ledger are each booked once, and no hold is left or resolved
// while its request runs.
func TestSuccession(t *testing.T) {
	disk := memory.New()
	random := seed.Of(t)
	g := begin(t, disk, Options{})
	accounts := []ledger.AccountID{"a", "b", "c"}
	for _, id := range accounts {
		must(t, g.Writer, id, ledger.Open{ID: id})
		must(t, g.Writer, id, ledger.Give{Grant: ledger.GrantID("gr_" + id), Amount: 1_000_000})
	}
	spent := map[ledger.AccountID]*atomic.Int64{}
	for _, id := range accounts {
		spent[id] = new(atomic.Int64)
	}
	var n atomic.Int64
	request := func(g *generation, r *rand.Rand) {
		id, charge := accounts[r.IntN(len(accounts))], int(n.Add(1))
		if _, err := g.Do(ctx, id, reserve(charge, 10)); err != nil {
			t.Errorf("charge %d: %v", charge, err)
			return
		}
		ch, cost := ledger.ChargeID(fmt.Sprint("ch_", charge)), money.Amount(1+r.IntN(10))
		for range r.IntN(3) {
			time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond) // an answer takes its time
			g.Go(id, ledger.Observe{Charge: ch, Observed: 1}, nil)
		}
		if r.IntN(8) == 0 {
			if _, err := g.Do(ctx, id, ledger.Release{Charge: ch, Failed: true}); err != nil {
				t.Errorf("releasing %s: %v", ch, err)
			}
			return
		}
		res, err := g.Do(ctx, id, ledger.Settle{Charge: ch, Cost: cost})
		if err != nil || res.Replayed {
			t.Errorf("settling %s: %v, booked before: %t", ch, err, res.Replayed)
		}
		spent[id].Add(int64(cost))
	}
	for round := range 8 {
		for i := range 12 {
			r := rand.New(rand.NewPCG(random, uint64(100*round+i))) //nolint:gosec // a test
			g.all.Go(func() {
				for {
					select {
					case <-g.stop:
						return
					default:
						request(g, r)
					}
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		next, left := g.succeed(t, disk)
		close(g.stop) // it admits no more, and ends
		g.all.Wait()
		g.Close()
		if err := g.at.Close(); err != nil {
			t.Error(err)
		}
		left()
		g = next
	}
	for _, id := range accounts {
		a, err := g.Account(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Holds) > 0 || int64(a.SpentNet()) != spent[id].Load() {
			t.Errorf("account %s: %d holds are open and %d was spent, want %d", id, len(a.Holds), a.SpentNet(), spent[id].Load())
		}
	}
	g.Close()
	clean(t, disk)
	none := func(id store.ID, _ []byte) error { return errors.New("left: " + id.Name) }
	for _, k := range []store.Kind{store.Hold, store.Gateway} {
		if err := disk.View(ctx, func(s store.Snapshot) error { return s.Scan(store.ID{Kind: k}, false, none) }); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
}
