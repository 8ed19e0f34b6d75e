package meter

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/store"
)

func newDoor(t *testing.T) *played {
	t.Helper()
	p := play(t, reportBook, "2026-11-12T09:00:00Z")
	p.open("acme", "")
	p.open("beta", "")
	return p
}

func (p *played) link(s directory.Session) string {
	p.Helper()
	token, err := p.m.Directory.Sessions.CreateLink(p.Context(), s)
	if err != nil {
		p.Fatal(err)
	}
	return token
}

func (p *played) closed(what, cookie string) {
	p.Helper()
	if s, err := p.m.Directory.Sessions.Find(p.Context(), cookie); !errors.Is(err, directory.ErrNoSession) {
		p.Errorf("%s: %+v, %v", what, s, err)
	}
}

func (p *played) isOpen(what, cookie string) directory.Session {
	p.Helper()
	s, err := p.m.Directory.Sessions.Find(p.Context(), cookie)
	if err != nil {
		p.Errorf("%s: %v", what, err)
	}
	return s
}

func TestALinkOpensOnce(t *testing.T) {
	p := newDoor(t)
	ctx := t.Context()
	seats := []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}, {Account: "beta", Role: directory.RoleViewer}}
	token := p.link(directory.Session{Seats: seats, Member: "mira", ReturnURL: "https://app.example.com/"})
	p.closed("a link is no session", token)
	p.now.set(p.now.is().Add(directory.LinkLasts - time.Second))
	cookie, s, err := p.m.Directory.Sessions.OpenLink(ctx, token)
	if err != nil || s.Member != "mira" || len(s.Seats) != 2 || s.ReturnURL != "https://app.example.com/" {
		t.Fatalf("%+v, %v", s, err)
	}
	if again, _, err := p.m.Directory.Sessions.OpenLink(ctx, token); !errors.Is(err, directory.ErrNoSession) || again != "" {
		t.Errorf("a second time: %q, %v", again, err)
	}
	if _, _, err := p.m.Directory.Sessions.OpenLink(ctx, cookie); !errors.Is(err, directory.ErrNoSession) {
		t.Errorf("a session is no link: %v", err)
	}
	if got := p.isOpen("signed in", cookie); got.Seats[1] != seats[1] || got.Member != "mira" {
		t.Errorf("%+v", got)
	}
	p.now.set(p.now.is().Add(directory.SessionLasts - time.Second))
	p.isOpen("the last second", cookie)
	p.now.set(p.now.is().Add(time.Second))
	p.closed("over", cookie)

	late := p.link(directory.Session{Seats: seats})
	p.now.set(p.now.is().Add(directory.LinkLasts))
	for range 2 {
		if _, _, err := p.m.Directory.Sessions.OpenLink(ctx, late); !errors.Is(err, directory.ErrNoSession) {
			t.Errorf("too late: %v", err)
		}
	}
	for _, token := range []string{"", "fb_link_", "fb_link_0000000000000000000000000000000000000000", strings.ToUpper(token), token + "x", token[:len(token)-1] + "0"} {
		if _, _, err := p.m.Directory.Sessions.OpenLink(ctx, token); !errors.Is(err, directory.ErrNoSession) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	p := newDoor(t)
	for what, s := range map[string]directory.Session{
		"nowhere":      {},
		"no account":   {Seats: []directory.Seat{{Account: "missing", Role: directory.RoleAdmin}}},
		"no role":      {Seats: []directory.Seat{{Account: "acme", Role: ""}}},
		"another role": {Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}, {Account: "beta", Role: "owner"}}},
	} {
		if token, err := p.m.Directory.Sessions.CreateLink(t.Context(), s); err == nil {
			t.Errorf("%s: %s", what, token)
		}
	}
}

func TestASessionEndsWithItsKey(t *testing.T) {
	p := newDoor(t)
	ctx := t.Context()
	_, k, err := p.m.Directory.Keys.Create(ctx, directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	_, brief, err := p.m.Directory.Keys.Create(ctx, directory.Key{Account: "acme", ExpiresAt: p.now.is().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	open := func(key string) string {
		cookie, _, err := p.m.Directory.Sessions.Open(ctx, directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}, APIKey: key})
		if err != nil {
			t.Fatal(err)
		}
		p.isOpen("opened with "+key, cookie)
		return cookie
	}
	a, b, c := open(k.ID), open(brief.ID), open("")
	if _, err := p.m.Directory.Keys.Revoke(ctx, "acme", k.ID); err != nil {
		t.Fatal(err)
	}
	p.closed("revoked", a)
	p.now.set(p.now.is().Add(time.Hour))
	p.closed("expired", b)
	p.isOpen("opened without a key", c)
	if err := p.m.Directory.Sessions.Close(ctx, c); err != nil {
		t.Fatal(err)
	}
	p.closed("signed out", c)
	if err := p.m.Directory.Sessions.Close(ctx, "no cookie of ours"); err != nil {
		t.Error(err)
	}
}

func TestWhoWasRemoved(t *testing.T) {
	p := newDoor(t)
	ctx := t.Context()
	for _, account := range []string{"acme", "beta"} {
		for _, id := range []string{"mira", "jon"} {
			if _, err := p.m.Directory.Members.Add(ctx, account, id, directory.MemberChange{Role: new(directory.RoleAdmin)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := p.m.Directory.Members.Remove(ctx, "acme", "jon"); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[[2]string]bool{{"acme", "jon"}: true, {"acme", "mira"}: false, {"beta", "jon"}: false, {"acme", ""}: false, {"acme", "never added"}: false} {
		if got := p.m.Directory.Members.Removed(who[0], who[1]); got != want {
			t.Errorf("%v: removed %v", who, got)
		}
	}
}

// Sessions that are over do not pile up.
func TestOldSessionsAreForgotten(t *testing.T) {
	p := newDoor(t)
	for range 30 {
		p.link(directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}})
	}
	p.now.set(p.now.is().Add(time.Hour))
	p.link(directory.Session{Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}}})
	n := 0
	err := p.m.writer.View(t.Context(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Session}, false, func(store.ID, []byte) error { n++; return nil })
	})
	if err != nil || n != 1 {
		t.Errorf("%d are kept, %v", n, err)
	}
}
