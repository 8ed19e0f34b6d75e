package directory_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

func (f *fixture) set(id string, c directory.MemberChange) directory.Member {
	f.Helper()
	x, err := f.Directory.Members.Set(f.Context(), "acme", id, c)
	if err != nil {
		f.Fatal(err)
	}
	return x
}

// check is why a member may not make a request; "" if they may.
func (f *fixture) members(account string) []directory.Member {
	f.Helper()
	list, err := f.Directory.Members.List(account)
	if err != nil {
		f.Fatal(err)
	}
	return list
}

func (f *fixture) check(member string, free bool) string {
	f.Helper()
	err := f.Directory.Members.Check("acme", member, free)
	var r *directory.Refusal
	if err != nil && !errors.As(err, &r) {
		f.Fatal(err)
	}
	if r == nil {
		return ""
	}
	return r.Reason
}

func TestRoles(t *testing.T) {
	f := newFixture(t)
	f.set("mira", directory.MemberChange{Role: new(directory.RoleViewer)})
	f.set("jon", directory.MemberChange{Role: new(directory.RoleMember)})
	for _, tt := range []struct {
		member string
		free   bool
		want   string
	}{
		{"never added", false, ""}, {"", false, ""}, {"jon", false, ""}, {"mira", true, ""}, {"mira", false, directory.ViewerCannotSpend},
	} {
		if got := f.check(tt.member, tt.free); got != tt.want {
			t.Errorf("member %q, free %v: refused for %q, want %q", tt.member, tt.free, got, tt.want)
		}
	}
	f.set("mira", directory.MemberChange{Role: new(directory.RoleMember)})
	if got := f.check("mira", false); got != "" {
		t.Errorf("a viewer who became a member is refused for %q", got)
	}
}

func TestARemovedMember(t *testing.T) {
	f := newFixture(t)
	f.set("mira", directory.MemberChange{Role: new(directory.RoleAdmin), Email: new("mira@example.com")})
	f.set("ann", directory.MemberChange{Role: new(directory.RoleAdmin)})
	secret, _, err := f.Directory.Keys.Create(f.Context(), directory.Key{Account: "acme", Member: "mira"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Directory.Members.Remove(f.Context(), "acme", "mira"); err != nil {
		t.Fatal(err)
	}
	if got := f.check("mira", true); got != directory.MemberRemoved {
		t.Errorf("refused for %q, want %q", got, directory.MemberRemoved)
	}
	var r *directory.Refusal
	if _, err := f.Directory.Keys.Find(secret); !errors.As(err, &r) || r.Reason != directory.KeyRevoked {
		t.Errorf("the member's key: %v", err)
	}
	if _, _, err := f.Directory.Keys.Create(f.Context(), directory.Key{Account: "acme", Member: "mira"}); !errors.Is(err, directory.ErrNoMember) {
		t.Errorf("a key for a member that is gone: %v", err)
	}
	again, err := f.Directory.Members.Add(f.Context(), "acme", "mira", directory.MemberChange{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Role != directory.RoleMember {
		t.Errorf("a member that is added again has the role %q of before", again.Role)
	}
	if again.Email != "" {
		t.Errorf("a member that is added again has the address %q of before", again.Email)
	}
	if _, err := f.Directory.Keys.Find(secret); err == nil {
		t.Error("the key came back with its member")
	}
}

// A member can have more keys than one commit revokes. A removal that was cut off
// between two commits is finished before the member comes back.
func TestAMemberWithManyKeysIsRemoved(t *testing.T) {
	f := newFixture(t)
	f.set("mira", directory.MemberChange{})
	var ids []string
	for range 250 {
		_, k, err := f.Directory.Keys.Create(f.Context(), directory.Key{Account: "acme", Member: "mira"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.ID)
	}
	_, kept, err := f.Directory.Keys.Create(f.Context(), directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	live := func() (n int) {
		list, err := f.Directory.Keys.List("acme")
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range list {
			if k.RevokedAt.IsZero() {
				n++
			}
		}
		return n
	}
	if _, err := f.Directory.Members.Remove(f.Context(), "acme", "mira"); err != nil {
		t.Fatal(err)
	}
	if n := live(); n != 1 {
		t.Errorf("%d keys live, and only %s should", n, kept.ID)
	}
	for _, id := range ids[200:] { // as if the last commit had not happened
		f.unrevoke(id)
	}
	f.Reopen()
	if n := live(); n != 51 {
		t.Fatalf("%d keys live after the removal was cut off", n)
	}
	f.set("mira", directory.MemberChange{})
	if n := live(); n != 1 {
		t.Errorf("%d keys live when the member is back", n)
	}
}

// unrevoke puts a key back as it was.
func (f *fixture) unrevoke(id string) {
	f.Helper()
	begin, err := hex.DecodeString(strings.TrimPrefix(id, "key_"))
	if err != nil {
		f.Fatal(err)
	}
	err = f.Writer.Update(f.Context(), func(tx store.Tx) error {
		return tx.Scan(store.ID{Kind: store.Key, Name: string(begin)}, true, func(at store.ID, raw []byte) error {
			var k directory.Key
			if err := json.Unmarshal(raw, &k); err != nil {
				return err
			}
			k.RevokedAt = time.Time{}
			raw, err := json.Marshal(k)
			return errors.Join(err, tx.Put(at, raw), store.ErrStop)
		})
	})
	if err != nil && !errors.Is(err, store.ErrStop) {
		f.Fatal(err)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.set("ann", directory.MemberChange{Role: new(directory.RoleAdmin)})
	if _, err := f.Directory.Members.Set(ctx, "acme", "ann", directory.MemberChange{Role: new(directory.RoleMember)}); !errors.Is(err, directory.ErrLastAdmin) {
		t.Errorf("the last admin was demoted: %v", err)
	}
	if _, err := f.Directory.Members.Remove(ctx, "acme", "ann"); !errors.Is(err, directory.ErrLastAdmin) {
		t.Errorf("the last admin was removed: %v", err)
	}
	for round := range 100 { // two remove each other at the same time
		f.set("bob", directory.MemberChange{Role: new(directory.RoleAdmin)})
		f.set("ann", directory.MemberChange{Role: new(directory.RoleAdmin)})
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for _, id := range []string{"ann", "bob"} {
			wg.Go(func() {
				<-begin
				_, _ = f.Directory.Members.Remove(ctx, "acme", id)
			})
		}
		close(begin)
		wg.Wait()
		if left := f.members("acme"); len(left) != 1 || left[0].Role != directory.RoleAdmin {
			t.Fatalf("round %d: %+v are left, want one admin", round, left)
		}
	}
	left := f.members("acme")
	f.set(left[0].ID, directory.MemberChange{Name: new("the boss")}) // keeps the role
}

func TestMembersOutliveTheProcess(t *testing.T) {
	f := newFixture(t)
	f.set("mira", directory.MemberChange{Role: new(directory.RoleViewer), Name: new("Mira"), SeesAll: new(true), Caps: &[]directory.MemberCap{{Amount: "5", Every: "day"}, {Amount: "60", Every: "year"}}})
	f.set("gone", directory.MemberChange{})
	if _, err := f.Directory.Members.Remove(t.Context(), "acme", "gone"); err != nil {
		t.Fatal(err)
	}
	before := f.members("acme")
	f.Reopen()
	after := f.members("acme")
	if fmt.Sprintf("%+v", before) != fmt.Sprintf("%+v", after) || len(after) != 1 {
		t.Errorf("before: %+v\nafter: %+v", before, after)
	}
	if len(f.Directory.Members.Caps("acme", "mira")) != 2 {
		t.Error("the caps are gone")
	}
	if err := f.Directory.Members.Check("acme", "gone", true); err == nil {
		t.Error("the removed member is back")
	}
}

func TestMembersThatCannotBe(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		id     string
		change directory.MemberChange
	}{
		"role":      {"mira", directory.MemberChange{Role: new(directory.Role("owner"))}},
		"id":        {"mi ra", directory.MemberChange{}},
		"no id":     {"", directory.MemberChange{}},
		"email":     {"mira", directory.MemberChange{Email: new("mira")}},
		"two":       {"mira", directory.MemberChange{Email: new("a@b, c@d")}},
		"amount":    {"mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "lots", Every: "day"}}}},
		"negative":  {"mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "-1", Every: "day"}}}},
		"every":     {"mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "5", Every: "minute"}}}},
		"two a day": {"mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "5", Every: "day"}, {Amount: "6", Every: "day"}}}},
	} {
		if _, err := f.Directory.Members.Set(t.Context(), "acme", c.id, c.change); !errors.Is(err, input.ErrInvalid) {
			t.Errorf("%s: %v, want an error that says what to write", name, err)
		}
	}
	if _, err := f.Directory.Members.Set(t.Context(), "nowhere", "mira", directory.MemberChange{}); !errors.Is(err, ledger.ErrNoAccount) {
		t.Errorf("a member of no account: %v", err)
	}
	if len(f.members("acme")) != 0 {
		t.Errorf("%+v", f.members("acme"))
	}
}
