package ownership

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/writer"
)

const prices = `
version: 1
credit: {name: credit}
operations:
  chat: {match: POST /v1/chat/completions, price: 1}
  clip: {match: POST /clips, price: 1, job: {id: response.body.task, status: "GET /clips/{id}", done_when: {response.body.state: ready}, failed_when: {response.body.state: broken}}}
`

var errBlind = errors.New("the disk does not answer")

// fixture is owners on a store that can be made unreadable, with a clock that a
// test moves.
type fixture struct {
	*testing.T
	*Owners
	store *blindStore
	book  *pricing.Book
	at    atomic.Int64
}

type blindStore struct {
	*memory.Store
	blind atomic.Bool
}

func (s *blindStore) View(ctx context.Context, fn func(store.Snapshot) error) error {
	if s.blind.Load() {
		return errBlind
	}
	return s.Store.View(ctx, fn)
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, store: &blindStore{Store: memory.New()}}
	f.pass(time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC).Sub(time.Unix(0, 0)))
	var problems error
	if f.book, problems = load(); problems != nil {
		t.Fatal(problems)
	}
	w, err := writer.Open(t.Context(), f.store, writer.Options{Now: f.now, Terms: &ledger.Terms{Zone: time.UTC}, Problem: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	f.Owners = New(w, f.now, func(err error) { t.Error(err) })
	f.Start()
	t.Cleanup(func() { f.Owners.Close(); w.Close() })
	return f
}

func load() (*pricing.Book, error) {
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	return book, problems.Err()
}

func (f *fixture) now() time.Time       { return time.Unix(0, f.at.Load()) }
func (f *fixture) pass(d time.Duration) { f.at.Add(int64(d)) }

func (f *fixture) claim(account, kind, id string) {
	f.Helper()
	<-f.Claim(account, []string{Name(resource.Ref{Kind: kind, ID: id})})
}

// reason is why a request is refused, "" if it is not.
func (f *fixture) reason(r Request) string {
	f.Helper()
	err := f.Check(f.Context(), f.book, &r)
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		f.Fatal(err)
	}
	if refusal == nil {
		return ""
	}
	return refusal.Reason
}

func get(account, uri string) Request { return Request{Account: account, Method: "GET", URI: uri} }

func TestOnlyTheOwnerMayNameAnID(t *testing.T) {
	f := newFixture(t)
	f.claim("acme", "/files", "f1")
	f.claim("acme", "clip", "c1")
	for _, tt := range []struct {
		what string
		r    Request
		want string
	}{
		{"the owner", get("acme", "/v1/files/f1"), ""},
		{"another account", get("other", "/v1/files/f1"), ObjectNotFound},
		{"an id that has no owner", get("acme", "/v1/files/f2"), ObjectNotFound},
		{"an id that has no owner, of a kind that passes", Request{Account: "acme", Method: "GET", URI: "/v1/files/f2", UnknownIDs: []string{"files"}}, ""},
		{"an id of another, of a kind that passes", Request{Account: "other", Method: "GET", URI: "/v1/files/f1", UnknownIDs: []string{"*"}}, ObjectNotFound},
		{"another account, by another spelling of the path", get("other", "/v1/files/x/../f1"), ObjectNotFound},
		{"another account, by an encoded path", get("other", "/v1/files/%66%31"), ObjectNotFound},
		{"a list", get("acme", "/v1/files"), ListRefused},
		{"a job of the price file", get("acme", "/clips/c1"), ""},
		{"a job of another account", get("other", "/clips/c1"), JobNotFound},
		{"a path without ids", get("other", "/v1/models"), ""},
	} {
		if got := f.reason(tt.r); got != tt.want {
			t.Errorf("%s: refused with %q, want %q", tt.what, got, tt.want)
		}
	}
}

func TestIDsInBodies(t *testing.T) {
	f := newFixture(t)
	f.claim("acme", "/responses", "r1")
	for _, tt := range []struct {
		account, body, want string
		unknown             []string
	}{
		{"acme", `{"previous_response_id":"r1"}`, "", nil},
		{"other", `{"previous_response_id":"r1"}`, ObjectNotFound, nil},
		{"acme", `{"previous_response_id":"r9"}`, "", nil},
		{"acme", `{"previous_response_id":"r9"}`, ObjectNotFound, []string{NoUnknownIDs}},
	} {
		r := Request{Account: tt.account, Method: "POST", URI: "/v1/responses", ContentType: "application/json", Body: []byte(tt.body), UnknownIDs: tt.unknown}
		if got := f.reason(r); got != tt.want {
			t.Errorf("%s of account %s, unknown %v: refused with %q, want %q", tt.body, tt.account, tt.unknown, got, tt.want)
		}
	}
}

func TestAnOwnerThatCannotBeReadRefuses(t *testing.T) {
	f := newFixture(t)
	f.claim("acme", "/files", "f1")
	f.store.blind.Store(true)
	r := get("acme", "/v1/files/f1")
	err := f.Check(t.Context(), f.book, &r)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason != OwnerUnknown {
		t.Errorf("refused with %v, want %s", err, OwnerUnknown)
	}
	if !errors.Is(err, errBlind) {
		t.Errorf("the cause is not in %v", err)
	}
}

func TestAnIDKeepsItsOwner(t *testing.T) {
	f := newFixture(t)
	f.claim("acme", "/files", "f1")
	f.claim("other", "/files", "f1")
	if got := f.reason(get("acme", "/v1/files/f1")); got != "" {
		t.Errorf("the owner is refused with %q after another account got the same id", got)
	}
	if got := f.reason(get("other", "/v1/files/f1")); got != ObjectNotFound {
		t.Errorf("another account that got the same id: %q, want %q", got, ObjectNotFound)
	}
}

func TestAReleasedIDHasNoOwner(t *testing.T) {
	f := newFixture(t)
	f.claim("acme", "/files", "f1")
	f.Release(PathNames(f.book, "DELETE", "/v1/files/f1"))
	f.claim("acme", "/files", "f2") // after the release
	if got := f.reason(get("acme", "/v1/files/f1")); got != ObjectNotFound {
		t.Errorf("the owner of an id that was deleted: %q, want %q", got, ObjectNotFound)
	}
}

// A record is kept for as long as it is of use after it was last asked for.
func TestSweep(t *testing.T) {
	f := newFixture(t)
	for _, id := range []string{"used", "unused"} {
		f.claim("acme", "/responses", id)
	}
	keep := resource.Retention("/responses")
	f.pass(keep - time.Hour)
	if got := f.reason(get("acme", "/v1/responses/used")); got != "" {
		t.Errorf("before it expires: %q", got)
	}
	f.claim("acme", "/responses", "later") // the use is durable
	f.pass(2 * time.Hour)
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"used": "", "unused": JobNotFound, "later": ""} {
		if got := f.reason(get("acme", "/v1/responses/"+id)); got != want {
			t.Errorf("after the sweep %q: %q, want %q", id, got, want)
		}
	}
}

// More records than one commit deletes.
func TestSweepOfMany(t *testing.T) {
	f := newFixture(t)
	var names []string
	for i := range 2*sweepBatch + 1 {
		names = append(names, Name(resource.Ref{Kind: "/responses", ID: string(rune('a'+i%26)) + time.Duration(i).String()}))
	}
	<-f.Claim("acme", names)
	f.pass(resource.Retention("/responses") + time.Hour)
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := f.store.View(t.Context(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: key("").Kind}, false, func(store.ID, []byte) error { left++; return nil })
	}); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d of %d expired records are left", left, len(names))
	}
}

func TestNames(t *testing.T) {
	book, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what         string
		r            Request
		some, unread bool
		job          bool
	}{
		{"a model", Request{Method: "GET", URI: "/v1/models"}, false, false, false},
		{"a file", Request{Method: "GET", URI: "/v1/files/f1"}, true, false, false},
		{"a list", Request{Method: "GET", URI: "/v1/files"}, true, false, false},
		{"a body that was not read", Request{Method: "POST", URI: "/v1/responses"}, false, true, false},
		{"a body that names none", Request{Method: "POST", URI: "/v1/responses", ContentType: "application/json", Body: []byte(`{}`)}, false, false, false},
		{"a job of the price file", Request{Method: "GET", URI: "/clips/c1"}, true, false, true},
	} {
		some, unread := Names(book, &tt.r)
		if some != tt.some {
			t.Errorf("%s: names something: %v, want %v", tt.what, some, tt.some)
		}
		if unread != tt.unread {
			t.Errorf("%s: its body has to be read: %v, want %v", tt.what, unread, tt.unread)
		}
		if job := NamesJob(book, &tt.r); job != tt.job {
			t.Errorf("%s: names a job: %v, want %v", tt.what, job, tt.job)
		}
	}
}
