package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
)

// OperatorPrefix begins every operator's key.
const OperatorPrefix = "fb_op_"

// Scopes of operators' keys; each includes those before it.
const (
	ScopeRead  = "read"  // sees everything
	ScopeGrant = "grant" // and moves credits: grants, voids, refunds, renewals
	ScopeAdmin = "admin" // and changes accounts, plans, keys, members, prices, and webhooks
)

var scopes = []string{ScopeRead, ScopeGrant, ScopeAdmin}

// Operators are the keys of operators.
type Operators struct{ *core }

// Create makes a key for the operator console and its API. The
// secret is returned once and cannot be had again.
func (d *Operators) Create(ctx context.Context, name, scope string, expires time.Time) (secret string, k Key, err error) {
	n := slices.Index(scopes, scope)
	if n < 0 {
		return "", k, input.Errorf("the scope %q is none of read, grant, admin", scope)
	}
	secret = newSecret(OperatorPrefix)
	hash := sha256.Sum256([]byte(secret))
	k = Key{
		ID: "op_" + hex.EncodeToString(hash[:8]), Name: name, Scopes: scopes[:n+1], Hint: hint(secret, OperatorPrefix),
		CreatedAt: d.now().UTC().Truncate(time.Second), ExpiresAt: expires,
	}
	return secret, k, d.operators.store(ctx, d.writer, hash, k)
}

// Find finds an operator's key; ok is false if it is unknown, revoked or expired.
func (d *Operators) Find(secret string) (k Key, ok bool) {
	if !wellFormed(secret, OperatorPrefix) {
		return k, false
	}
	found := d.operators.find(secret)
	if found == nil || !d.keyLives(found.ID) {
		return k, false
	}
	return *found, true
}

// List lists them, oldest first.
func (d *Operators) List() []Key { return d.operators.list(func(*Key) bool { return true }) }

// Revoke ends a key, and the sessions that were opened with it, at once.
func (d *Operators) Revoke(ctx context.Context, id string) (Key, error) {
	k, err := d.operators.revoke(ctx, d.writer, d.now(), func(k *Key) bool { return k.ID == id })
	if errors.Is(err, ErrNoSuchKey) {
		err = fmt.Errorf("%w: %s", err, id)
	}
	return k, err
}
