package directory_test

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
	f := newFixture(t)
	ctx := t.Context()
	want := map[string][]string{directory.ScopeRead: {"read"}, directory.ScopeGrant: {"read", "grant"}, directory.ScopeAdmin: {"read", "grant", "admin"}}
	ids := map[string]string{}
	for _, scope := range []string{directory.ScopeRead, directory.ScopeGrant, directory.ScopeAdmin} {
		secret, k, err := f.Directory.Operators.Create(ctx, "of "+scope, scope, time.Time{})
		if err != nil || !slices.Equal(k.Scopes, want[scope]) || !strings.HasPrefix(secret, directory.OperatorPrefix) || strings.Contains(k.Hint, secret) {
			t.Fatalf("%s: %+v %v", scope, k, err)
		}
		if got, ok := f.Directory.Operators.Find(secret); !ok || got.ID != k.ID || !slices.Equal(got.Scopes, want[scope]) {
			t.Errorf("%s: %+v %v", scope, got, ok)
		}
		if _, err := f.Directory.Keys.Find(secret); err == nil {
			t.Error("an operator's key passes for an API key")
		}
		ids[scope] = secret
		f.Pass(time.Second)
	}
	if list, err := f.Directory.Operators.List(); err != nil || len(list) != 3 || list[0].Name != "of read" {
		t.Errorf("%+v %v", list, err)
	}
	for _, scope := range []string{"", "write", "READ"} {
		if _, _, err := f.Directory.Operators.Create(ctx, "x", scope, time.Time{}); !errors.Is(err, input.ErrInvalid) {
			t.Errorf("scope %q: %v", scope, err)
		}
	}
	api, _, err := f.Directory.Keys.Create(ctx, directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	read := ids[directory.ScopeRead]
	for _, secret := range []string{"", api, read[:len(read)-1], read + "0", strings.Replace(read, directory.OperatorPrefix, directory.KeyPrefix, 1)} {
		if k, ok := f.Directory.Operators.Find(secret); ok {
			t.Errorf("%q is %+v", secret, k)
		}
	}
	for _, k := range f.keys("acme") {
		if strings.HasPrefix(k.ID, "op_") {
			t.Errorf("an account's keys hold %+v", k)
		}
	}
}

func TestAnOperatorsKeyEnds(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	secret, k, err := f.Directory.Operators.Create(ctx, "", directory.ScopeAdmin, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, err := f.Directory.Sessions.Open(ctx, directory.Session{Scopes: k.Scopes, APIKey: k.ID})
	if err != nil {
		t.Fatal(err)
	}
	f.isOpen("signed in", cookie)
	first, err := f.Directory.Operators.Revoke(ctx, k.ID)
	if err != nil || first.RevokedAt.IsZero() {
		t.Fatalf("%+v %v", first, err)
	}
	if _, ok := f.Directory.Operators.Find(secret); ok {
		t.Error("a revoked key passes")
	}
	f.closed("opened with a key that was revoked", cookie)
	f.Pass(time.Hour)
	if again, err := f.Directory.Operators.Revoke(ctx, k.ID); err != nil || !again.RevokedAt.Equal(first.RevokedAt) {
		t.Errorf("revoked again: %+v %v", again, err)
	}
	if _, err := f.Directory.Operators.Revoke(ctx, "op_0"); !errors.Is(err, directory.ErrNoSuchKey) {
		t.Errorf("%v", err)
	}
	brief, _, err := f.Directory.Operators.Create(ctx, "", directory.ScopeRead, f.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Directory.Operators.Find(brief); !ok {
		t.Error("not yet expired")
	}
	f.Pass(time.Minute)
	if _, ok := f.Directory.Operators.Find(brief); ok {
		t.Error("an expired key passes")
	}
}
