package writer

import (
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// The account's state forgets a grant that is over and empty; its id is taken
// all the same, over restarts, too.
func TestAGrantThatIsHistoryIsNotGivenAgain(t *testing.T) {
	now := time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)
	s := memory.New()
	b := open(t, s, Options{Now: func() time.Time { return now }})
	must(t, b, "acme", ledger.Open{ID: "acme"})
	give := ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 70, Expires: calendar.Duration{Count: 1, Unit: calendar.Day}}
	must(t, b, "acme", give)
	now = now.Add(48 * time.Hour)
	if left := available(t, b); left != 500 {
		t.Fatalf("%d available after its end", left)
	}
	b.Close()
	b = open(t, s, Options{Now: func() time.Time { return now }})
	if r := must(t, b, "acme", give); !r.Replayed || r.Grant.ID != "gr_1" {
		t.Errorf("the same grant again: %+v", r)
	}
	if left := available(t, b); left != 500 {
		t.Errorf("%d available after the same grant came again", left)
	}
	b.Close()
	clean(t, s)
}
