package directory

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// KeyPrefix begins every API key.
const KeyPrefix = "fb_live_"

// Errors of accounts that have as many keys or members as one can have.
var (
	ErrMaxKeys    = errors.New("max_keys of the account is reached")
	ErrMaxMembers = errors.New("max_members of the account is reached")
)

// ErrNoSuchKey: no key of the account has that id.
var ErrNoSuchKey = errors.New("no API key has this id")

// Key describes an API key. The key itself is not stored.
type Key struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Member    string    `json:"member,omitempty"`
	Name      string    `json:"name,omitempty"`
	Hint      string    `json:"hint"` // "fb_live_4f9c…Qx7K"
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	Scopes    []string  `json:"scopes,omitempty"` // of an operator's key
	// MaxConcurrent is how many requests it may have under way at once, if that is less than the plan allows; 0: no limit of its own.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
}

// Keys are the API keys of all accounts.
type Keys struct{ *core }

// Find finds a key that is in force. The error is a *Refusal.
func (d *Keys) Find(secret string) (Key, error) {
	if secret == "" {
		return Key{}, &Refusal{NoKey, `An API key is needed; send it as "Authorization: Bearer ` + KeyPrefix + `…" or "x-api-key".`}
	}
	k, err := d.keys.find(secret)
	switch {
	case err != nil:
		return Key{}, err
	case k == nil && !d.keys.mayBe(secret):
		return Key{}, &Refusal{UnknownKey, "This service does not know this API key. It may be mistyped; keys begin with " + KeyPrefix + "."}
	case k == nil:
		return Key{}, &Refusal{UnknownKey, "This API key is unknown."}
	case !k.RevokedAt.IsZero():
		return Key{}, &Refusal{KeyRevoked, "This API key was revoked at " + k.RevokedAt.Format(time.RFC3339) + "; create a new one."}
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(d.now()):
		return Key{}, &Refusal{KeyExpired, "This API key expired at " + k.ExpiresAt.Format(time.RFC3339) + "; create a new one."}
	}
	return *k, nil
}

// Create makes a key for an account. The secret is returned once and cannot
// be had again.
func (d *Keys) Create(ctx context.Context, k Key) (secret string, created Key, err error) {
	if err := ValidMaxConcurrent(k.MaxConcurrent); err != nil {
		return "", Key{}, err
	}
	if _, err := d.writer.Do(ctx, ledger.AccountID(k.Account), ledger.Touch{}); err != nil {
		return "", Key{}, err
	}
	lock := &d.creating[maphash.String(creatingSeed, k.Account)%uint64(len(d.creating))]
	lock.Lock()
	defer lock.Unlock()
	dead, err := d.room(k.Account)
	if err != nil {
		return "", Key{}, err
	}
	if k.Member != "" {
		d.roster.change.Lock() // the member is not removed meanwhile
		defer d.roster.change.Unlock()
		if x, err := d.roster.find(k.Account, k.Member); err != nil {
			return "", Key{}, err
		} else if x != nil && !x.RemovedAt.IsZero() {
			return "", Key{}, fmt.Errorf("%w: %s was removed; add it again first", ErrNoMember, k.Member)
		}
	}
	secret = newSecret(KeyPrefix)
	of := hash(sha256.Sum256([]byte(secret)))
	k.ID, k.CreatedAt = d.keys.id(of), d.now().UTC().Truncate(time.Second)
	k.Hint = hint(secret, KeyPrefix)
	if err = d.keys.add(ctx, of, &k, dead); err != nil {
		return "", Key{}, err
	}
	return secret, k, d.events.Post(ctx, k.Account, event.KeyCreated, k.ID, map[string]any{"key": k.ID, "name": k.Name, "hint": k.Hint, "member": k.Member})
}

// mostKeys is how many keys an account can have. Of those that are not in force, the
// oldest then makes room for a new one. It is a variable for tests.
var mostKeys = 10_000

var creatingSeed = maphash.MakeSeed()

// room is a key of the account that has to go before there can be another one; nil if
// there is room.
func (d *Keys) room(account string) (dead *hash, err error) {
	n := 0
	var oldest time.Time
	err = d.writer.View(context.Background(), func(s store.Snapshot) error {
		return d.keys.each(s, account, func(of hash, k *Key) {
			n++
			if !k.lives(d.now()) && (dead == nil || k.CreatedAt.Before(oldest)) {
				dead, oldest = &of, k.CreatedAt
			}
		})
	})
	switch {
	case err != nil || n < mostKeys:
		return nil, err
	case dead == nil:
		return nil, fmt.Errorf("%w: it has %d API keys in force; revoke some that are not used", ErrMaxKeys, n)
	}
	return dead, nil
}

// Revoke ends a key at once. Revoking a revoked one changes nothing.
func (d *Keys) Revoke(ctx context.Context, account, id string) (Key, error) {
	return d.revoke(ctx, &d.keys, account, id)
}

// Limit sets how many requests a key may have under way at once.
func (d *Keys) Limit(ctx context.Context, account, id string, most int) (Key, error) {
	if err := ValidMaxConcurrent(most); err != nil {
		return Key{}, err
	}
	return d.changeOf(ctx, &d.keys, account, id, func(k *Key) { k.MaxConcurrent = most })
}

func (c *core) revoke(ctx context.Context, from *keyring, account, id string) (Key, error) {
	return c.changeOf(ctx, from, account, id, func(k *Key) {
		if k.RevokedAt.IsZero() {
			k.RevokedAt = c.now().UTC().Truncate(time.Second)
		}
	})
}

// changeOf changes a key of an account.
func (c *core) changeOf(ctx context.Context, from *keyring, account, id string, fn func(*Key)) (Key, error) {
	k, err := from.change(ctx, id, func(k *Key) error {
		if k.Account != account {
			return ErrNoSuchKey
		}
		fn(k)
		return nil
	})
	if errors.Is(err, ErrNoSuchKey) {
		err = fmt.Errorf("%w: %s", err, id)
	}
	return k, err
}

// List lists the keys of an account, oldest first.
func (d *Keys) List(account string) ([]Key, error) { return d.keys.list(account) }

// Rotate makes a new key like another one of the account, which ends after
// overlap.
func (d *Keys) Rotate(ctx context.Context, account, id string, overlap time.Duration) (secret string, k Key, err error) {
	var old Key
	err = d.writer.View(ctx, func(s store.Snapshot) error {
		found, _, err := d.keys.named(s, id)
		if err == nil && (found.Account != account || !found.lives(d.now())) {
			err = ErrNoSuchKey
		}
		if err == nil {
			old = *found
		}
		return err
	})
	if errors.Is(err, ErrNoSuchKey) {
		return "", k, fmt.Errorf("%w that could be rotated: %s", ErrNoSuchKey, id)
	}
	if err != nil {
		return "", k, err
	}
	if secret, k, err = d.Create(ctx, Key{Account: account, Member: old.Member, Name: old.Name, MaxConcurrent: old.MaxConcurrent}); err != nil {
		return "", k, err
	}
	end := d.now().Add(overlap).UTC().Truncate(time.Second)
	_, err = d.keys.change(ctx, id, func(k *Key) error {
		if k.ExpiresAt.IsZero() || end.Before(k.ExpiresAt) {
			k.ExpiresAt = end
		}
		return nil
	})
	return secret, k, err
}

// lives reports whether a key is in force.
func (k *Key) lives(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(now))
}
