package meter

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// played is a meter on a price file, with a clock that a test moves.
type played struct {
	*testing.T
	m   *Gateway
	now *testClock
}

func play(t *testing.T, book, start string) *played {
	t.Helper()
	b, problems := pricefile.Load("pricing.yaml", []byte(book))
	if b == nil {
		t.Fatal(problems)
	}
	p := &played{T: t, now: clockAt(instantOf(t, start))}
	var err error
	p.m, err = Open(p.Context(), Options{Store: memory.New(), Book: b, Now: p.now.is, Problem: func(err error) { t.Errorf("problem: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r, err := p.m.Verify(context.Background()); err != nil || !r.Clean() {
			t.Errorf("verify: %v %+v", err, r)
		}
		p.m.Close()
	})
	return p
}

func instantOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (p *played) until(text string) {
	p.Helper()
	p.now.set(instantOf(p.T, text))
	p.m.Clock().Confirm()
}

func (p *played) open(account, plan string) {
	p.Helper()
	if _, err := p.m.Accounts.Create(p.Context(), account, "", plan); err != nil {
		p.Fatal(err)
	}
}

func (p *played) account(id string) *ledger.Account {
	p.Helper()
	a, err := p.m.Accounts.Get(p.Context(), id)
	if err != nil {
		p.Fatal(err)
	}
	return a
}

// begin admits a request of an account (or account/member) and leaves it running.
func (p *played) begin(who, path, body string) Call {
	p.Helper()
	r := post(path, body)
	r.Caller.Account, r.Caller.Member, _ = strings.Cut(who, "/")
	c, err := p.m.Admit(p.Context(), r)
	if err != nil {
		p.Fatal(err)
	}
	return c
}

// ask makes a request that is answered with a status.
func (p *played) ask(who, path, body string, status int) Call {
	p.Helper()
	c := p.begin(who, path, body)
	c.Begin(status, nil)
	c.Settle(p.Context(), Answered, nil)
	return c
}
