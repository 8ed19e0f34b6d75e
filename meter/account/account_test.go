package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/internal/ledgertest"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

const prices = `
version: 1
credit: {name: credit, decimals: 0}
operations: {image: {match: POST /v1/images, price: 10}}
plans:
  basic: {credits: [{type: subscription, amount: 100, every: month}]}
  team:  {credits: [{type: subscription, amount: 500, every: month}]}
default_plan: basic
alerts: [{below: 20%}]
packs:
  small: {price: 5 USD, credits: 50, expires: 90 days}
`

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// fixture is the accounts of a ledger without a gateway.
type fixture struct {
	*testing.T
	*account.Accounts
	directory *directory.Directory
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	l := ledgertest.Open(t, prices, start.Format(time.RFC3339))
	return &fixture{t, l.Accounts, l.Directory}
}

func (f *fixture) create(id, plan string) *ledger.Account {
	f.Helper()
	a, err := f.Create(f.Context(), id, "", plan)
	if err != nil {
		f.Fatal(err)
	}
	return a
}

func (f *fixture) available(id string) money.Amount {
	f.Helper()
	a, err := f.Get(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	n, _ := a.Available(start)
	return n
}

func TestCreate(t *testing.T) {
	f := newFixture(t)
	if a := f.create("acme", ""); a.Sub.Plan != "basic" {
		t.Errorf("plan %q, want the default plan", a.Sub.Plan)
	}
	if a := f.create("big", "team"); a.Sub.Plan != "team" {
		t.Errorf("plan %q, want team", a.Sub.Plan)
	}
	if _, err := f.Create(t.Context(), "acme", "", ""); !errors.Is(err, ledger.ErrAccountExists) {
		t.Errorf("an account is created twice: %v", err)
	}
	if _, err := f.Create(t.Context(), "x", "", "gold"); !errors.Is(err, ledger.ErrNoPlan) {
		t.Errorf("an account on an unknown plan: %v", err)
	}
	if _, err := f.Create(t.Context(), "a/b", "", ""); err == nil {
		t.Error("an id with a slash is accepted")
	}
}

func TestClose(t *testing.T) {
	f := newFixture(t)
	f.create("acme", "team")
	secret, _, err := f.directory.Keys.Create(t.Context(), directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it can be repeated
		a, err := f.Close(t.Context(), "acme", "moved away")
		if err != nil {
			t.Fatal(err)
		}
		if !a.Suspended {
			t.Error("a closed account is not suspended")
		}
		if a.Sub.Plan == "team" {
			t.Error("a closed account is still on its plan")
		}
	}
	if _, err := f.directory.Keys.Find(secret); err == nil {
		t.Error("a key of a closed account is in force")
	}
}

func TestGrant(t *testing.T) {
	f := newFixture(t)
	f.create("acme", "")
	for _, r := range []account.GrantRequest{{Pack: "small", Idempotency: "in_1"}, {Amount: "25", Reason: "goodwill"}} {
		before := f.available("acme")
		want := before + 50
		if r.Pack == "" {
			want = before + 25
		}
		for range 2 { // under one idempotency key, it is granted once
			if _, err := f.Grant(t.Context(), "acme", r); err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			if r.Idempotency == "" {
				break
			}
		}
		if got := f.available("acme"); got != want {
			t.Errorf("%+v: %d available, want %d", r, got, want)
		}
	}
}

func TestGrantsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.create("acme", "")
	for what, r := range map[string]account.GrantRequest{
		"nothing":                   {},
		"no number":                 {Amount: "many"},
		"an unknown pack":           {Pack: "huge"},
		"a pack with an amount":     {Pack: "small", Amount: "5"},
		"a price of a fixed pack":   {Pack: "small", Price: "5"},
		"an expiry that is no time": {Amount: "5", Expires: "soon"},
	} {
		if _, err := f.Grant(t.Context(), "acme", r); err == nil {
			t.Errorf("%s is granted", what)
		}
	}
	if got := f.available("acme"); got != 100 {
		t.Errorf("%d available after refused grants, want 100", got)
	}
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	f.create("acme", "")
	f.create("other", "")
	changed, stop := f.Watch("acme")
	grant := func(id string) {
		if _, err := f.Grant(t.Context(), id, account.GrantRequest{Amount: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	grant("other")
	select {
	case <-changed:
		t.Error("a change of another account is signalled")
	default:
	}
	grant("acme")
	grant("acme")
	select {
	case <-changed:
	default:
		t.Error("a change is not signalled")
	}
	stop()
	grant("acme")
	select {
	case <-changed:
		t.Error("a change is signalled after stop")
	default:
	}
}

func TestNextGrant(t *testing.T) {
	f := newFixture(t)
	a := f.create("acme", "")
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	if book == nil {
		t.Fatal(problems)
	}
	at, amount, ok := account.NextGrant(a, book.Plan("basic"), start, time.UTC)
	if !ok || amount != 100 {
		t.Errorf("the next grant is %d, %v; want 100", amount, ok)
	}
	if want := start.AddDate(0, 1, 0); !at.Equal(want) {
		t.Errorf("it comes at %s, want %s", at, want)
	}
	if _, _, ok := account.NextGrant(a, nil, start, time.UTC); ok {
		t.Error("an account without a plan has a next grant")
	}
}
