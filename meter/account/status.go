package account

import "github.com/farebox-dev/farebox/meter/ledger"

// Status is an account's state in one word: "suspended", "unlimited",
// "overage", "exhausted" (nothing is available), "low" (below one of its
// thresholds) or "ok".
func (s *Accounts) Status(a *ledger.Account) string {
	available, unlimited := a.Available(s.writer.Now())
	switch {
	case a.Suspended:
		return "suspended"
	case unlimited:
		return "unlimited"
	case available == 0 && a.OveragePeriod+a.OverageHeld > 0:
		return "overage"
	case available == 0:
		return "exhausted"
	case s.low(a):
		return "low"
	}
	return "ok"
}

func (s *Accounts) low(a *ledger.Account) bool {
	for _, l := range a.Levels(s.books.InForce().Terms, s.writer.Now()) {
		if l.Due && !l.Overage {
			return true
		}
	}
	return false
}

// Thresholds are the levels below which an account's admins are notified; own:
// they are the account's, not the price file's.
func (s *Accounts) Thresholds(a *ledger.Account) (levels []ledger.Level, own bool) {
	return a.Levels(s.books.InForce().Terms, s.writer.Now()), a.Watch.Own
}
