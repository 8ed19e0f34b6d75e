package meter

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
)

func TestOperatorsKeys(t *testing.T) {
	p := newDoor(t)
	ctx := t.Context()
	want := map[string][]string{directory.ScopeRead: {"read"}, directory.ScopeGrant: {"read", "grant"}, directory.ScopeAdmin: {"read", "grant", "admin"}}
	ids := map[string]string{}
	for _, scope := range []string{directory.ScopeRead, directory.ScopeGrant, directory.ScopeAdmin} {
		secret, k, err := p.m.Directory.Operators.Create(ctx, "of "+scope, scope, time.Time{})
		if err != nil || !slices.Equal(k.Scopes, want[scope]) || !strings.HasPrefix(secret, directory.OperatorPrefix) || strings.Contains(k.Hint, secret) {
			t.Fatalf("%s: %+v %v", scope, k, err)
		}
		if got, ok := p.m.Directory.Operators.Find(secret); !ok || got.ID != k.ID || !slices.Equal(got.Scopes, want[scope]) {
			t.Errorf("%s: %+v %v", scope, got, ok)
		}
		if _, err := p.m.Identify(secret); err == nil {
			t.Error("an operator's key passes for an API key")
		}
		ids[scope] = secret
		p.now.set(p.now.is().Add(time.Second))
	}
	if list := p.m.Directory.Operators.List(); len(list) != 3 || list[0].Name != "of read" {
		t.Errorf("%+v", list)
	}
	for _, scope := range []string{"", "write", "READ"} {
		if _, _, err := p.m.Directory.Operators.Create(ctx, "x", scope, time.Time{}); !errors.Is(err, input.ErrInvalid) {
			t.Errorf("scope %q: %v", scope, err)
		}
	}
	api, _, err := p.m.Directory.Keys.Create(ctx, directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	read := ids[directory.ScopeRead]
	for _, secret := range []string{"", api, read[:len(read)-1], read + "0", strings.Replace(read, directory.OperatorPrefix, directory.KeyPrefix, 1)} {
		if k, ok := p.m.Directory.Operators.Find(secret); ok {
			t.Errorf("%q is %+v", secret, k)
		}
	}
	for _, k := range p.m.Directory.Keys.List("acme") {
		if strings.HasPrefix(k.ID, "op_") {
			t.Errorf("an account's keys hold %+v", k)
		}
	}
}

func TestAnOperatorsKeyEnds(t *testing.T) {
	p := newDoor(t)
	ctx := t.Context()
	secret, k, err := p.m.Directory.Operators.Create(ctx, "", directory.ScopeAdmin, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, err := p.m.Directory.Sessions.Open(ctx, directory.Session{Scopes: k.Scopes, APIKey: k.ID})
	if err != nil {
		t.Fatal(err)
	}
	p.isOpen("signed in", cookie)
	first, err := p.m.Directory.Operators.Revoke(ctx, k.ID)
	if err != nil || first.RevokedAt.IsZero() {
		t.Fatalf("%+v %v", first, err)
	}
	if _, ok := p.m.Directory.Operators.Find(secret); ok {
		t.Error("a revoked key passes")
	}
	p.closed("opened with a key that was revoked", cookie)
	p.now.set(p.now.is().Add(time.Hour))
	if again, err := p.m.Directory.Operators.Revoke(ctx, k.ID); err != nil || !again.RevokedAt.Equal(first.RevokedAt) {
		t.Errorf("revoked again: %+v %v", again, err)
	}
	if _, err := p.m.Directory.Operators.Revoke(ctx, "op_0"); !errors.Is(err, directory.ErrNoSuchKey) {
		t.Errorf("%v", err)
	}
	brief, _, err := p.m.Directory.Operators.Create(ctx, "", directory.ScopeRead, p.now.is().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.m.Directory.Operators.Find(brief); !ok {
		t.Error("not yet expired")
	}
	p.now.set(p.now.is().Add(time.Minute))
	if _, ok := p.m.Directory.Operators.Find(brief); ok {
		t.Error("an expired key passes")
	}
}
