package event_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/event"
)

// A sweep goes through all pages of accounts, and changes only those that have
// something due.
func TestASweepReachesEveryPageOfAccounts(t *testing.T) {
	in(t, func(n *noticed) {
		for i := range 1_200 {
			n.Create(fmt.Sprintf("a%04d", i), "")
		}
		for _, id := range []string{"a0000", "a0499", "a0500", "a0501", "a1199"} {
			n.grant(id, id)
		}
		idle := n.Account("a0007").Seq
		n.later(time.Minute)
		if got := n.Account("a0007").Seq; got != idle {
			t.Errorf("a sweep with nothing due wrote entry %d of an idle account", got)
		}
		n.later(25 * 24 * time.Hour) // packs expire after 30 days
		told := map[string]bool{}
		err := n.Events.Outbox.List(t.Context(), func(d *event.Delivery) bool {
			told[d.Account] = told[d.Account] || d.Type == event.Expiring
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a0000", "a0499", "a0500", "a0501", "a1199"} {
			if !told[id] {
				t.Errorf("%s has no event that its credits expire", id)
			}
		}
	})
}
