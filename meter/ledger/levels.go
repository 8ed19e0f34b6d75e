package ledger

import (
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

// Level is a threshold of an account now.
type Level struct {
	Threshold
	Limit money.Amount // what a percentage comes to
	Due   bool         // available is below it, or overage above
}

// Levels compares the account with its thresholds at now: its own, or those of the
// terms.
func (a *Account) Levels(t *Terms, now time.Time) []Level {
	w := &work{a: a, Env: Env{Now: now, Terms: t}}
	list := []Level{}
	for _, x := range w.levels(now) {
		list = append(list, Level{Threshold: *x.Threshold, Limit: x.limit, Due: !x.fine})
	}
	return list
}
