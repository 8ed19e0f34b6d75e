package ledger

import (
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/selector"
)

// What can be spent is decided by comparing with the clock; that expiry has not
// been booked yet makes no difference.
func TestWhatIsOverCannotBeSpentWhetherASweepHasRunOrNot(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 70, ExpiresAt: b.now.Add(time.Hour)})
	for _, x := range []struct {
		after time.Duration
		want  int64
	}{{time.Hour - 1, 570}, {time.Hour, 500}, {48 * time.Hour, 500}, {31 * 24 * time.Hour, 0}} {
		now := b.now.Add(x.after)
		all, _ := b.a.Available(now)
		some, _ := b.a.AvailableFor(&selector.Subject{}, now)
		if int64(all) != x.want || int64(some) != x.want {
			t.Errorf("%s later, nothing booked: %d and %d can be spent, want %d", x.after, all, some, x.want)
		}
	}
	if b.a.Expired != 0 {
		t.Error("a look at the balance booked something")
	}
}
