package meter

import "github.com/farebox-dev/farebox/meter/ledger"

// Status is an account's state in one word: "suspended", "unlimited",
// "overage", "exhausted" (nothing is available), "low" (below one of its
// thresholds) or "ok".
func (m *Meter) Status(a *ledger.Account) string {
	available, unlimited := a.Available(m.writer.Now())
	switch {
	case a.Suspended:
		return "suspended"
	case unlimited:
		return "unlimited"
	case available == 0 && a.OveragePeriod+a.OverageHeld > 0:
		return "overage"
	case available == 0:
		return "exhausted"
	case m.low(a):
		return "low"
	}
	return "ok"
}

func (m *Meter) low(a *ledger.Account) bool {
	for _, l := range a.Levels(m.Books.InForce().Terms, m.writer.Now()) {
		if l.Due && !l.Overage {
			return true
		}
	}
	return false
}

// Thresholds are the levels at which an account's admins want to be told that
// credits run low, as text ("20%", "500"); own: they are the account's, not the
// price file's.
func (m *Meter) Thresholds(a *ledger.Account) (levels []ledger.Level, own bool) {
	return a.Levels(m.Books.InForce().Terms, m.writer.Now()), a.Watch.Own
}
