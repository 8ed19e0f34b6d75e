package directory

import (
	"context"
	"crypto/sha256"
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
	of := hash(sha256.Sum256([]byte(secret)))
	k = Key{
		ID: d.operators.id(of), Name: name, Scopes: scopes[:n+1], Hint: hint(secret, OperatorPrefix),
		CreatedAt: d.now().UTC().Truncate(time.Second), ExpiresAt: expires,
	}
	return secret, k, d.operators.add(ctx, of, &k, nil)
}

// Find finds an operator's key; ok is false if it is unknown, revoked or expired.
func (d *Operators) Find(secret string) (k Key, ok bool) {
	if !wellFormed(secret, OperatorPrefix) {
		return k, false
	}
	found, err := d.operators.find(secret)
	if err != nil || found == nil || !found.lives(d.now()) {
		return k, false
	}
	return *found, true
}

// List lists them, oldest first.
func (d *Operators) List() ([]Key, error) { return d.operators.list("") }

// Revoke ends a key, and the sessions that were opened with it, at once.
func (d *Operators) Revoke(ctx context.Context, id string) (Key, error) {
	return d.revoke(ctx, &d.operators, "", id)
}
