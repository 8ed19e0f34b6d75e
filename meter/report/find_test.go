package report_test

import (
	"errors"
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// An id leads to its account: of a grant, of a charge, of an open hold.
func TestOwner(t *testing.T) {
	p := burnAt(t, "UTC", "2026-11-01T00:00:00Z")
	for _, id := range []string{"acme", "beta", "gamma"} {
		p.Create(id, "monthly")
	}
	p.give("beta", "10", "pay_1", "")
	grants := p.Account("beta").Grants
	want := map[string]string{
		p.Use("acme", one, 3): "acme", p.Hold("gamma", one, 2): "gamma", string(grants[len(grants)-1].ID): "beta",
		string(grants[0].ID): "acme", // of a plan: each account has one with this id
	}
	for id, account := range want {
		if got, err := p.Reports.Owner(t.Context(), id); err != nil || got != account {
			t.Errorf("%s belongs to %q, %v; want %s", id, got, err, account)
		}
	}
	for _, id := range []string{"ch_unknown", "grant_unknown"} {
		if got, err := p.Reports.Owner(t.Context(), id); !errors.Is(err, ledger.ErrNoCharge) {
			t.Errorf("%s: %q, %v", id, got, err)
		}
	}
}
