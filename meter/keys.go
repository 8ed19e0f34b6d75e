package meter

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/bank"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
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
}

// keyring knows all keys by the SHA-256 of their text. Looking a hash up in a
// map leaks nothing about the keys that exist.
type keyring struct {
	mu   sync.RWMutex
	keys map[[32]byte]*Key
}

func (r *keyring) load(ctx context.Context, b *bank.Bank) error {
	r.keys = map[[32]byte]*Key{}
	return b.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Key}, false, func(id store.ID, v []byte) error {
			k := &Key{}
			if err := json.Unmarshal(v, k); err != nil {
				return fmt.Errorf("reading key %x: %w", id.Name, err)
			}
			var hash [32]byte
			copy(hash[:], id.Name)
			r.keys[hash] = k
			return nil
		})
	})
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newSecret is fb_live_, 32 random characters (190 bits) and a checksum of 6, by
// which a mistyped key is told from a revoked one without a look-up.
func newSecret() string {
	var raw [48]byte
	out := make([]byte, 0, 32)
	for len(out) < 32 {
		_, _ = rand.Read(raw[:]) // never fails
		for _, b := range raw {
			if b < 248 && len(out) < 32 { // 248 = 4 × 62: no character is likelier
				out = append(out, base62[b%62])
			}
		}
	}
	return KeyPrefix + string(out) + checksum(string(out))
}

func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	var out [6]byte
	for i := range out {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// Identify finds whose key this is. The error is a *Denial.
func (m *Meter) Identify(secret string) (Caller, error) {
	body, ok := strings.CutPrefix(secret, KeyPrefix)
	if !ok || len(body) != 38 || checksum(body[:32]) != body[32:] {
		if secret == "" {
			return Caller{}, &Denial{Reason: NoKey, Message: `An API key is needed; send it as "Authorization: Bearer ` + KeyPrefix + `…" or "x-api-key".`}
		}
		return Caller{}, &Denial{Reason: UnknownKey, Message: "This is not an API key of this service; keys begin with " + KeyPrefix + "."}
	}
	m.keys.mu.RLock()
	k := m.keys.keys[sha256.Sum256([]byte(secret))]
	m.keys.mu.RUnlock()
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
	secret = newSecret()
	hash := sha256.Sum256([]byte(secret))
	k.ID, k.CreatedAt = "key_"+hex.EncodeToString(hash[:8]), m.opt.Now().UTC().Truncate(time.Second)
	k.Hint = secret[:len(KeyPrefix)+4] + "…" + secret[len(secret)-4:]
	return secret, k, m.putKey(ctx, hash, k)
}

func (m *Meter) putKey(ctx context.Context, hash [32]byte, k Key) error {
	raw, err := json.Marshal(k)
	if err != nil {
		return err
	}
	err = m.bank.Update(ctx, func(tx store.Tx) error {
		return tx.Put(store.ID{Kind: store.Key, Name: string(hash[:])}, raw)
	})
	if err != nil {
		return err
	}
	m.keys.mu.Lock()
	defer m.keys.mu.Unlock()
	m.keys.keys[hash] = &k
	return nil
}

// RevokeKey ends a key at once. Revoking a revoked one changes nothing.
func (m *Meter) RevokeKey(ctx context.Context, account, id string) (Key, error) {
	m.keys.mu.RLock()
	var found *Key
	var hash [32]byte
	for h, k := range m.keys.keys {
		if k.Account == account && k.ID == id {
			found, hash = k, h
		}
	}
	m.keys.mu.RUnlock()
	if found == nil {
		return Key{}, fmt.Errorf("%w: %s", ErrNoSuchKey, id)
	}
	k := *found
	if !k.RevokedAt.IsZero() {
		return k, nil
	}
	k.RevokedAt = m.opt.Now().UTC().Truncate(time.Second)
	return k, m.putKey(ctx, hash, k)
}

// Keys lists the keys of an account, oldest first.
func (m *Meter) Keys(account string) (list []Key) {
	m.keys.mu.RLock()
	defer m.keys.mu.RUnlock()
	for _, k := range m.keys.keys {
		if k.Account == account {
			list = append(list, *k)
		}
	}
	slices.SortFunc(list, func(a, b Key) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}
