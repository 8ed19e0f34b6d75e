package concurrency_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/farebox-dev/farebox/meter/concurrency"
)

// TestNeverMoreThanAllowed: whatever enters, moves and leaves at the same time, no
// subject has more under way than its limit, and in the end nothing is left.
func TestNeverMoreThanAllowed(t *testing.T) {
	var c concurrency.Counter
	limits := concurrency.Limits{Account: 7, Member: 4, Key: 2}
	callers := []concurrency.Caller{
		{Account: "a", Member: "m", Key: "k1"}, {Account: "a", Member: "m", Key: "k2"}, {Account: "a", Member: "n", Key: "k3"},
		{Account: "a"}, {Account: "b", Key: "k4"}, {Account: "b", Member: "m"},
	}
	var open [len(`abmnk1k2k3k4`)]atomic.Int64 // by what is counted, see below
	index := map[string]int{"a": 0, "b": 1, "a/m": 2, "a/n": 3, "k1": 4, "k2": 5, "k3": 6, "k4": 7, "b/m": 8}
	count := func(w concurrency.Caller, n int64) {
		for _, s := range []struct {
			name string
			most int
		}{{w.Account, limits.Account}, {w.Account + "/" + w.Member, limits.Member}, {w.Key, limits.Key}} {
			i, counts := index[s.name]
			if !counts {
				continue
			}
			if now := open[i].Add(n); now > int64(s.most) || now < 0 {
				t.Errorf("%s has %d under way, and %d may be", s.name, now, s.most)
			}
		}
	}
	var entered, refused atomic.Int64
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // a test
			for range 2000 {
				w := callers[r.IntN(len(callers))]
				var p, other concurrency.Place
				if full := c.Enter(w, limits, &p); full != nil {
					if full.Open < full.Limit {
						t.Errorf("refused with %d of %d per %s", full.Open, full.Limit, full.Per)
					}
					refused.Add(1)
					p.Leave() // a place that was not taken
					continue
				}
				entered.Add(1)
				count(w, 1)
				if r.IntN(2) == 0 {
					p.Move(&other)
				}
				count(w, -1)
				p.Leave()
				other.Leave()
				p.Leave()
			}
		})
	}
	all.Wait()
	if entered.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d entered and %d were refused: the test has shown nothing", entered.Load(), refused.Load())
	}
	for _, w := range callers {
		if left := c.Open(w); left != (concurrency.Limits{}) {
			t.Errorf("of %+v %+v is under way after all have left", w, left)
		}
	}
}

// TestALimitThatComesLater counts what was under way before there was one.
func TestALimitThatComesLater(t *testing.T) {
	var c concurrency.Counter
	w := concurrency.Caller{Account: "a", Key: "k"}
	var before [3]concurrency.Place
	for i := range before {
		c.Resume(w, &before[i])
	}
	var p concurrency.Place
	if full := c.Enter(w, concurrency.Limits{Account: 3}, &p); full == nil || full.Per != "account" || full.Open != 3 {
		t.Fatalf("a fourth entered: %v", full)
	}
	before[1].Leave()
	if err := c.Enter(w, concurrency.Limits{Account: 3}, &p); err != nil {
		t.Fatal(err)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	var c concurrency.Counter
	w := concurrency.Caller{Account: "a", Member: "m", Key: "k"}
	allocated := testing.AllocsPerRun(1000, func() {
		var p concurrency.Place
		if err := c.Enter(w, concurrency.Limits{Account: 5}, &p); err != nil {
			t.Fatal(err)
		}
		p.Leave()
	})
	if allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestLeast(t *testing.T) {
	for _, c := range [][3]int{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {3, 5, 3}, {5, 3, 3}} {
		if got := concurrency.Least(c[0], c[1]); got != c[2] {
			t.Errorf("of %d and %d, %d", c[0], c[1], got)
		}
	}
}
