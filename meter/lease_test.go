package meter

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// A charge has a lease from its hold to its settle, and whoever serves it
// renews that from wherever it likes.
func TestAChargeHasALeaseUntilItIsSettled(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post(chat, streamed))
	stop := c.KeepAlive()
	c.Renew()
	if !g.m.writer.Renew(ledger.ChargeID(c.ID)) {
		t.Error("an open charge has no lease")
	}
	c.Settle(NotReached, nil)
	stop()
	stop()
	g.wants(1000, 0)
	if g.m.writer.Renew(ledger.ChargeID(c.ID)) {
		t.Error("a settled charge has a lease")
	}
	c.Renew() // no harm
}
