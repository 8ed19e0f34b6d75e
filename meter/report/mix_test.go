package report_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/report"
)

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/pricing/examples/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (p *fixture) estimate(account string, mix report.Mix) *report.MixEstimate {
	p.Helper()
	e, err := p.Reports.EstimateMix(p.Context(), account, mix)
	if err != nil {
		p.Fatal(err)
	}
	return e
}

// The worked example of a seed: 30 pictures and 10 videos of 5 seconds on each
// of 22 days.
func TestAMonthOfPicturesAndVideos(t *testing.T) {
	p := newFixture(t, example(t, "5-imagineart"), "2026-11-12T00:00:00Z")
	mix := report.Mix{Days: 22, Lines: []report.MixLine{{Operation: "image", PerDay: "30"}, {Operation: "video", PerDay: "10"}}} // at the default of 5 s
	for buffer, want := range map[string]money.Amount{"": 62_040, "20%": 74_448, "25%": 77_550, "30 %": 80_652} {
		mix.Buffer = buffer
		e := p.estimate("", mix)
		if e.Lines[0].Credits != 15_840 || e.Lines[1].Credits != 46_200 || e.Sum != 62_040 || e.WithBuffer != want {
			t.Errorf("buffer %q: %+v", buffer, e)
		}
		if e.Lines[0].Times.String() != "660" || e.Lines[0].Each.String() != "24" || e.Lines[1].Times.String() != "220" || e.Lines[1].Each.String() != "210" {
			t.Errorf("%+v", e.Lines)
		}
		if e.Plan == nil || e.Plan.ID != "ultimate-yearly" || e.PerMonth != 90_000 {
			t.Errorf("buffer %q: plan %+v, %d a month", buffer, e.Plan, e.PerMonth)
		}
	}
	whole := p.estimate("", report.Mix{Days: 22, Lines: []report.MixLine{{Operation: "video", PerDay: "10", Credits: "210"}}})
	if whole.Sum != 46_200 || whole.Lines[0].Times.String() != "220" || whole.Plan.ID != "ultimate-yearly" {
		t.Errorf("%+v", whole)
	}
}

func TestTheSmallestPlanThatCovers(t *testing.T) {
	p := newFixture(t, example(t, "5-imagineart"), "2026-11-12T00:00:00Z")
	for _, tt := range []struct {
		what string
		mix  report.Mix
		want string
	}{
		{"100 a day", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", PerDay: "4"}}}, "free"}, // 2,880 of 3,000
		{"more than that", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", PerDay: "5"}}}, "basic"},
		{"exactly", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", PerDay: "1", Credits: "1000"}}}, "basic"},
		{"one credit more", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", PerDay: "1", Credits: "1000"}, {Operation: "image", PerDay: "1", Credits: "0.01"}}}, "ultimate-yearly"},
		{"a model that the free plan has not", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", Model: "imagine-pro", PerDay: "1"}}}, "basic"},
		{"a year of a thousand a day", report.Mix{Days: 365, Lines: []report.MixLine{{Operation: "image", PerDay: "1", Credits: "1000"}}}, "basic"},
		{"and one more", report.Mix{Days: 365, Lines: []report.MixLine{{Operation: "image", PerDay: "1", Credits: "1000.01"}}}, "ultimate-yearly"},
		{"too much for all", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", PerDay: "1000"}}}, ""},
	} {
		e, got := p.estimate("", tt.mix), ""
		if e.Plan != nil {
			got = e.Plan.ID
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q (%+v)", tt.what, got, tt.want, e)
		}
	}
	clever := newFixture(t, example(t, "4-cleverai"), "2026-11-12T00:00:00Z")
	e := clever.estimate("", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", PerDay: "10"}, {Operation: "chat", PerDay: "1000", Credits: "20"}}})
	if e.Sum != 3_000_00+600_000_00 || e.Plan == nil || e.Plan.ID != "enterprise" || !e.Unlimited { // a thousand times a thousand tokens
		t.Errorf("%+v", e)
	}
	if e := clever.estimate("", report.Mix{Days: 30, Lines: []report.MixLine{{Operation: "image", PerDay: "10"}}}); e.Plan.ID != "pro" || e.Unlimited {
		t.Errorf("the unlimited plan is not the smallest: %+v", e)
	}
}

func TestAMixThatMakesNoSense(t *testing.T) {
	p := newFixture(t, example(t, "5-imagineart"), "2026-11-12T00:00:00Z")
	line := []report.MixLine{{Operation: "image", PerDay: "1"}}
	for want, mix := range map[string]report.Mix{
		"days":               {Days: 0, Lines: line},
		"3660":               {Days: 4000, Lines: line},
		`no operation "pic"`: {Days: 1, Lines: []report.MixLine{{Operation: "pic", PerDay: "1"}}},
		"per_day":            {Days: 1, Lines: []report.MixLine{{Operation: "image", PerDay: "-1"}}},
		"buffer":             {Days: 1, Lines: line, Buffer: "20"},
		"share":              {Days: 1, Lines: line, Buffer: "9999%"},
		"credits is":         {Days: 1, Lines: []report.MixLine{{Operation: "image", PerDay: "1", Credits: "x"}}},
		"name the model":     {Days: 1, Lines: []report.MixLine{{Operation: "image", Model: "imagine-9", PerDay: "1"}}},
		"counted":            {Days: 3660, Lines: []report.MixLine{{Operation: "image", PerDay: "999999999999999999"}}},
	} {
		if _, err := p.Reports.EstimateMix(t.Context(), "", mix); !errors.Is(err, input.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", mix, err, want)
		}
	}
}

const tokenBook = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  image: {match: POST /v1/images, measure: {image: {from: body.n, default: 1}}, price: {per_image: 10}}
  two:   {match: POST /v1/two, price: {per_request: 1, per_page: 2}, measure: {page: {from: body.n, default: 1}}}
plans: {basic: {credits: [{type: subscription, amount: 1000, every: month}]}}
default_plan: basic
`

// What has no single price goes by what it cost of late: the mean of what was
// paid for, rounded up; what failed does not count.
func TestTypicalCosts(t *testing.T) {
	p, two := newFixture(t, tokenBook, "2026-11-01T00:00:00Z"), ledger.Charge{Operation: "two"}
	p.Create("acme", "")
	mix := report.Mix{Days: 1, Lines: []report.MixLine{{Operation: "two", PerDay: "10"}}}
	if _, err := p.Reports.EstimateMix(t.Context(), "acme", mix); err == nil {
		t.Error("a price was made up")
	}
	p.Use("acme", two, 3)
	p.Use("acme", two, 9)
	p.Fail("acme", two, 19) // nothing
	refunded := p.Use("acme", two, 5)
	p.Refund("acme", refunded, 1)                                                             // 4
	if got := p.Reports.TypicalCosts(t.Context(), "acme"); len(got) != 1 || got["two"] != 6 { // 16 ÷ 3
		t.Errorf("%v", got)
	}
	e := p.estimate("acme", mix)
	if !e.Lines[0].Typical || e.Sum != 60 {
		t.Errorf("%+v", e)
	}
	mix.Lines[0].Credits = "2.5"
	if e := p.estimate("acme", mix); e.Lines[0].Typical || e.Sum != 25 {
		t.Errorf("%+v", e)
	}
	p.until("2026-12-02T00:00:00Z")
	if got := p.Reports.TypicalCosts(t.Context(), "acme"); len(got) != 0 {
		t.Errorf("older than 30 days: %v", got)
	}
}

func TestCountTakesTheDiscountAndRoundsEachTimeUp(t *testing.T) {
	b, problems := pricefile.Load("pricing.yaml", []byte(strings.Replace(tokenBook, "plans: {basic: {", "plans: {basic: {discount: 25%, ", 1)))
	if b == nil {
		t.Fatal(problems)
	}
	price := func(text string) money.Decimal {
		d, err := money.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, tt := range []struct {
		plan  *pricing.Plan
		have  money.Amount
		price string
		want  int64
		ok    bool
	}{
		{nil, 100, "10", 10, true},
		{nil, 99, "10", 9, true},
		{nil, 0, "10", 0, true},
		{nil, 100, "0.4", 100, true}, // each is charged 1
		{nil, 100, "0", 0, false},
		{b.Plan("basic"), 100, "10", 12, true}, // 7.5, charged 8
		{b.Plan("basic"), 100, "4", 33, true},
	} {
		if n, ok := report.Count(b, tt.plan, tt.have, price(tt.price)); n != tt.want || ok != tt.ok {
			t.Errorf("%d at %s: %d, %v", tt.have, tt.price, n, ok)
		}
	}
	tags := b.Operation("image").Tags
	s := report.SubjectOf(b, "image", "")
	if s.Operation != "image" || len(s.Tags) != len(tags) {
		t.Errorf("%+v", s)
	}
}
