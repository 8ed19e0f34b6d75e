package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// demoDays is how much history the demo has.
const demoDays = 30

// demoPlay plays the last days of the demo's accounts: the meter's own rules
// under a clock that runs through them.
type demoPlay struct {
	*meter.Gateway
	ctx    context.Context
	now    time.Time // the played clock
	end    time.Time // the real one
	random *rand.Rand
	jobs   int
}

// demoHistory fills an empty data directory. A directory that is there stays as it is.
func demoHistory(ctx context.Context, dir string, prices []byte, now time.Time) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return nil
	}
	book, problems := pricefile.Load("pricing.yaml", prices)
	if book == nil || book.Operation("chat") == nil || book.Plan("pro") == nil { // someone else's prices: no history then
		if problems.Errors() > 0 {
			return errors.New(problems.Summary())
		}
		return nil
	}
	s := memory.New()
	p := &demoPlay{ctx: ctx, now: now.UTC().Truncate(time.Second).AddDate(0, 0, -demoDays), end: now.UTC().Add(-time.Minute), random: rand.New(rand.NewPCG(7, 11))} //nolint:gosec // the same history every time
	m, err := meter.Open(ctx, meter.Options{Store: s, Book: book, Text: prices, Now: func() time.Time { return p.now }})
	if err != nil {
		return err
	}
	p.Gateway = m
	err = p.run(p.acme(), p.demo())
	m.Close()
	if err != nil {
		return fmt.Errorf("playing the demo's history: %w", err)
	}
	return copyStore(ctx, s, dir)
}

// copyStore writes everything that is in a store into a new data directory.
func copyStore(ctx context.Context, from store.Store, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	to, err := badger.Open(dir, nil)
	if err != nil {
		return err
	}
	err = backup.Copy(ctx, from, to)
	return errors.Join(err, to.Close())
}

// demoActor is an account, and what it does.
type demoActor struct {
	account string
	members []string          // who sends requests, as often as they are named; "": no member
	keys    map[string]string // member → key id
	phases  []demoPhase
}

// demoPhase is some days of an account, in which it spends about so many credits.
type demoPhase struct {
	begin   func(*demoActor) error
	until   time.Time
	credits string

	began                 bool
	weight                int // of all hours
	whole, planned, spent money.Amount
}

// acme is a team: some days on the free plan, then with a pack, then on Pro, of
// which little is left.
func (p *demoPlay) acme() *demoActor {
	return &demoActor{account: "acme", members: []string{"mira", "mira", "mira", "jon", "jon", ""}, keys: map[string]string{}, phases: []demoPhase{
		{begin: p.team, until: p.now.AddDate(0, 0, 3), credits: "230"},
		{begin: func(a *demoActor) error {
			_, err := p.Accounts.Grant(p.ctx, a.account, account.GrantRequest{Pack: "pack-1000", Reason: "invoice 2041", Idempotency: "in_2041"})
			return err
		}, until: p.now.AddDate(0, 0, 10), credits: "1530"},
		{begin: func(a *demoActor) error {
			_, err := p.Accounts.Do(p.ctx, a.account, ledger.SetPlan{Plan: "pro", Reason: "upgrade in the shop"})
			return err
		}, until: p.end, credits: "2800"},
	}}
}

// demo is one person who has tried it, but not today: the first steps of the
// README begin with a full day's credits.
func (p *demoPlay) demo() *demoActor {
	return &demoActor{account: "demo", members: []string{""}, phases: []demoPhase{
		{begin: func(a *demoActor) error {
			_, err := p.Accounts.Create(p.ctx, a.account, "Demo account", "")
			return err
		}, until: p.now.AddDate(0, 0, demoDays-9), credits: "0"},
		{until: p.end.Truncate(24 * time.Hour), credits: "260"},
	}}
}

func (p *demoPlay) team(a *demoActor) error {
	if _, err := p.Accounts.Create(p.ctx, a.account, "Acme Studio", ""); err != nil {
		return err
	}
	admin, member := directory.RoleAdmin, directory.RoleMember
	mira, jon, address, other := "Mira Lindqvist", "Jon Okafor", "mira@acme.example", "jon@acme.example"
	_, err := p.Directory.Members.Add(p.ctx, a.account, "mira", directory.MemberChange{Name: &mira, Email: &address, Role: &admin})
	caps := []directory.MemberCap{{Amount: "2000", Every: "month"}}
	_, errJon := p.Directory.Members.Add(p.ctx, a.account, "jon", directory.MemberChange{Name: &jon, Email: &other, Role: &member, Caps: &caps})
	if err := errors.Join(err, errJon); err != nil {
		return err
	}
	for _, k := range []directory.Key{{Member: "mira", Name: "Mira's laptop"}, {Member: "jon", Name: "Jon's editor"}, {Name: "Nightly batch"}} {
		k.Account = a.account
		_, made, err := p.Directory.Keys.Create(p.ctx, k)
		if err != nil {
			return err
		}
		a.keys[k.Member] = made.ID
	}
	return nil
}

// run plays all accounts, hour by hour: the ledger's clock goes forward only.
func (p *demoPlay) run(actors ...*demoActor) error {
	for t := p.now.Truncate(time.Hour); t.Before(p.end); t = t.Add(time.Hour) {
		for _, a := range actors {
			if p.now.Before(t) {
				p.now = t
			}
			if err := p.hour(a, t); err != nil {
				return err
			}
		}
	}
	return p.complaint()
}

// hour plays one hour of an account, as far as its phase has planned to spend.
func (p *demoPlay) hour(a *demoActor, t time.Time) error {
	for len(a.phases) > 0 && !t.Before(a.phases[0].until) {
		a.phases = a.phases[1:]
	}
	if len(a.phases) == 0 {
		return nil
	}
	f := &a.phases[0]
	if err := p.enter(a, f, t); err != nil {
		return err
	}
	f.planned += f.whole * money.Amount(busy(t)) / money.Amount(max(1, f.weight))
	for f.spent < f.planned {
		p.now = p.now.Add(time.Duration(20+p.random.IntN(120)) * time.Second)
		if p.now.After(t.Add(59*time.Minute)) || p.now.After(p.end) {
			break
		}
		cost, err := p.request(a)
		if err != nil {
			return err
		}
		f.spent += cost
	}
	return nil
}

func (p *demoPlay) enter(a *demoActor, f *demoPhase, from time.Time) (err error) {
	if f.began {
		return nil
	}
	f.began = true
	b, _ := p.Book()
	if f.whole, err = money.ParseAmount(f.credits, b.Credit.Decimals); err != nil {
		return err
	}
	for t := from; t.Before(f.until); t = t.Add(time.Hour) {
		f.weight += busy(t)
	}
	if f.begin == nil {
		return nil
	}
	return f.begin(a)
}

// complaint: the last image was bad, and an operator refunded it.
func (p *demoPlay) complaint() error {
	var picture *ledger.Charge
	err := p.Reports.Charges(p.ctx, "acme", report.ChargeFilter{Where: map[string]string{"operation": "image", "state": "charged"}}, func(c *ledger.Charge) bool {
		picture = c
		return false
	})
	if err != nil || picture == nil {
		return err
	}
	p.now = p.end
	_, err = p.Accounts.Do(p.ctx, "acme", ledger.Refund{Charge: picture.ID, Reason: "the picture was blurred", Idempotency: "ticket-318"})
	return err
}

// busy is how much is done in an hour.
func busy(t time.Time) int {
	at := 1 // the batch at night
	if h := t.Hour(); h >= 8 && h < 19 {
		at = 12 - max(h-13, 13-h)
	}
	if day := t.Weekday(); day == time.Saturday || day == time.Sunday {
		at = (at + 3) / 4
	}
	return at
}
