package meter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/report"
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
	p.m.ConfirmClock()
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

func (p *played) refund(account, charge string, amount int64) {
	p.Helper()
	cmd := ledger.Refund{Charge: ledger.ChargeID(charge), Amount: money.Amount(amount), Reason: "sorry", Idempotency: fmt.Sprint(charge, amount)}
	if _, err := p.m.Accounts.Do(p.Context(), account, cmd); err != nil {
		p.Fatal(err)
	}
}

const reportBook = `
version: 1
credit: {name: credit, worth: 0.10 USD, decimals: 0}
operations:
  image: {match: POST /v1/images, feature: Pictures, measure: {image: {from: body.n, default: 1}}, price: {per_image: 10}}
  note:  {match: POST /v1/notes, price: 3}
plans: {basic: {credits: [{type: subscription, amount: 1000, every: month}]}}
default_plan: basic
labels: {project: body.project}
policies: {refund_on: [5xx, timeout]}
`

// charges reads page after page.
func (p *played) charges(f report.ChargeFilter, size int) (ids []string) {
	p.Helper()
	for {
		page := []string{}
		err := p.m.Reports.Charges(p.Context(), "acme", f, func(c *ledger.Charge) bool {
			page = append(page, string(c.ID))
			return len(page) < size
		})
		if err != nil {
			p.Fatal(err)
		}
		ids = append(ids, page...)
		if len(page) < size {
			return ids
		}
		f.Before = page[size-1]
	}
}

func TestChargesPageByPage(t *testing.T) {
	p := play(t, reportBook, "2026-11-12T09:00:00Z")
	p.open("acme", "")
	p.open("other", "")
	var made []string // oldest first
	open := map[string]bool{}
	for i := range 9 {
		who := []string{"acme/mira", "acme/jon", "acme"}[i%3]
		var c Call
		switch i {
		case 0, 4, 8: // the oldest, one in the middle and the newest still run
			c = p.begin(who, "/v1/images", `{"n":2,"project":"Spring"}`)
			open[c.Info().ID] = true
		case 5:
			c = p.ask(who, "/v1/notes", `{}`, 502)
		default:
			c = p.ask(who, []string{"/v1/images", "/v1/notes"}[i%2], fmt.Sprintf(`{"project":"p%d"}`, i%2), 200)
		}
		made = append(made, c.Info().ID)
		p.ask("other", "/v1/notes", `{}`, 200)
		p.until(p.now.is().Add(time.Minute).Format(time.RFC3339))
	}
	p.refund("acme", made[2], 4)
	p.refund("acme", made[3], 0)
	newest := slices.Clone(made)
	slices.Reverse(newest)
	for size := 1; size <= 10; size++ {
		if got := p.charges(report.ChargeFilter{}, size); !slices.Equal(got, newest) {
			t.Errorf("%d a page: %q, want %q", size, got, newest)
		}
	}
	pick := func(numbers ...int) (ids []string) {
		for _, n := range numbers {
			ids = append(ids, made[n])
		}
		return ids
	}
	at := func(minute int) time.Time {
		return instantOf(t, "2026-11-12T09:00:00Z").Add(time.Duration(minute) * time.Minute)
	}
	for what, tt := range map[string]struct {
		f    report.ChargeFilter
		want []string
	}{
		"open":             {report.ChargeFilter{Where: map[string]string{"state": "open"}}, pick(8, 4, 0)},
		"refunded":         {report.ChargeFilter{Where: map[string]string{"state": "refunded"}}, pick(5, 3)},
		"refunded in part": {report.ChargeFilter{Where: map[string]string{"state": "refunded in part"}}, pick(2)},
		"charged":          {report.ChargeFilter{Where: map[string]string{"state": "charged"}}, pick(7, 6, 1)},
		"an outcome":       {report.ChargeFilter{Where: map[string]string{"outcome": "upstream 502"}}, pick(5)},
		"a member":         {report.ChargeFilter{Where: map[string]string{"member": "jon"}}, pick(7, 4, 1)},
		"no member":        {report.ChargeFilter{Where: map[string]string{"member": ""}}, pick(8, 5, 2)},
		"two filters":      {report.ChargeFilter{Where: map[string]string{"member": "mira", "operation": "note"}}, pick(3)},
		"a feature":        {report.ChargeFilter{Where: map[string]string{"feature": "Pictures", "state": "charged"}}, pick(6)},
		"a label":          {report.ChargeFilter{Where: map[string]string{"project": "Spring"}}, pick(8, 4, 0)},
		"text":             {report.ChargeFilter{Text: "SPRING"}, pick(8, 4, 0)},
		"a time":           {report.ChargeFilter{From: at(2), To: at(5)}, pick(4, 3, 2)},
		"from":             {report.ChargeFilter{From: at(7)}, pick(8, 7)},
		"to":               {report.ChargeFilter{To: at(2)}, pick(1, 0)},
		"nothing":          {report.ChargeFilter{Text: "no such thing"}, nil},
	} {
		for _, size := range []int{1, 2, 50} {
			if got := p.charges(tt.f, size); !slices.Equal(got, tt.want) {
				t.Errorf("%s, %d a page: %q, want %q", what, size, got, tt.want)
			}
		}
	}
	for range 3 { // ids of one moment have no order but their own
		p.ask("acme", "/v1/notes", `{}`, 200)
	}
	if got := p.charges(report.ChargeFilter{}, 1); len(got) != 12 || !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("%q", got)
	}
	if err := p.m.Reports.Charges(p.Context(), "missing", report.ChargeFilter{}, nil); err == nil {
		t.Error("charges of a missing account")
	}
	for id := range open {
		if !slices.Contains(made, id) {
			t.Error(id)
		}
	}
}

func TestHistoryBack(t *testing.T) {
	p := play(t, reportBook, "2026-11-12T09:00:00Z")
	p.open("acme", "")
	for range 4 {
		p.ask("acme", "/v1/notes", `{}`, 200)
	}
	var whole []uint64
	read := func(before uint64, most int) (seqs []uint64) {
		err := p.m.Reports.JournalBack(p.Context(), "acme", before, func(e *ledger.Entry) bool {
			seqs = append(seqs, e.Seq)
			return len(seqs) < most
		})
		if err != nil {
			t.Fatal(err)
		}
		return seqs
	}
	whole = read(0, 1000)
	last := p.account("acme").Seq
	if uint64(len(whole)) != last || whole[0] != last || whole[len(whole)-1] != 1 {
		t.Errorf("%v, last is %d", whole, last)
	}
	var paged []uint64
	for before := uint64(0); ; before = paged[len(paged)-1] {
		page := read(before, 3)
		if paged = append(paged, page...); len(page) < 3 {
			break
		}
	}
	if !slices.Equal(paged, whole) {
		t.Errorf("page by page %v, at once %v", paged, whole)
	}
	if got := read(1, 10); len(got) != 0 {
		t.Errorf("before the first there is %v", got)
	}
	if err := p.m.Reports.JournalBack(p.Context(), "missing", 0, nil); err == nil {
		t.Error("the journal of a missing account")
	}
}

func TestHoldsOfAllAccounts(t *testing.T) {
	p := play(t, reportBook, "2026-11-12T09:00:00Z")
	p.open("acme", "")
	p.open("beta", "")
	var want []string
	for i := range 5 {
		want = append(want, p.begin([]string{"beta", "acme"}[i%2], "/v1/notes", `{}`).Info().ID)
		p.until(p.now.is().Add(time.Second).Format(time.RFC3339))
	}
	p.ask("acme", "/v1/notes", `{}`, 200)
	var got []string
	if err := p.m.Reports.Holds(p.Context(), func(c *ledger.Charge) { got = append(got, string(c.ID)) }); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, want %q: %v", got, want, err)
	}
}
