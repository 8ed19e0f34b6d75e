package meter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/internal/casefile"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const fixtures = "../testdata/pricing"

// TestStories runs the stories of the shared case files. FAREBOX_CASES names
// another folder with cases/ and the price files that they are about.
func TestStories(t *testing.T) {
	folder := fixtures
	if f := os.Getenv("FAREBOX_CASES"); f != "" {
		folder = f
	}
	files, err := filepath.Glob(filepath.Join(folder, "cases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	passed := 0
	var told share
	for _, file := range files {
		c, err := casefile.Read(file)
		if err != nil {
			t.Error(err)
			continue
		}
		price, err := os.ReadFile(filepath.Join(folder, c.Book))
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Stories {
			s := &c.Stories[i]
			if t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml")+"/"+s.Name, func(t *testing.T) { tell(t, s, price, &told) }) {
				passed++
			}
		}
	}
	t.Logf("stories: %d passed, 0 not yet covered", passed)
	told.enough(t)
}

// teller runs one story.
type teller struct {
	*testing.T
	m      *Gateway
	book   *pricing.Book
	now    *testClock
	charge map[string]ledger.ChargeID // by name, of `as` and `hold`
	open   map[string]Call
	grants map[string]ledger.GrantID
	seq    uint64 // of the journal, before the step
	n      int
}

const storyAccount = "acme"

func tell(t *testing.T, s *casefile.Story, price []byte, told *share) {
	book, problems := pricefile.Load("pricing.yaml", price)
	if book == nil {
		t.Fatal(problems)
	}
	p := &teller{
		T: t, book: book, now: clockAt(parseTime(t, s.Start)),
		charge: map[string]ledger.ChargeID{}, open: map[string]Call{}, grants: map[string]ledger.GrantID{},
	}
	var err error
	p.m, err = Open(t.Context(), Options{
		Store: memory.New(), Book: book, Text: price, Now: p.now.is,
		Problem: func(err error) { t.Errorf("problem: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.m.Close()
	if _, err := p.m.Accounts.Create(t.Context(), storyAccount, "", s.Account.Plan); err != nil {
		t.Fatal(err)
	}
	if s.Account.Alerts != nil {
		own := []string{}
		for _, a := range s.Account.Alerts {
			own = append(own, a.Below)
		}
		if err := p.m.Accounts.SetAlerts(t.Context(), storyAccount, own); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s.Steps {
		p.step(i+1, &s.Steps[i])
	}
	p.explained(told)
	r, err := p.m.Verify(t.Context())
	if err != nil || !r.Clean() {
		t.Errorf("verify: %v %+v", err, r)
	}
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (p *teller) amount(s string) money.Amount {
	p.Helper()
	a, err := money.ParseAmount(s, p.book.Credit.Decimals)
	if err != nil {
		p.Fatal(err)
	}
	return a
}

// step does the action, as often as it says, and compares each time; the state
// of the account is compared after the last time.
func (p *teller) step(n int, s *casefile.Step) {
	p.seq = p.account().Seq
	times := max(1, s.Repeat)
	for i := range times {
		got := p.act(s)
		acc := p.account()
		got.alerts = p.alerts()
		c := comparison{teller: p, step: s, at: fmt.Sprintf("step %d", n), got: got, account: acc}
		if times > 1 {
			c.at += fmt.Sprintf(", time %d", i+1)
		}
		c.action()
		if i == times-1 {
			c.state()
		}
	}
}

func (p *teller) account() *ledger.Account {
	p.Helper()
	a, err := p.m.Accounts.Get(p.Context(), storyAccount)
	if err != nil {
		p.Fatal(err)
	}
	return a
}

// alerts are those that the journal has got since it was asked last.
func (p *teller) alerts() (fired []string) {
	err := p.m.Reports.Journal(p.Context(), storyAccount, p.seq, func(e *ledger.Entry) bool {
		p.seq = e.Seq
		if e.Kind == ledger.KindAlert {
			fired = append(fired, e.Alert)
		}
		return true
	})
	if err != nil {
		p.Fatal(err)
	}
	return fired
}
