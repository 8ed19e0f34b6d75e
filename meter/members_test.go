package meter

import (
	"errors"
	"testing"

	"github.com/farebox-dev/farebox/meter/directory"
)

// image asks for an image of 10 credits as a member and says how that ended.
func (g *gate) image(c Caller) string {
	g.Helper()
	return g.asks(c, "POST", "/v1/images")
}

func (g *gate) asks(c Caller, method, uri string) string {
	g.Helper()
	charge, err := g.m.Admit(g.Context(), &Request{Method: method, URI: uri, Caller: c, ContentType: "application/json", Body: []byte(`{}`)})
	var d *Refusal
	switch {
	case errors.As(err, &d) && d.Facts != nil:
		return d.Reason + " " + d.Facts.LimitSource
	case errors.As(err, &d):
		return d.Reason
	case err != nil:
		g.Fatal(err)
	}
	charge.Begin(200, nil)
	charge.End()
	charge.Settle(g.Context(), Answered, nil)
	return "ok"
}

func (g *gate) set(id string, c directory.MemberChange) directory.Member {
	g.Helper()
	x, err := g.m.Directory.Members.Set(g.Context(), "acme", id, c)
	if err != nil {
		g.Fatal(err)
	}
	return x
}

func TestRolesAndRemoval(t *testing.T) {
	g := newGate(t, "basic")
	ctx := t.Context()
	if got := g.image(Caller{Account: "acme", Member: "never added"}); got != "ok" {
		t.Errorf("a member that was never added: %s", got)
	}
	g.set("mira", directory.MemberChange{Role: new(directory.RoleViewer), Email: new("mira@example.com")})
	secret, key, err := g.m.Directory.Keys.Create(ctx, directory.Key{Account: "acme", Member: "mira"})
	if err != nil {
		t.Fatal(err)
	}
	caller, err := g.m.Identify(secret)
	if err != nil || caller.Member != "mira" {
		t.Fatalf("the key belongs to %+v, %v", caller, err)
	}
	if got := g.image(caller); got != ViewerCannotSpend {
		t.Errorf("a viewer's image: %s", got)
	}
	if got := g.asks(caller, "GET", "/v1/ping"); got != "ok" {
		t.Errorf("a viewer's free request: %s", got)
	}
	g.set("mira", directory.MemberChange{Role: new(directory.RoleMember)})
	if got := g.image(caller); got != "ok" {
		t.Errorf("a member's image: %s", got)
	}
	if _, err := g.m.Directory.Members.Add(ctx, "acme", "mira", directory.MemberChange{}); !errors.Is(err, directory.ErrMemberExists) {
		t.Errorf("added twice: %v", err)
	}
	if _, err := g.m.Directory.Members.Remove(ctx, "acme", "mira"); err != nil {
		t.Fatal(err)
	}
	var d *Refusal
	if _, err := g.m.Identify(secret); !errors.As(err, &d) || d.Reason != KeyRevoked {
		t.Errorf("the key %s of a member that is gone: %v", key.ID, err)
	}
	if got := g.image(Caller{Account: "acme", Member: "mira", Trusted: true}); got != MemberRemoved {
		t.Errorf("named by a proxy after it is gone: %s", got)
	}
	if _, _, err := g.m.Directory.Keys.Create(ctx, directory.Key{Account: "acme", Member: "mira"}); !errors.Is(err, directory.ErrNoMember) {
		t.Errorf("a key for a member that is gone: %v", err)
	}
	if _, err := g.m.Directory.Members.Remove(ctx, "acme", "mira"); !errors.Is(err, directory.ErrNoMember) {
		t.Errorf("removed twice: %v", err)
	}
	again, err := g.m.Directory.Members.Add(ctx, "acme", "mira", directory.MemberChange{})
	if err != nil || again.Role != directory.RoleMember || again.Email != "" {
		t.Errorf("added again: %+v, %v", again, err)
	}
	if got := g.image(Caller{Account: "acme", Member: "mira"}); got != "ok" {
		t.Errorf("back again: %s", got)
	}
	if _, err := g.m.Identify(secret); err == nil {
		t.Error("the key came back with its member")
	}
}

func TestAMembersOwnCap(t *testing.T) {
	g := newGate(t, "basic")
	g.set("mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "25", Every: "month"}}})
	mira, ben := Caller{Account: "acme", Member: "mira"}, Caller{Account: "acme", Member: "ben"}
	for i, want := range []string{"ok", "ok", "insufficient_credits member_cap"} {
		if got := g.image(mira); got != want {
			t.Errorf("image %d: %s, want %s", i+1, got, want)
		}
	}
	if got := g.image(ben); got != "ok" {
		t.Errorf("another member: %s", got)
	}
	g.set("mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "30.0", Every: "month"}}})
	if got := g.image(mira); got != "ok" {
		t.Errorf("after the cap was raised: %s", got)
	}
	if got := g.image(mira); got != "insufficient_credits member_cap" {
		t.Errorf("and then: %s", got)
	}
	g.now.set(g.now.is().AddDate(0, 1, 0))
	if got := g.image(mira); got != "ok" {
		t.Errorf("next month: %s", got)
	}
	g.set("mira", directory.MemberChange{Caps: &[]directory.MemberCap{}})
	for range 5 {
		if got := g.image(mira); got != "ok" {
			t.Errorf("without a cap: %s", got)
		}
	}
}

func TestAMembersOwnCapEndsAStream(t *testing.T) {
	g := newGate(t, "basic")
	g.set("mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "150", Every: "month"}}})
	r := post(chat, streamed)
	r.Caller.Member = "mira"
	c := g.admit(r)
	c.Begin(200, sse)
	if _, err := g.words(c, 1000); !errors.Is(err, ErrExhausted) {
		t.Errorf("the stream went on beyond the cap: %v", err)
	}
	c.Settle(t.Context(), Stopped, nil)
	if cost := g.record(c).Cost; cost > 150 {
		t.Errorf("%d were charged under a cap of 150", cost)
	}
}

// A socket ends at a cap as a stream does.
func TestAMembersOwnCapEndsASocket(t *testing.T) {
	g := newGate(t, "basic")
	g.set("mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "150", Every: "month"}}})
	r := get("/v1/realtime?model=words")
	r.Caller.Member = "mira"
	c := g.admit(r)
	charge, ok := c.(*Charge)
	if !ok {
		t.Fatalf("%T", c)
	}
	socket := charge.Socket(nil)
	turns := 0
	for ; turns < 34; turns++ {
		if err := socket.ServerMessage(t.Context(), []byte(`{"type":"response.done","response":{"usage":{"input_tokens":1,"output_tokens":30,"total_tokens":31}}}`)); err != nil {
			break
		}
	}
	c.Settle(t.Context(), Stopped, nil)
	if cost := g.record(c).Cost; cost > 150 || turns == 34 {
		t.Errorf("%d were charged under a cap of 150, after %d turns", cost, turns)
	}
}
