//go:build !race

package writer

import (
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/allocations"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// hotPaths are what each request does with the writer, on a store that costs little.
func hotPaths(t testing.TB) []allocations.Path {
	t.Helper()
	tr := terms()
	tr.Plans["basic"].Credits[0].Amount = 1 << 50
	w, err := Open(ctx, memory.New(), Options{Now: time.Now, Terms: tr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if _, err := w.Do(ctx, "acme", ledger.Open{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	i := 0
	return []allocations.Path{{Name: "reserve and settle", Run: func() {
		i++
		r, err := w.Do(ctx, "acme", reserve(i, 10))
		if err == nil {
			_, err = w.Do(ctx, "acme", ledger.Settle{Charge: r.Charge.ID, Cost: 7})
		}
		if err != nil {
			t.Fatal(err)
		}
	}}}
}

func TestAllocationsOfHotPaths(t *testing.T) { allocations.Check(t, "writer", hotPaths(t)) }

func BenchmarkHotPaths(b *testing.B) { allocations.Bench(b, hotPaths(b)) }
