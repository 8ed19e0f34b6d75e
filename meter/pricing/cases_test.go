package pricing_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/internal/casefile"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

const fixtures = "../../testdata/pricing"

type priceCase struct{ casefile.Price }

// TestCases runs every price case and every estimate of the shared files.
// FAREBOX_CASES names another folder with cases/ and the price files that they
// are about.
func TestCases(t *testing.T) {
	folder := fixtures
	if f := os.Getenv("FAREBOX_CASES"); f != "" {
		folder = f
	}
	files, err := filepath.Glob(filepath.Join(folder, "cases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		c, err := casefile.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			book := loadBook(t, filepath.Join(folder, c.Book))
			unitCase(t, book, c.Unit)
			for _, p := range c.Prices {
				t.Run(p.Name, func(t *testing.T) { priceCase{p}.run(t, book) })
			}
			for _, e := range c.Estimates {
				t.Run(e.Name, func(t *testing.T) { estimateCase(t, &e, book) })
			}
		})
	}
}

func loadBook(t testing.TB, file string) *pricing.Book {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	book, problems := pricefile.Load("pricing.yaml", text)
	if book == nil {
		t.Fatalf("%s:\n%s", file, problems)
	}
	return book
}

func unitCase(t *testing.T, b *pricing.Book, unit map[string]any) {
	t.Helper()
	got := map[string]any{"name": b.Credit.Name, "plural": b.Credit.Plural, "decimals": b.Credit.Decimals}
	if b.Credit.Worth != nil {
		got["worth"] = b.Credit.Worth.String()
	}
	for key, want := range unit {
		if key != "covers" && fmt.Sprint(got[key]) != fmt.Sprint(want) {
			t.Errorf("unit %s = %v, want %v", key, got[key], want)
		}
	}
	if unit != nil && unit["worth"] == nil && b.Credit.Worth != nil {
		t.Errorf("unit worth = %v, want none", b.Credit.Worth)
	}
}

func (p priceCase) run(t *testing.T, b *pricing.Book) {
	at := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	if p.At != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, p.At); err != nil {
			t.Fatal(err)
		}
	}
	facts := facts(t, &p.Request)
	facts.At, facts.Key, facts.Member = at, attributes(p.Key), attributes(p.Member)
	var plan *pricing.Plan
	if p.Plan != "" {
		if plan = b.Plan(p.Plan); plan == nil {
			t.Fatalf("no plan %q", p.Plan)
		}
	}
	estimate := p.Estimate
	if estimate == nil {
		estimate = p.Usage
	}
	for key := range p.Expect {
		switch key {
		case "operation", "feature", "model", "cost", "hold", "money", "refused", "reason":
		default:
			t.Errorf("unknown expectation %q", key)
		}
	}
	route := b.Route(facts.Method, facts.URI)
	request, err := b.Read(facts)
	if err == nil {
		if refusal := request.PlanAllows(plan); refusal != nil {
			err = refusal
		}
	}
	var hold, cost pricing.Quote
	if err == nil {
		hold, err = request.Estimate(usage(t, estimate), plan, pricing.FreeLeft{}).Hold()
	}
	if route.Refusal != nil && err == nil {
		t.Errorf("Route refuses %v, Read does not", route.Refusal)
	}
	if err == nil {
		answer, outcome := p.answer(t)
		cost, err = request.Cost(answer, plan, pricing.FreeLeft{})
		if err == nil {
			recordedAgain(t, b, request, answer, plan, at, cost)
		}
		if request.RefundDue(answer, outcome) {
			cost.Amount = 0
		}
	}
	var refusal *pricing.Refusal
	if want := p.Expect["refused"]; want != nil || errors.As(err, &refusal) {
		if !errors.As(err, &refusal) {
			t.Fatalf("not refused (%v); cost %d, want %v %v", err, cost.Amount, want, p.Expect["reason"])
		}
		if fmt.Sprint(want) != fmt.Sprint(refusal.Status) || p.Expect["reason"] != refusal.Reason {
			t.Errorf("refused with %v, want %v %v", refusal, want, p.Expect["reason"])
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if route.Free && cost.Amount != 0 {
		t.Errorf("Route says free, cost is %d", cost.Amount)
	}
	p.compare(t, b, request, hold, cost)
}

func (p priceCase) compare(t *testing.T, b *pricing.Book, r *pricing.Request, hold, cost pricing.Quote) {
	t.Helper()
	operation, feature := any(nil), any(nil)
	if op := r.Operation(); op != nil {
		operation = op.ID
		if op.Feature != "" {
			feature = op.Feature
		}
	}
	model := any(nil)
	if cost.Model != "" {
		model = cost.Model
	}
	for key, got := range map[string]any{"operation": operation, "feature": feature, "model": model} {
		if want, ok := p.Expect[key]; ok && want != got {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
	for key, got := range map[string]money.Amount{"cost": cost.Amount, "hold": hold.Amount} {
		if want, ok := p.Expect[key]; ok {
			sameAmount(t, b, key, got, want.(string))
		}
	}
	if want, ok := p.Expect["money"].(string); ok {
		m, err := pricefile.ParseMoney(want)
		got, worth := b.Credit.Money(cost.Amount)
		if err != nil || !worth || got.Currency != m.Currency || got.Amount.Cmp(m.Amount) != 0 {
			t.Errorf("money = %v, want %v", got, want)
		}
	}
}

func sameAmount(t *testing.T, b *pricing.Book, what string, got money.Amount, want string) {
	t.Helper()
	d, err := money.ParseDecimal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got.Decimal(b.Credit.Decimals).Cmp(d) != 0 {
		t.Errorf("%s = %s, want %s", what, got.Text(b.Credit.Decimals), want)
	}
}

func (p priceCase) answer(t *testing.T) (*pricing.Answer, pricing.Outcome) {
	a, outcome := &pricing.Answer{Status: 200}, pricing.Answered
	if p.Usage != nil {
		u := usage(t, p.Usage)
		a.Usage = &u
	}
	r := p.Response
	if r == nil {
		return a, outcome
	}
	if r.Status != 0 {
		a.Status = r.Status
	}
	var err error
	if a.Header, a.Body, err = r.Content(); err != nil {
		t.Fatal(err)
	}
	switch {
	case r.Error == "timeout":
		outcome = pricing.TimedOut
	case r.Error == "connect":
		outcome = pricing.NotReached
	case r.ClientAbort:
		outcome = pricing.ClientAbort
	}
	return a, outcome
}

func facts(t *testing.T, c *casefile.Request) *pricing.Facts {
	t.Helper()
	f, err := c.Facts()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// attributes are those of a key or member; of an id alone, the id.
func attributes(v any) pricing.Attributes {
	id, m := casefile.Identity(v)
	if m != nil {
		id = m["id"]
	}
	return pricing.Attributes{ID: id, More: m}
}

func usage(t *testing.T, m map[string]any) pricing.Usage {
	t.Helper()
	u, err := casefile.Usage(m)
	if err != nil {
		t.Fatal(err)
	}
	if u == nil {
		u = &pricing.Usage{}
	}
	return *u
}

func estimateCase(t *testing.T, e *casefile.Estimate, b *pricing.Book) {
	plan := b.Plan(e.Plan)
	var total money.Decimal
	for i, row := range e.Rows {
		facts := facts(t, &row.Request)
		facts.At = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
		r, err := b.Read(facts)
		if err != nil {
			t.Fatal(err)
		}
		q, err := r.Estimate(pricing.Usage{}, plan, pricing.FreeLeft{}).Hold()
		if err != nil {
			t.Fatal(err)
		}
		sum := q.Amount.Decimal(b.Credit.Decimals).Mul(money.FromInt(row.PerDay * row.Days))
		total = total.Add(sum)
		if len(e.Expect.Rows) > 0 {
			same(t, fmt.Sprintf("row %d", i), sum, e.Expect.Rows[i])
		}
	}
	if e.Expect.Total != "" {
		same(t, "total", total, e.Expect.Total)
	}
	if e.Expect.WithBuffer == "" {
		return
	}
	buffer, err := pricefile.ParseThreshold(e.Buffer, 0)
	if err != nil || !buffer.Percent {
		t.Fatalf("buffer %q: %v", e.Buffer, err)
	}
	with, err := total.Add(total.Mul(buffer.Share)).Ceil(b.Credit.Decimals)
	if err != nil {
		t.Fatal(err)
	}
	sameAmount(t, b, "with_buffer", with, e.Expect.WithBuffer)
}

func same(t *testing.T, what string, got money.Decimal, want string) {
	t.Helper()
	if d, err := money.ParseDecimal(want); err != nil || got.Cmp(d) != 0 {
		t.Errorf("%s = %s, want %s", what, got, want)
	}
}
