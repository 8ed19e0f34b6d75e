package meter

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/job"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// blind is a store that can be made unreadable.
type blind struct {
	*memory.Store
	broken atomic.Bool
}

var errBlind = errors.New("the disk does not answer")

func (b *blind) View(ctx context.Context, fn func(store.Snapshot) error) error {
	if b.broken.Load() {
		return errBlind
	}
	return b.Store.View(ctx, fn)
}

func (g *jobsGate) mayAsk(account, path string) error {
	r := get(path)
	r.Caller.Account = account
	_, err := g.m.Admit(g.Context(), r)
	return err
}

func reasonOf(err error) string {
	var d *Refusal
	if errors.As(err, &d) {
		return d.Reason
	}
	return fmt.Sprint(err)
}

// While the store can't say whose something is, no account gets it.
func TestWhoseItIsCannotBeRead(t *testing.T) {
	g := newJobsGate(t)
	g.answered(post("/v1/files", ""), 200, jsonType, `{"id":"f1"}`)
	g.m.Close()
	b := &blind{Store: g.store}
	var err error
	if g.m, err = Open(t.Context(), Options{Store: b, Book: g.book, Text: []byte(jobsBook), Now: g.now.is}); err != nil {
		t.Fatal(err)
	}
	b.broken.Store(true)
	err = g.mayAsk("acme", "/v1/files/f1")
	var d *Refusal
	if !errors.As(err, &d) || d.Reason != Unavailable || !d.Strict || !errors.Is(err, errBlind) {
		t.Errorf("%v", err)
	}
	b.broken.Store(false)
	if err := g.mayAsk("acme", "/v1/files/f1"); err != nil {
		t.Error(err)
	}
}

// A record is kept for as long as it is of use: 40 days after the last question
// about a response, 400 after the last about a file.
func TestOwnersAreForgottenWhenNobodyAsks(t *testing.T) {
	g := newJobsGate(t)
	g.answered(post("/v1/files", ""), 200, jsonType, `{"id":"f1"}`)
	for _, id := range []string{"used", "unused"} {
		g.answered(post("/v1/responses", `{"model":"words","input":"hi"}`), 200, jsonType, `{"id":"`+id+`","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":1}}`)
	}
	pass := func(days int) {
		t.Helper()
		g.now.set(g.now.is().Add(time.Duration(days) * 24 * time.Hour))
		if err := g.m.owners.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(path, reason string) {
		t.Helper()
		if err := g.mayAsk("acme", path); reason == "" && err != nil || reason != "" && reasonOf(err) != reason {
			t.Errorf("%s: %v, want %q", path, err, reason)
		}
	}
	pass(30)
	wants("/v1/responses/used", "")
	g.m.Close() // the use is kept
	g.open()
	pass(11)
	wants("/v1/responses/unused", JobNotFound)
	wants("/v1/responses/used", "")
	pass(41)
	wants("/v1/responses/used", JobNotFound)
	wants("/v1/files/f1", "")
	pass(399)
	wants("/v1/files/f1", "")
	pass(401)
	wants("/v1/files/f1", ObjectNotFound)
}

// What has an owner keeps it, whoever else's answer has the same id.
func TestAnIDKeepsItsOwner(t *testing.T) {
	g := newJobsGate(t)
	if _, err := g.m.Accounts.Create(t.Context(), "other", "", "basic"); err != nil {
		t.Fatal(err)
	}
	g.answered(post("/v1/files", ""), 200, jsonType, `{"id":"f1"}`)
	again := post("/v1/files", "")
	again.Caller.Account = "other"
	g.answered(again, 200, jsonType, `{"id":"f1"}`)
	if err := g.mayAsk("acme", "/v1/files/f1"); err != nil {
		t.Error(err)
	}
	if err := g.mayAsk("other", "/v1/files/f1"); reasonOf(err) != ObjectNotFound {
		t.Error(err)
	}
	failed := post("/v1/files", "")
	failed.Caller.Account = "other"
	g.answered(failed, 500, jsonType, `{"id":"f2"}`)
	if err := g.mayAsk("other", "/v1/files/f2"); reasonOf(err) != ObjectNotFound {
		t.Errorf("an error gives no ids: %v", err)
	}
}

// ownedKey is where the owner of an id is recorded.
func ownedKey(name string) store.ID {
	return store.ID{Kind: store.UpstreamID, Name: name}
}

// A job that an earlier version started belongs to its account, whether that
// version recorded an owner without a time, or none.
func TestJobsOfAnEarlierVersionHaveTheirOwner(t *testing.T) {
	g := newJobsGate(t)
	g.answered(post("/v1/responses", `{"model":"words","background":true,"input":"hi"}`), 200, jsonType, `{"id":"r1","status":"queued","model":"words"}`)
	g.answered(post("/clips", `{}`), 200, jsonType, `{"task":"c1"}`)
	if err := g.m.writer.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Delete(ownedKey(job.Name("/responses", "r1"))), tx.Put(ownedKey(job.Name("clip", "c1")), []byte(`{"account":"acme"}`)))
	}); err != nil {
		t.Fatal(err)
	}
	g.restart()
	for _, path := range []string{"/v1/responses/r1", "/clips/c1"} {
		if err := g.mayAsk("acme", path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if err := g.mayAsk("other", path); reasonOf(err) != JobNotFound {
			t.Errorf("%s: another account: %v", path, err)
		}
	}
	g.answered(get("/v1/responses/r1"), 200, jsonType, `{"id":"r1","status":"failed"}`)
	g.answered(get("/clips/c1"), 200, jsonType, `{"state":"broken"}`)
	g.wants(10_000, 0)
}

// A body that only lenient servers read names nothing that could be looked at, so it is refused, whatever the price.
func TestReferencesInBodiesForLenientServers(t *testing.T) {
	book, problems := pricefile.Load("pricing.yaml", []byte("version: 1\ncredit: {name: credit}\noperations: {flat: {match: POST /v1/responses, model: none, price: 1}}\nplans: {all: {credits: [{type: free, amount: 9}]}}\ndefault_plan: all\n"))
	if book == nil {
		t.Fatal(problems)
	}
	m, err := Open(t.Context(), Options{Store: memory.New(), Book: book})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Accounts.Create(t.Context(), "acme", "", "all"); err != nil {
		t.Fatal(err)
	}
	utf16 := "{\x00\"\x00p\x00r\x00e\x00v\x00\"\x00:\x001\x00}\x00"
	for _, body := range []string{`{"previous_response_id":"resp_x","x":NaN}`, "\xef\xbb\xbf" + `{"previous_response_id":"resp_x"}`, utf16} {
		if _, err := m.Admit(t.Context(), post("/v1/responses", body)); reasonOf(err) != pricing.BodyNotJSON && reasonOf(err) != ObjectNotFound && reasonOf(err) != JobNotFound {
			t.Errorf("%q: %v", body, err)
		}
	}
	c, err := m.Admit(t.Context(), post("/v1/responses", `{"input":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	c.Settle(t.Context(), NotReached, nil)
}
