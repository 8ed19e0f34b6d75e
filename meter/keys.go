package meter

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
var ErrNoSuchKey = errors.New("there is no such key")

// Key is what is known of an API key; the key itself is kept by nobody.
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

// Identify finds whose key this is. The error is a *Denial.
func (m *Meter) Identify(secret string) (Caller, error) {
	if !wellFormed(secret, KeyPrefix) {
		if secret == "" {
			return Caller{}, &Denial{Reason: NoKey, Message: `An API key is needed; send it as "Authorization: Bearer ` + KeyPrefix + `…" or "x-api-key".`}
		}
		return Caller{}, &Denial{Reason: UnknownKey, Message: "This is not an API key of this service; keys begin with " + KeyPrefix + "."}
	}
	k := m.keys.find(secret)
	switch {
	case k == nil:
		return Caller{}, &Denial{Reason: UnknownKey, Message: "This API key is unknown."}
	case !k.RevokedAt.IsZero():
		return Caller{}, &Denial{Reason: KeyRevoked, Message: "This API key was revoked at " + k.RevokedAt.Format(time.RFC3339) + "; create a new one."}
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(m.opt.Now()):
		return Caller{}, &Denial{Reason: KeyExpired, Message: "This API key expired at " + k.ExpiresAt.Format(time.RFC3339) + "; create a new one."}
	}
	return Caller{Account: k.Account, Member: k.Member, Key: k.ID}, nil
}

// CreateKey makes a key for an account. The secret is returned once and cannot
// be had again.
func (m *Meter) CreateKey(ctx context.Context, k Key) (secret string, created Key, err error) {
	if _, err := m.bank.Do(ctx, ledger.AccountID(k.Account), ledger.Touch{}); err != nil {
		return "", Key{}, err
	}
	if k.Member != "" {
		m.roster.change.Lock() // the member is not removed meanwhile
		defer m.roster.change.Unlock()
		if x := m.roster.find(k.Account, k.Member); x != nil && !x.RemovedAt.IsZero() {
			return "", Key{}, fmt.Errorf("%w: %s was removed; add it again first", ErrNoMember, k.Member)
		}
	}
	secret = newSecret(KeyPrefix)
	hash := sha256.Sum256([]byte(secret))
	k.ID, k.CreatedAt = "key_"+hex.EncodeToString(hash[:8]), m.opt.Now().UTC().Truncate(time.Second)
	k.Hint = hint(secret, KeyPrefix)
	if err = m.keys.store(ctx, m.bank, hash, k); err != nil {
		return "", Key{}, err
	}
	return secret, k, m.Events.Post(ctx, k.Account, event.KeyCreated, k.ID, map[string]any{"key": k.ID, "name": k.Name, "hint": k.Hint, "member": k.Member})
}

// RevokeKey ends a key at once. Revoking a revoked one changes nothing.
func (m *Meter) RevokeKey(ctx context.Context, account, id string) (Key, error) {
	k, err := m.keys.revoke(ctx, m.bank, m.opt.Now(), func(k *Key) bool { return k.Account == account && k.ID == id })
	if errors.Is(err, ErrNoSuchKey) {
		err = fmt.Errorf("%w: %s", err, id)
	}
	return k, err
}

// Keys lists the keys of an account, oldest first.
func (m *Meter) Keys(account string) []Key {
	return m.keys.list(func(k *Key) bool { return k.Account == account })
}

// RotateKey makes a new key like another one of the account, which ends after
// overlap.
func (m *Meter) RotateKey(ctx context.Context, account, id string, overlap time.Duration) (secret string, k Key, err error) {
	found, hash := m.keys.first(func(k *Key) bool { return k.Account == account && k.ID == id })
	if found == nil || !m.keyLives(id) {
		return "", k, fmt.Errorf("%w that could be rotated: %s", ErrNoSuchKey, id)
	}
	old := *found
	if secret, k, err = m.CreateKey(ctx, Key{Account: account, Member: old.Member, Name: old.Name}); err != nil {
		return "", k, err
	}
	if end := m.opt.Now().Add(overlap).UTC().Truncate(time.Second); old.ExpiresAt.IsZero() || end.Before(old.ExpiresAt) {
		old.ExpiresAt = end
	}
	return secret, k, m.keys.store(ctx, m.bank, hash, old)
}
