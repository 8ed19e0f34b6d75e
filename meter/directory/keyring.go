package directory

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// keyring knows all keys of a kind by the SHA-256 of their text. Looking a hash
// up in a map leaks nothing about the keys that exist.
type keyring struct {
	kind store.Kind
	mu   sync.RWMutex
	keys map[[32]byte]*Key
}

func (r *keyring) load(ctx context.Context, b *writer.Writer) error {
	r.keys = map[[32]byte]*Key{}
	return b.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: r.kind}, false, func(id store.ID, v []byte) error {
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

// find is the key with this text, or nil.
func (r *keyring) find(secret string) *Key {
	var room [64]byte // as long as keys are; longer texts get memory of their own
	hash := sha256.Sum256(append(room[:0], secret...))
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[hash]
}

// first is a key that fits, with its hash, or nil.
func (r *keyring) first(fits func(*Key) bool) (*Key, [32]byte) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for hash, k := range r.keys {
		if fits(k) {
			return k, hash
		}
	}
	return nil, [32]byte{}
}

func (r *keyring) any(fits func(*Key) bool) bool {
	k, _ := r.first(fits)
	return k != nil
}

// list is all keys that fit, oldest first.
func (r *keyring) list(fits func(*Key) bool) (list []Key) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if fits(k) {
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

// store keeps a key, new or changed.
func (r *keyring) store(ctx context.Context, b *writer.Writer, hash [32]byte, k Key) error {
	if err := b.Update(ctx, func(tx store.Tx) error { return r.write(tx, hash, &k) }); err != nil {
		return err
	}
	r.put(map[[32]byte]Key{hash: k})
	return nil
}

// write puts a key into a commit; put makes it known when that has succeeded.
func (r *keyring) write(tx store.Tx, hash [32]byte, k *Key) error {
	raw, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return tx.Put(store.ID{Kind: r.kind, Name: string(hash[:])}, raw)
}

func (r *keyring) put(keys map[[32]byte]Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for hash, k := range keys {
		r.keys[hash] = &k
	}
}

// ofMember is a member's keys that are not revoked.
func (r *keyring) ofMember(account, member string) map[[32]byte]Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	keys := map[[32]byte]Key{}
	for hash, k := range r.keys {
		if k.Account == account && k.Member == member && k.RevokedAt.IsZero() {
			keys[hash] = *k
		}
	}
	return keys
}

// revoke ends a key at once. Revoking a revoked one changes nothing.
func (r *keyring) revoke(ctx context.Context, b *writer.Writer, now time.Time, fits func(*Key) bool) (k Key, err error) {
	found, hash := r.first(fits)
	if found == nil {
		return k, ErrNoSuchKey
	}
	if k = *found; !k.RevokedAt.IsZero() {
		return k, nil
	}
	k.RevokedAt = now.UTC().Truncate(time.Second)
	return k, r.store(ctx, b, hash, k)
}
