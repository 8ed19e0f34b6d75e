package directory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/internal/ledgertest"
	"github.com/farebox-dev/farebox/meter/store"
)

const prices = `
version: 1
credit: {name: credit, decimals: 0}
operations: {image: {match: POST /v1/images, price: 10}}
plans: {basic: {credits: [{type: subscription, amount: 1000, every: month}]}}
default_plan: basic
`

// fixture is a ledger with the accounts acme and beta.
type fixture struct{ *ledgertest.Ledger }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{ledgertest.Open(t, prices, "2026-11-12T09:00:00Z")}
	f.Create("acme", "")
	f.Create("beta", "")
	return f
}

func (f *fixture) link(s directory.Session) string {
	f.Helper()
	token, err := f.Directory.Sessions.CreateLink(f.Context(), s)
	if err != nil {
		f.Fatal(err)
	}
	return token
}

func (f *fixture) closed(what, cookie string) {
	f.Helper()
	if s, err := f.Directory.Sessions.Find(f.Context(), cookie); !errors.Is(err, directory.ErrNoSession) {
		f.Errorf("%s: %+v, %v", what, s, err)
	}
}

func (f *fixture) isOpen(what, cookie string) directory.Session {
	f.Helper()
	s, err := f.Directory.Sessions.Find(f.Context(), cookie)
	if err != nil {
		f.Errorf("%s: %v", what, err)
	}
	return s
}

func TestALinkOpensOnce(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	seats := []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}, {Account: "beta", Role: directory.RoleViewer}}
	token := f.link(directory.Session{Seats: seats, Member: "mira", ReturnURL: "https://app.example.com/"})
	f.closed("a link is no session", token)
	f.Pass(directory.LinkLasts - time.Second)
	cookie, s, err := f.Directory.Sessions.OpenLink(ctx, token)
	if err != nil || s.Member != "mira" || len(s.Seats) != 2 || s.ReturnURL != "https://app.example.com/" {
		t.Fatalf("%+v, %v", s, err)
	}
	if again, _, err := f.Directory.Sessions.OpenLink(ctx, token); !errors.Is(err, directory.ErrNoSession) || again != "" {
		t.Errorf("a second time: %q, %v", again, err)
	}
	if _, _, err := f.Directory.Sessions.OpenLink(ctx, cookie); !errors.Is(err, directory.ErrNoSession) {
		t.Errorf("a session is no link: %v", err)
	}
	if got := f.isOpen("signed in", cookie); got.Seats[1] != seats[1] || got.Member != "mira" {
		t.Errorf("%+v", got)
	}
	f.Pass(directory.SessionLasts - time.Second)
	f.isOpen("the last second", cookie)
	f.Pass(time.Second)
	f.closed("over", cookie)

	late := f.link(directory.Session{Seats: seats})
	f.Pass(directory.LinkLasts)
	for range 2 {
		if _, _, err := f.Directory.Sessions.OpenLink(ctx, late); !errors.Is(err, directory.ErrNoSession) {
			t.Errorf("too late: %v", err)
		}
	}
	for _, token := range []string{"", "fb_link_", "fb_link_0000000000000000000000000000000000000000", strings.ToUpper(token), token + "x", token[:len(token)-1] + "0"} {
		if _, _, err := f.Directory.Sessions.OpenLink(ctx, token); !errors.Is(err, directory.ErrNoSession) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	f := newFixture(t)
	for what, s := range map[string]directory.Session{
		"nowhere":      {},
		"no account":   {Seats: []directory.Seat{{Account: "missing", Role: directory.RoleAdmin}}},
		"no role":      {Seats: []directory.Seat{{Account: "acme", Role: ""}}},
		"another role": {Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}, {Account: "beta", Role: "owner"}}},
	} {
		if token, err := f.Directory.Sessions.CreateLink(t.Context(), s); err == nil {
			t.Errorf("%s: %s", what, token)
		}
	}
}

func TestASessionEndsWithItsKey(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	_, k, err := f.Directory.Keys.Create(ctx, directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	_, brief, err := f.Directory.Keys.Create(ctx, directory.Key{Account: "acme", ExpiresAt: f.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	open := func(key string) string {
		cookie, _, err := f.Directory.Sessions.Open(ctx, directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}, APIKey: key})
		if err != nil {
			t.Fatal(err)
		}
		f.isOpen("opened with "+key, cookie)
		return cookie
	}
	a, b, c := open(k.ID), open(brief.ID), open("")
	if _, err := f.Directory.Keys.Revoke(ctx, "acme", k.ID); err != nil {
		t.Fatal(err)
	}
	f.closed("revoked", a)
	f.Pass(time.Hour)
	f.closed("expired", b)
	f.isOpen("opened without a key", c)
	if err := f.Directory.Sessions.Close(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.closed("signed out", c)
	if err := f.Directory.Sessions.Close(ctx, "no cookie of ours"); err != nil {
		t.Error(err)
	}
}

func TestWhoWasRemoved(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for _, account := range []string{"acme", "beta"} {
		for _, id := range []string{"mira", "jon"} {
			if _, err := f.Directory.Members.Add(ctx, account, id, directory.MemberChange{Role: new(directory.RoleAdmin)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := f.Directory.Members.Remove(ctx, "acme", "jon"); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[[2]string]bool{{"acme", "jon"}: true, {"acme", "mira"}: false, {"beta", "jon"}: false, {"acme", ""}: false, {"acme", "never added"}: false} {
		if got := f.Directory.Members.Removed(who[0], who[1]); got != want {
			t.Errorf("%v: removed %v", who, got)
		}
	}
}

// Sessions that are over do not pile up.
func TestOldSessionsAreForgotten(t *testing.T) {
	f := newFixture(t)
	for range 30 {
		f.link(directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}})
	}
	f.Pass(time.Hour)
	f.link(directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}})
	if n := f.kept(store.Session); n != 1 {
		t.Errorf("%d are kept", n)
	}
}

// kept is how many records of a kind there are.
func (f *fixture) kept(kind store.Kind) (n int) {
	f.Helper()
	err := f.Writer.View(f.Context(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: kind}, false, func(store.ID, []byte) error { n++; return nil })
	})
	if err != nil {
		f.Fatal(err)
	}
	return n
}

func (f *fixture) signIn(member string) string {
	f.Helper()
	cookie, _, err := f.Directory.Sessions.Open(f.Context(), directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}, Member: member})
	if err != nil {
		f.Fatal(err)
	}
	return cookie
}

// Whoever signs in again and again ends their own oldest sessions, and no others.
func TestSessionsOfAMemberAreBounded(t *testing.T) {
	f := newFixture(t)
	other := f.signIn("jon")
	token := f.link(directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}, Member: "mira"})
	first := f.signIn("mira")
	if err := f.Directory.Sessions.Close(t.Context(), f.signIn("mira")); err != nil { // does not count any more
		t.Fatal(err)
	}
	var last string
	for range 49 {
		last = f.signIn("mira")
	}
	f.isOpen("the first of 50", first)
	newest := f.signIn("mira")
	f.closed("the first of 51", first)
	f.isOpen("the last but one", last)
	f.isOpen("the last", newest)
	f.isOpen("of another member", other)
	if _, _, err := f.Directory.Sessions.OpenLink(t.Context(), token); err != nil {
		t.Errorf("the link: %v", err)
	}
	if sessions, places := f.kept(store.Session), f.kept(store.SessionEnd); sessions != 51 || places != 51 {
		t.Errorf("%d sessions, %d places in the order of time", sessions, places)
	}
}

// Sessions of members who never come back go, too, some with each sign-in, and
// leave nothing behind.
func TestASignInRemovesSomeSessionsThatAreOver(t *testing.T) {
	f := newFixture(t)
	for n := range 100 {
		f.signIn(fmt.Sprint("member", n))
		f.Pass(time.Second)
	}
	f.Pass(directory.SessionLasts)
	had := f.kept(store.Session)
	for n := 0; f.kept(store.Session) > n+1; n++ {
		if n > 10 {
			t.Fatalf("%d sessions are still kept", f.kept(store.Session))
		}
		f.link(directory.Session{Seats: []directory.Seat{{Account: "beta", Role: directory.RoleAdmin}}})
		now := f.kept(store.Session)
		if gone := had + 1 - now; gone > 20 {
			t.Fatalf("one sign-in removed %d sessions", gone)
		}
		had = now
	}
	f.Pass(directory.LinkLasts) // before the sessions of members that are looked at next
	f.signIn("jon")
	for _, kind := range []store.Kind{store.Session, store.SessionEnd, store.SessionsOf} {
		if n := f.kept(kind); n != 1 {
			t.Errorf("%d records of kind %c", n, kind)
		}
	}
}

// Sessions that an earlier version has written have no place in the order of time.
func TestSessionsOfAnEarlierVersionGo(t *testing.T) {
	f := newFixture(t)
	old := f.signIn("mira")
	err := f.Writer.Update(t.Context(), func(tx store.Tx) error {
		var ids []store.ID
		for _, kind := range []store.Kind{store.SessionEnd, store.SessionsOf} {
			if err := tx.Scan(store.ID{Kind: kind}, false, func(id store.ID, _ []byte) error { ids = append(ids, id); return nil }); err != nil {
				return err
			}
		}
		for _, id := range append(ids, store.ID{Kind: store.Meta, Name: "sessions by end"}) {
			if err := tx.Delete(id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Reopen()
	f.isOpen("it goes on", old)
	f.Pass(directory.SessionLasts)
	f.signIn("jon")
	if n := f.kept(store.Session); n != 1 {
		t.Errorf("%d are kept", n)
	}
}
