package directory

import (
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/rate"
)

// Attempts limits what anybody with a key, or without one, can repeat although each
// time costs a commit of the ledger: sign-ins, links, changes of keys and members. Its
// methods are safe for concurrent use.
type Attempts struct {
	now                      func() time.Time
	address, who, of, change *rate.Limiter
}

// TooOften is the error of a caller who has to wait.
type TooOften struct {
	What string        // "sign-ins from this address"
	Wait time.Duration // more than 0
}

func (e *TooOften) Error() string {
	return fmt.Sprintf("too many %s; try again in %s", e.What, max(time.Second, e.Wait.Round(time.Second)))
}

func newAttempts(now func() time.Time) *Attempts {
	return &Attempts{
		now:     now,
		address: rate.New(120, 500*time.Millisecond), who: rate.New(30, 2*time.Second), of: rate.New(60, time.Second),
		change: rate.New(120, time.Second),
	}
}

func (a *Attempts) take(l *rate.Limiter, what, name string) error {
	if wait := l.Take(name, a.now()); wait > 0 {
		return &TooOften{What: what, Wait: wait}
	}
	return nil
}

// FromAddress counts a sign-in, a sign-out or an opened link, with a key or without. An
// office of many people has one address, so it may be 120 at once, then two a second.
func (a *Attempts) FromAddress(address string) error {
	return a.take(a.address, "sign-ins from this address", address)
}

// SignIn counts a sign-in with a key: 30 at once, then one in two seconds.
func (a *Attempts) SignIn(key string) error { return a.take(a.who, "sign-ins with this key", key) }

// Link counts a link that is made for an account or a member of it: 60 at once, then
// one a second.
func (a *Attempts) Link(account, member string) error {
	return a.take(a.of, "links for this account or member", account+"\x00"+member)
}

// Change counts a change that someone of an account makes to its keys, members, alerts
// or webhook: 120 at once, then one a second.
func (a *Attempts) Change(account string) error {
	return a.take(a.change, "changes of this account", account)
}
