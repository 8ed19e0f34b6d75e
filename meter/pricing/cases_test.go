package pricing_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

const fixtures = "../../testdata/pricing"

type caseFile struct {
	Book      string         `yaml:"book"`
	Unit      map[string]any `yaml:"unit"`
	Define    any            `yaml:"define"`
	Prices    []priceCase    `yaml:"prices"`
	Stories   any            `yaml:"stories"`
	Estimates []estimateCase `yaml:"estimates"`
}

type caseRequest struct {
	Method  string         `yaml:"method"`
	Path    string         `yaml:"path"`
	Headers map[string]any `yaml:"headers"`
	Body    any            `yaml:"body"`
	BodyRaw *string        `yaml:"body_raw"`
	Form    map[string]any `yaml:"form"`
}

type priceCase struct {
	Name     string         `yaml:"name"`
	Covers   []string       `yaml:"covers"`
	Plan     string         `yaml:"plan"`
	Key      any            `yaml:"key"`
	Member   any            `yaml:"member"`
	At       string         `yaml:"at"`
	Request  caseRequest    `yaml:"request"`
	Usage    map[string]any `yaml:"usage"`
	Estimate map[string]any `yaml:"estimate"`
	Response *caseResponse  `yaml:"response"`
	Calc     any            `yaml:"calc"`
	CalcHold any            `yaml:"calc_hold"`
	Expect   map[string]any `yaml:"expect"`
}

type caseResponse struct {
	Status      int            `yaml:"status"`
	Headers     map[string]any `yaml:"headers"`
	Body        any            `yaml:"body"`
	Error       string         `yaml:"error"`
	ClientAbort bool           `yaml:"client_abort"`
}

type estimateCase struct {
	Name   string   `yaml:"name"`
	Covers []string `yaml:"covers"`
	Plan   string   `yaml:"plan"`
	Buffer string   `yaml:"buffer"`
	Rows   []struct {
		Request caseRequest `yaml:"request"`
		PerDay  uint64      `yaml:"per_day"`
		Days    uint64      `yaml:"days"`
	} `yaml:"rows"`
	Expect struct {
		Rows       []string `yaml:"rows"`
		Total      string   `yaml:"total"`
		WithBuffer string   `yaml:"with_buffer"`
	} `yaml:"expect"`
}

// TestCases runs every price case and every estimate of the shared files.
func TestCases(t *testing.T) {
	files, err := filepath.Glob(fixtures + "/cases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c caseFile
		if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			book := loadBook(t, filepath.Join(fixtures, c.Book))
			unitCase(t, book, c.Unit)
			for _, p := range c.Prices {
				t.Run(p.Name, func(t *testing.T) { p.run(t, book) })
			}
			for _, e := range c.Estimates {
				t.Run(e.Name, func(t *testing.T) { e.run(t, book) })
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
	book, problems := pricing.Load("pricing.yaml", text)
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

func (p *priceCase) run(t *testing.T, b *pricing.Book) {
	at := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	if p.At != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, p.At); err != nil {
			t.Fatal(err)
		}
	}
	facts := p.Request.facts(t)
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
		hold, err = request.Hold(usage(t, estimate), plan, pricing.FreeLeft{})
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

func (p *priceCase) compare(t *testing.T, b *pricing.Book, r *pricing.Request, hold, cost pricing.Quote) {
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
		m, err := pricing.ParseMoney(want)
		got, worth := b.Money(cost.Amount)
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

func (p *priceCase) answer(t *testing.T) (*pricing.Answer, pricing.Outcome) {
	a, outcome := &pricing.Answer{Status: 200}, pricing.Answered
	if p.Usage != nil {
		u := usage(t, p.Usage)
		a.Usage = &u
	}
	if r := p.Response; r != nil {
		if r.Status != 0 {
			a.Status = r.Status
		}
		a.Header = header(r.Headers)
		if r.Body != nil {
			a.Body, _ = json.Marshal(r.Body)
		}
		switch {
		case r.Error == "timeout":
			outcome = pricing.TimedOut
		case r.Error == "connect":
			outcome = pricing.NotReached
		case r.ClientAbort:
			outcome = pricing.ClientAbort
		}
	}
	return a, outcome
}

func (c *caseRequest) facts(t *testing.T) *pricing.Facts {
	t.Helper()
	u, err := url.ParseRequestURI(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	uri := u.EscapedPath()
	if u.RawQuery != "" {
		uri += "?" + u.RawQuery
	}
	f := &pricing.Facts{Method: c.Method, URI: uri, Header: header(c.Headers)}
	switch {
	case c.BodyRaw != nil:
		f.Body, f.ContentType = []byte(*c.BodyRaw), "application/json"
	case c.Form != nil:
		f.Body, f.ContentType = multipartBody(t, c.Form)
	case c.Body != nil:
		if f.Body, err = json.Marshal(c.Body); err != nil {
			t.Fatal(err)
		}
		f.ContentType = "application/json"
	}
	return f
}

func multipartBody(t *testing.T, form map[string]any) ([]byte, string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, name := range sortedKeys(form) {
		for _, text := range texts(form[name]) {
			if err := w.WriteField(name, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return []string{fmt.Sprint(v)}
	}
	var all []string
	for _, x := range list {
		all = append(all, fmt.Sprint(x))
	}
	return all
}

func header(m map[string]any) map[string][]string {
	h := map[string][]string{}
	for name, v := range m {
		h[name] = texts(v)
	}
	return h
}

func attributes(v any) map[string]string {
	switch x := v.(type) {
	case nil:
		return nil
	case map[string]any:
		m := map[string]string{}
		for k, y := range x {
			m[k] = fmt.Sprint(y)
		}
		return m
	}
	return map[string]string{"id": fmt.Sprint(v)}
}

func usage(t *testing.T, m map[string]any) pricing.Usage {
	t.Helper()
	var u pricing.Usage
	for name, v := range m {
		d, err := money.ParseJSONNumber(strings.TrimSpace(fmt.Sprint(v)))
		if err != nil {
			t.Fatal(err)
		}
		if kind, ok := pricing.KindByName(name); ok {
			u.Tokens[kind], _ = d.Int64()
		} else {
			u.Units = append(u.Units, pricing.UnitCount{Unit: name, Count: d})
		}
	}
	return u
}

func (e *estimateCase) run(t *testing.T, b *pricing.Book) {
	plan := b.Plan(e.Plan)
	var total money.Decimal
	for i, row := range e.Rows {
		facts := row.Request.facts(t)
		facts.At = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
		r, err := b.Read(facts)
		if err != nil {
			t.Fatal(err)
		}
		q, err := r.Hold(pricing.Usage{}, plan, pricing.FreeLeft{})
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
	buffer, err := pricing.ParseThreshold(e.Buffer, 0)
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
