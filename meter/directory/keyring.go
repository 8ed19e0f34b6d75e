package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// hash is the SHA-256 of a key's text, under which the key is stored. Looking it
// up leaks nothing about the keys that exist.
type hash [sha256.Size]byte

// keyring is the keys of a kind. They are in the store, and in memory only while
// they are used.
type keyring struct {
	kind   store.Kind
	prefix string // of ids
	begins string // how the keys themselves begin
	writer *writer.Writer
	recent recent[hash, *Key]

	foreign atomic.Bool // it has keys that were made elsewhere
}

// id is the id of a key: the beginning of its hash, by which it is found, too.
func (r *keyring) id(of hash) string { return r.prefix + hex.EncodeToString(of[:8]) }

func (r *keyring) at(of hash) store.ID { return store.ID{Kind: r.kind, Name: string(of[:])} }

// byAccount is the place of a key in the list of its account.
func byAccount(account string, of hash) store.ID {
	return store.ID{Kind: store.KeyOf, Account: account, Name: string(of[:])}
}

// find is the key with this text, or nil. It is shared; do not change it.
func (r *keyring) find(secret string) (*Key, error) {
	var room [64]byte // as long as keys are; longer texts get memory of their own
	of := hash(sha256.Sum256(append(room[:0], secret...)))
	k, known, changes := r.recent.get(of)
	if known {
		return k, nil
	}
	if !r.mayBe(secret) { // after the look into memory, which is faster
		return nil, nil
	}
	return r.look(of, changes)
}

// mayBe reports whether a text can be a key of the ring.
func (r *keyring) mayBe(secret string) bool {
	return wellFormed(secret, r.begins) || r.foreign.Load() && len(secret) >= minForeignKey && len(secret) <= maxForeignKey
}

// look finds a key in the store.
func (r *keyring) look(of hash, changes uint64) (k *Key, err error) {
	err = r.writer.View(context.Background(), func(s store.Snapshot) (err error) {
		k, err = r.read(s, of)
		return err
	})
	if errors.Is(err, ErrNoSuchKey) {
		return nil, nil
	}
	if err == nil {
		r.recent.add(of, k, changes)
	}
	return k, err
}

func (r *keyring) read(s store.Snapshot, of hash) (*Key, error) {
	raw, err := s.Get(r.at(of))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoSuchKey
	}
	if err != nil {
		return nil, err
	}
	return decodeKey(of, raw)
}

func decodeKey(of hash, raw []byte) (*Key, error) {
	k := &Key{}
	if err := json.Unmarshal(raw, k); err != nil {
		return nil, fmt.Errorf("reading key %x: %w", of[:8], err)
	}
	return k, nil
}

// named finds the key with an id, or ErrNoSuchKey.
func (r *keyring) named(s store.Snapshot, id string) (k *Key, of hash, err error) {
	text, ok := strings.CutPrefix(id, r.prefix)
	begin, err := hex.DecodeString(text)
	if !ok || err != nil || len(begin) != 8 {
		return nil, of, ErrNoSuchKey
	}
	err = s.Scan(store.ID{Kind: r.kind, Name: string(begin)}, true, func(at store.ID, raw []byte) error {
		if !strings.HasPrefix(at.Name, string(begin)) {
			return store.ErrStop
		}
		copy(of[:], at.Name)
		if k, err = decodeKey(of, raw); err != nil {
			return err
		}
		return store.ErrStop
	})
	if err == nil && k == nil {
		err = ErrNoSuchKey
	}
	return k, of, err
}

// list is the keys of an account, or of a keyring without accounts all, oldest first.
func (r *keyring) list(account string) (list []Key, err error) {
	err = r.writer.View(context.Background(), func(s store.Snapshot) error {
		return r.each(s, account, func(_ hash, k *Key) { list = append(list, *k) })
	})
	slices.SortFunc(list, func(a, b Key) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, err
}

// each calls fn with the keys that list lists.
func (r *keyring) each(s store.Snapshot, account string, fn func(hash, *Key)) error {
	from := store.ID{Kind: r.kind}
	if r.kind == store.Key {
		from = store.ID{Kind: store.KeyOf, Account: account}
	}
	return s.Scan(from, true, func(at store.ID, raw []byte) error {
		var of hash
		copy(of[:], at.Name)
		var k *Key
		var err error
		if from.Kind == store.KeyOf {
			k, err = r.read(s, of)
		} else {
			k, err = decodeKey(of, raw)
		}
		if err == nil {
			fn(of, k)
		}
		return err
	})
}

// change commits what fn makes of the key with an id.
func (r *keyring) change(ctx context.Context, id string, fn func(*Key) error) (changed Key, err error) {
	var of hash
	err = r.writer.Update(ctx, func(tx store.Tx) error {
		k, at, err := r.named(tx, id)
		if err == nil {
			err = fn(k)
		}
		if err != nil {
			return err
		}
		of, changed = at, *k
		return r.write(tx, at, k)
	})
	r.recent.forget(of)
	return changed, err
}

// add commits a new key, in place of another one that is not in force; nil: of none.
func (r *keyring) add(ctx context.Context, of hash, k *Key, dead *hash) error {
	err := r.writer.Update(ctx, func(tx store.Tx) error {
		if dead == nil {
			return r.write(tx, of, k)
		}
		return errors.Join(tx.Delete(r.at(*dead)), tx.Delete(byAccount(k.Account, *dead)), r.write(tx, of, k))
	})
	if dead != nil {
		r.recent.forget(*dead)
	}
	r.recent.forget(of)
	return err
}

// write puts a key into a commit, with its place in the list of its account.
// Forget it when the commit is over.
func (r *keyring) write(tx store.Tx, of hash, k *Key) error {
	raw, err := json.Marshal(k)
	if err == nil && r.kind == store.Key {
		err = tx.Put(byAccount(k.Account, of), inList)
	}
	return errors.Join(err, tx.Put(r.at(of), raw))
}

// inList is the value of a place in a list: what matters is its name.
var inList = []byte{1}
