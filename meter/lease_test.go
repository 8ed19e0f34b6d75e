package meter

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// A charge has a lease from its hold to its settle, and whoever
// serves it renews that.
func TestAChargeHasALeaseUntilItIsSettled(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post(chat, streamed))
	stop := c.KeepAlive()
	if !g.m.writer.Renew(ledger.ChargeID(c.Info().ID)) {
		t.Error("an open charge has no lease")
	}
	c.Settle(t.Context(), NotReached, nil)
	stop()
	stop()
	g.wants(1000, 0)
	if g.m.writer.Renew(ledger.ChargeID(c.Info().ID)) {
		t.Error("a settled charge has a lease")
	}
}
