package report_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/internal/ledgertest"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/selector"
)

const prices = `
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

// fixture is a ledger whose reports a test reads.
type fixture struct{ *ledgertest.Ledger }

func newFixture(t *testing.T, prices, start string) *fixture {
	t.Helper()
	return &fixture{ledgertest.Open(t, prices, start)}
}

func (p *fixture) until(text string) { p.Set(p.Time(text)) }

// image and note are charges of these operations, with a label.
func image(project string) ledger.Charge {
	return ledger.Charge{Operation: "image", Subject: selector.Subject{Feature: "Pictures"}, Labels: []ledger.Label{{Name: "project", Value: project}}}
}

func note(project string) ledger.Charge {
	return ledger.Charge{Operation: "note", Labels: []ledger.Label{{Name: "project", Value: project}}}
}

// charges reads page after page.
func (p *fixture) charges(f report.ChargeFilter, size int) (ids []string) {
	p.Helper()
	for {
		page := []string{}
		err := p.Reports.Charges(p.Context(), "acme", f, func(c *ledger.Charge) bool {
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
	p := newFixture(t, prices, "2026-11-12T09:00:00Z")
	p.Create("acme", "")
	p.Create("other", "")
	var made []string // oldest first
	for i := range 9 {
		who := []string{"acme/mira", "acme/jon", "acme"}[i%3]
		var id string
		switch i {
		case 0, 4, 8: // the oldest, one in the middle and the newest still run
			id = p.Hold(who, image("Spring"), 20)
		case 5:
			id = p.Fail(who, note(""), 3)
		default:
			if i%2 == 0 {
				id = p.Use(who, image("p0"), 10)
			} else {
				id = p.Use(who, note("p1"), 3)
			}
		}
		made = append(made, id)
		p.Use("other", note(""), 3)
		p.Pass(time.Minute)
	}
	p.Refund("acme", made[2], 4)
	p.Refund("acme", made[3], 0)
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
		return p.Time("2026-11-12T09:00:00Z").Add(time.Duration(minute) * time.Minute)
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
		p.Use("acme", note(""), 3)
	}
	if got := p.charges(report.ChargeFilter{}, 1); len(got) != 12 || !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("%q", got)
	}
	if err := p.Reports.Charges(p.Context(), "missing", report.ChargeFilter{}, nil); err == nil {
		t.Error("charges of a missing account")
	}
}

func TestTheJournalBackwards(t *testing.T) {
	p := newFixture(t, prices, "2026-11-12T09:00:00Z")
	p.Create("acme", "")
	for range 4 {
		p.Use("acme", note(""), 3)
	}
	var whole []uint64
	read := func(before uint64, most int) (seqs []uint64) {
		err := p.Reports.JournalBack(p.Context(), "acme", before, func(e *ledger.Entry) bool {
			seqs = append(seqs, e.Seq)
			return len(seqs) < most
		})
		if err != nil {
			t.Fatal(err)
		}
		return seqs
	}
	whole = read(0, 1000)
	last := p.Account("acme").Seq
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
	if err := p.Reports.JournalBack(p.Context(), "missing", 0, nil); err == nil {
		t.Error("the journal of a missing account")
	}
}

func TestHoldsOfAllAccounts(t *testing.T) {
	p := newFixture(t, prices, "2026-11-12T09:00:00Z")
	p.Create("acme", "")
	p.Create("beta", "")
	var want []string
	for i := range 5 {
		want = append(want, p.Hold([]string{"beta", "acme"}[i%2], note(""), 3))
		p.Pass(time.Second)
	}
	p.Use("acme", note(""), 3)
	var got []string
	if err := p.Reports.Holds(p.Context(), func(c *ledger.Charge) { got = append(got, string(c.ID)) }); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, want %q: %v", got, want, err)
	}
}
