package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// KeyPrefix begins every API key.
const KeyPrefix = "fb_live_"

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
}

// Keys are the API keys of all accounts.
type Keys struct{ *core }

// Find finds a key that is in force. The error is a *Refusal.
func (d *Keys) Find(secret string) (Key, error) {
	k := d.keys.find(secret)
	switch {
	case secret == "":
		return Key{}, &Refusal{NoKey, `An API key is needed; send it as "Authorization: Bearer ` + KeyPrefix + `…" or "x-api-key".`}
	case k == nil && !wellFormed(secret, KeyPrefix):
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
	if _, err := d.writer.Do(ctx, ledger.AccountID(k.Account), ledger.Touch{}); err != nil {
		return "", Key{}, err
	}
	if k.Member != "" {
		d.roster.change.Lock() // the member is not removed meanwhile
		defer d.roster.change.Unlock()
		if x := d.roster.find(k.Account, k.Member); x != nil && !x.RemovedAt.IsZero() {
			return "", Key{}, fmt.Errorf("%w: %s was removed; add it again first", ErrNoMember, k.Member)
		}
	}
	secret = newSecret(KeyPrefix)
	hash := sha256.Sum256([]byte(secret))
	k.ID, k.CreatedAt = "key_"+hex.EncodeToString(hash[:8]), d.now().UTC().Truncate(time.Second)
	k.Hint = hint(secret, KeyPrefix)
	if err = d.keys.store(ctx, d.writer, hash, k); err != nil {
		return "", Key{}, err
	}
	return secret, k, d.events.Post(ctx, k.Account, event.KeyCreated, k.ID, map[string]any{"key": k.ID, "name": k.Name, "hint": k.Hint, "member": k.Member})
}

// Revoke ends a key at once. Revoking a revoked one changes nothing.
func (d *Keys) Revoke(ctx context.Context, account, id string) (Key, error) {
	k, err := d.keys.revoke(ctx, d.writer, d.now(), func(k *Key) bool { return k.Account == account && k.ID == id })
	if errors.Is(err, ErrNoSuchKey) {
		err = fmt.Errorf("%w: %s", err, id)
	}
	return k, err
}

// List lists the keys of an account, oldest first.
func (d *Keys) List(account string) []Key {
	return d.keys.list(func(k *Key) bool { return k.Account == account })
}

// Rotate makes a new key like another one of the account, which ends after
// overlap.
func (d *Keys) Rotate(ctx context.Context, account, id string, overlap time.Duration) (secret string, k Key, err error) {
	found, hash := d.keys.first(func(k *Key) bool { return k.Account == account && k.ID == id })
	if found == nil || !d.keyLives(id) {
		return "", k, fmt.Errorf("%w that could be rotated: %s", ErrNoSuchKey, id)
	}
	old := *found
	if secret, k, err = d.Create(ctx, Key{Account: account, Member: old.Member, Name: old.Name}); err != nil {
		return "", k, err
	}
	if end := d.now().Add(overlap).UTC().Truncate(time.Second); old.ExpiresAt.IsZero() || end.Before(old.ExpiresAt) {
		old.ExpiresAt = end
	}
	return secret, k, d.keys.store(ctx, d.writer, hash, old)
}
