package meter

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
)

func TestOperatorsKeys(t *testing.T) {
	p := newDoor(t)
	ctx := t.Context()
	want := map[string][]string{ScopeRead: {"read"}, ScopeGrant: {"read", "grant"}, ScopeAdmin: {"read", "grant", "admin"}}
	ids := map[string]string{}
	for _, scope := range []string{ScopeRead, ScopeGrant, ScopeAdmin} {
		secret, k, err := p.m.CreateOperatorKey(ctx, "of "+scope, scope, time.Time{})
		if err != nil || !slices.Equal(k.Scopes, want[scope]) || !strings.HasPrefix(secret, OperatorPrefix) || strings.Contains(k.Hint, secret) {
			t.Fatalf("%s: %+v %v", scope, k, err)
		}
		if got, ok := p.m.Operator(secret); !ok || got.ID != k.ID || !slices.Equal(got.Scopes, want[scope]) {
			t.Errorf("%s: %+v %v", scope, got, ok)
		}
		if _, err := p.m.Identify(secret); err == nil {
			t.Error("an operator's key passes for an API key")
		}
		ids[scope] = secret
		p.now.set(p.now.is().Add(time.Second))
	}
	if list := p.m.OperatorKeys(); len(list) != 3 || list[0].Name != "of read" {
		t.Errorf("%+v", list)
	}
	for _, scope := range []string{"", "write", "READ"} {
		if _, _, err := p.m.CreateOperatorKey(ctx, "x", scope, time.Time{}); !errors.Is(err, input.ErrInvalid) {
			t.Errorf("scope %q: %v", scope, err)
		}
	}
	api, _, err := p.m.CreateKey(ctx, Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	read := ids[ScopeRead]
	for _, secret := range []string{"", api, read[:len(read)-1], read + "0", strings.Replace(read, OperatorPrefix, KeyPrefix, 1)} {
		if k, ok := p.m.Operator(secret); ok {
			t.Errorf("%q is %+v", secret, k)
		}
	}
	for _, k := range p.m.Keys("acme") {
		if strings.HasPrefix(k.ID, "op_") {
			t.Errorf("an account's keys hold %+v", k)
		}
	}
}

func TestAnOperatorsKeyEnds(t *testing.T) {
	p := newDoor(t)
	ctx := t.Context()
	secret, k, err := p.m.CreateOperatorKey(ctx, "", ScopeAdmin, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, err := p.m.OpenSession(ctx, Session{Scopes: k.Scopes, APIKey: k.ID})
	if err != nil {
		t.Fatal(err)
	}
	p.isOpen("signed in", cookie)
	first, err := p.m.RevokeOperatorKey(ctx, k.ID)
	if err != nil || first.RevokedAt.IsZero() {
		t.Fatalf("%+v %v", first, err)
	}
	if _, ok := p.m.Operator(secret); ok {
		t.Error("a revoked key passes")
	}
	p.closed("opened with a key that was revoked", cookie)
	p.now.set(p.now.is().Add(time.Hour))
	if again, err := p.m.RevokeOperatorKey(ctx, k.ID); err != nil || !again.RevokedAt.Equal(first.RevokedAt) {
		t.Errorf("revoked again: %+v %v", again, err)
	}
	if _, err := p.m.RevokeOperatorKey(ctx, "op_0"); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("%v", err)
	}
	brief, _, err := p.m.CreateOperatorKey(ctx, "", ScopeRead, p.now.is().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.m.Operator(brief); !ok {
		t.Error("not yet expired")
	}
	p.now.set(p.now.is().Add(time.Minute))
	if _, ok := p.m.Operator(brief); ok {
		t.Error("an expired key passes")
	}
}
