package meter

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

// CreateOperatorKey makes a key for the operator console and its API. The
// secret is returned once and cannot be had again.
func (m *Meter) CreateOperatorKey(ctx context.Context, name, scope string, expires time.Time) (secret string, k Key, err error) {
	n := slices.Index(scopes, scope)
	if n < 0 {
		return "", k, input.Errorf("the scope %q is none of read, grant, admin", scope)
	}
	secret = newSecret(OperatorPrefix)
	hash := sha256.Sum256([]byte(secret))
	k = Key{
		ID: "op_" + hex.EncodeToString(hash[:8]), Name: name, Scopes: scopes[:n+1], Hint: hint(secret, OperatorPrefix),
		CreatedAt: m.opt.Now().UTC().Truncate(time.Second), ExpiresAt: expires,
	}
	return secret, k, m.operators.store(ctx, m.bank, hash, k)
}

// Operator finds an operator's key; ok is false if it is unknown, revoked or expired.
func (m *Meter) Operator(secret string) (k Key, ok bool) {
	if !wellFormed(secret, OperatorPrefix) {
		return k, false
	}
	found := m.operators.find(secret)
	if found == nil || !m.keyLives(found.ID) {
		return k, false
	}
	return *found, true
}

// OperatorKeys lists them, oldest first.
func (m *Meter) OperatorKeys() []Key { return m.operators.list(func(*Key) bool { return true }) }

// RevokeOperatorKey ends a key, and the sessions that were opened with it, at once.
func (m *Meter) RevokeOperatorKey(ctx context.Context, id string) (Key, error) {
	k, err := m.operators.revoke(ctx, m.bank, m.opt.Now(), func(k *Key) bool { return k.ID == id })
	if errors.Is(err, ErrNoSuchKey) {
		err = fmt.Errorf("%w: %s", err, id)
	}
	return k, err
}
