// Package directory knows who may ask: API keys, members, operators' keys and
// the sessions of browsers. Secrets are kept as hashes only.
package directory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Reasons of a Refusal.
const (
	NoKey             = "no_key"
	UnknownKey        = "unknown_key"
	KeyRevoked        = "key_revoked"
	KeyExpired        = "key_expired"
	MemberRemoved     = "member_removed"
	ViewerCannotSpend = "viewer_cannot_spend"
)

// Refusal is why a caller may not ask.
type Refusal struct {
	Reason  string
	Message string // for people: what is wrong and what to do
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Message }

// Directory is all of it. Its methods are safe for concurrent use.
type Directory struct {
	Keys      *Keys
	Members   *Members
	Operators *Operators
	Sessions  *Sessions
	Profiles  *Profiles
	Attempts  *Attempts
}

// core is what the parts share: one change can touch several of them.
type core struct {
	writer          *writer.Writer
	books           *pricebook.Books
	events          *event.Hub
	now             func() time.Time
	keys, operators keyring
	roster          roster
	ends            ends
	profiles        recent[string, Profile]
	attempts        *Attempts
	creating        [64]sync.Mutex // keys of accounts: one at a time, so that a bound holds
}

// Load opens the directory of a writer's store. It reads no keys and no members:
// there may be millions.
func Load(ctx context.Context, b *writer.Writer, books *pricebook.Books, events *event.Hub, now func() time.Time) (*Directory, error) {
	c := &core{
		attempts: newAttempts(now),
		writer:   b, books: books, events: events, now: now,
		keys:      keyring{kind: store.Key, prefix: "key_", begins: KeyPrefix, writer: b},
		operators: keyring{kind: store.Operator, prefix: "op_", begins: OperatorPrefix, writer: b},
		roster:    roster{writer: b, decimals: books.InForce().Credit.Decimals},
	}
	d := &Directory{Keys: &Keys{c}, Members: &Members{c}, Operators: &Operators{c}, Sessions: &Sessions{c}, Profiles: &Profiles{c}, Attempts: c.attempts}
	b.Peers.OnChange(func() {
		c.keys.recent.clear()
		_ = c.lookForForeignKeys(context.Background()) // until that succeeds, those that were imported elsewhere are unknown here
	}, store.Key)
	b.Peers.OnChange(c.operators.recent.clear, store.Operator)
	b.Peers.OnChange(c.roster.recent.clear, store.Member)
	b.Peers.OnChange(c.profiles.clear, store.Profile)
	return d, errors.Join(c.lookForForeignKeys(ctx), c.keys.listAll(ctx), d.Sessions.listAll(ctx))
}

func (c *core) lookForForeignKeys(ctx context.Context) error {
	return c.writer.View(ctx, func(s store.Snapshot) error {
		_, err := s.Get(foreignKeys)
		if err == nil {
			c.keys.foreign.Store(true)
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
}

// keyLives: a session ends with the API or operator key that opened it.
func (c *core) keyLives(s store.Snapshot, id string) (bool, error) {
	from := &c.keys
	if strings.HasPrefix(id, c.operators.prefix) {
		from = &c.operators
	}
	k, _, err := from.named(s, id)
	if errors.Is(err, ErrNoSuchKey) {
		return false, nil
	}
	return err == nil && k.lives(c.now()), err
}

// ValidID accepts 1 to 128 printable characters without spaces, quotes
// and slashes, so that an id fits into a URL, a header and a file name.
func ValidID(id string) error {
	if id == "" || len(id) > 128 {
		return input.Errorf("an account id has 1 to 128 characters")
	}
	for _, r := range id {
		if r <= ' ' || r == 0x7f || r == '/' || r == '\\' || r == '"' || r == '\'' || r == '?' || r == '#' || r == '%' {
			return input.Errorf("the account id %q contains %q; use letters, digits and . _ - : @ + ~", id, r)
		}
	}
	return nil
}
