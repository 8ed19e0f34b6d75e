package pricing_test

import (
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

const kiosk = `version: 1
credit: {name: point, decimals: 3, worth: 0.01 USD}
markup: 10%
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  bot: {match: POST /v1/bot, model: response.body.engine, price: by_model}
  mixed:
    match: POST /v1/mixed
    price: 5
    adjust:
      - {when: {body.real: true}, price: by_model}
      - {when: {body.gift: true}, price: free}
  scan:
    match: POST /v1/scans
    measure: {sheet: body.sheets}
    free_tier: {sheet: 30, every: month}
    price: {per_request: 0.1, per_sheet: 0.05, minimum: 0.2}
  ask:
    match: POST /v1/ask
    free_tier: {request: 2, every: day}
    price: {per_1k_tokens: 1}
    adjust: [{when: {output_tokens: {above: 500}}, times: 0.5}]
  video:
    match: POST /v1/videos
    measure: {second: {from: response.body.length, reserve: 20, max: 30}}
    price: {per_second: 1}
    job: {id: response.body.id, status: "GET /v1/videos/{id}.json", failed_when: {response.body.status: [failed, "cancel*"]}}
  search:
    match: POST /v1/responses
    price: {per_request: 1, per_web_search: 2}
models:
  small: {per_1k_tokens: {input: 1, output: 2}, max_output_tokens: 1_000, tags: [cheap]}
  large:
    per_1k_tokens: {input: 10, output: 20}
    adjust: [{when: {service_tier: flex}, times: 0.5}]
  clip: {per_second: 3}
plans:
  all: {}
  half: {discount: 50%}
  cheap: {allow: {tags: [cheap], operations: [scan]}}
labels: {team: header.X-Team, kind: body.kind}
policies:
  refund_on: [4xx, timeout]
  refund_when: {response.body.blocked: true, response.status: 200}
`

func hold(t *testing.T, r *pricing.Request, input int64) string {
	t.Helper()
	var est pricing.Usage
	est.Tokens[pricing.Input] = input
	q, err := r.Estimate(est, nil, pricing.FreeLeft{}).Hold()
	if err != nil {
		t.Fatal(err)
	}
	return q.Amount.Text(3)
}

func cost(t *testing.T, r *pricing.Request, a *pricing.Answer, free string) (string, pricing.Quote) {
	t.Helper()
	q, err := r.Cost(a, nil, pricing.FreeLeft{Left: dec(t, free)})
	if err != nil {
		t.Fatal(err)
	}
	return q.Amount.Text(3), q
}

func read(t *testing.T, b *pricing.Book, uri, body string) *pricing.Request {
	t.Helper()
	r, err := b.Read(jsonFacts("POST", uri, body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFreeTier(t *testing.T) {
	b := load(t, kiosk)
	for _, c := range []struct{ sheets, left, want, used string }{
		{"20", "30", "0", "20"},
		{"30", "30", "0", "30"},
		{"20", "10", "0.6", "10"},
		{"4", "0", "0.3", "0"},
		{"1", "0", "0.2", "0"},
		{"0", "5", "0.2", "0"}, // takes nothing of the tier, so that pays for nothing
	} {
		got, q := cost(t, read(t, b, "/v1/scans", `{"sheets":`+c.sheets+`}`), &pricing.Answer{Status: 200}, c.left)
		if got != c.want || q.FreeUsed.Cmp(dec(t, c.used)) != 0 {
			t.Errorf("%s sheets with %s free = %s, used %s; want %s, %s", c.sheets, c.left, got, q.FreeUsed, c.want, c.used)
		}
	}
	r := read(t, b, "/v1/ask", `{}`)
	if got, q := cost(t, r, &pricing.Answer{Status: 200}, "1"); got != "0" || q.FreeUsed.String() != "1" {
		t.Errorf("a free request costs %s", got)
	}
}

func TestAnswerDecides(t *testing.T) {
	b := load(t, kiosk)
	usage := &pricing.Usage{}
	usage.Tokens[pricing.Input], usage.Tokens[pricing.Output] = 1000, 1000

	r := read(t, b, "/v1/bot", `{}`)
	if got := hold(t, r, 1000); got != "101.112" { // (10 + 4.096 × 20) × 1.1
		t.Errorf("the dearest model holds %s", got)
	}
	for body, want := range map[string]string{
		`{"engine":"small"}`: "3.3", `{"engine":"large","service_tier":"flex"}`: "16.5",
		`{}`: "101.112", `{"engine":"other"}`: "101.112", `{"engine":7}`: "101.112", `{"engine":"clip"}`: "101.112",
	} {
		if got, _ := cost(t, r, &pricing.Answer{Status: 200, Usage: usage, Body: []byte(body)}, "0"); got != want {
			t.Errorf("%s costs %s, want %s", body, got, want)
		}
	}

	r = read(t, b, "/v1/chat/completions", `{"model":"small","service_tier":"flex"}`)
	for model, want := range map[string]string{"": "3.3", "large": "16.5", "large-20260101": "16.5", "nothing": "3.3", "clip": "3.3"} {
		if got, _ := cost(t, r, &pricing.Answer{Status: 200, Usage: usage, Model: model}, "0"); got != want {
			t.Errorf("answered by %q costs %s, want %s", model, got, want)
		}
	}
	if got, _ := cost(t, r, &pricing.Answer{Status: 200, Usage: usage, Model: "large", ServiceTier: "default"}, "0"); got != "33" {
		t.Errorf("another tier costs %s", got)
	}

	r = read(t, b, "/v1/videos", ``)
	if got := hold(t, r, 0); got != "20" {
		t.Errorf("the reserve is %s", got)
	}
	twelve := &pricing.Usage{Units: []pricing.UnitCount{{Unit: "second", Count: money.FromInt(12)}}}
	for body, want := range map[string]string{
		`{"length":12.25}`: "12.25", `{"length":99}`: "99", `{}`: "20", `{"length":"8"}`: "20", `{"length":-1}`: "20", ``: "20",
	} {
		if got, _ := cost(t, r, &pricing.Answer{Status: 200, Body: []byte(body)}, "0"); got != want {
			t.Errorf("%s costs %s, want %s", body, got, want)
		}
	}
	if got, _ := cost(t, r, &pricing.Answer{Status: 200, Usage: twelve}, "0"); got != "12" {
		t.Errorf("a reported length costs %s", got)
	}

	two := &pricing.Usage{Units: []pricing.UnitCount{{Unit: "web_search", Count: money.FromInt(2)}}}
	if got, _ := cost(t, read(t, b, "/v1/responses", `{}`), &pricing.Answer{Status: 200, Usage: two}, "0"); got != "5" {
		t.Errorf("two searches cost %s", got)
	}
}

func TestAdjustToAnotherPrice(t *testing.T) {
	b := load(t, kiosk)
	for body, want := range map[string]string{
		`{}`: "5", `{"real":true,"model":"small","max_tokens":1000}`: "0", `{"gift":true}`: "0",
		`{"real":true}`: "missing_model", `{"real":false,"model":"x"}`: "5",
	} {
		if got := quote(t, b, "POST", "/v1/mixed", body); got != want {
			t.Errorf("%s = %s, want %s", body, got, want)
		}
	}
}

func TestLargestOutput(t *testing.T) {
	b := load(t, kiosk)
	for _, c := range []struct {
		body      string
		available string
		bound     int64
		ok        bool
	}{
		{`{"model":"small"}`, "2.1", 454, true}, // (1 + bound × 2 / 1000) × 1.1
		{`{"model":"small"}`, "1.103", 1, true},
		{`{"model":"small"}`, "1.1", 0, false},
		{`{"model":"small"}`, "1000", 1000, true},
		{`{"model":"small","max_tokens":900}`, "1000", 900, true},
		{`{"model":"small","n":4}`, "2.1", 113, true},
		{`{"model":"large"}`, "1000", 4096, true},
	} {
		r := read(t, b, "/v1/chat/completions", c.body)
		var est pricing.Usage
		est.Tokens[pricing.Input] = 1000
		available, err := money.ParseAmount(c.available, 3)
		if err != nil {
			t.Fatal(err)
		}
		bound, ok := r.Estimate(est, nil, pricing.FreeLeft{}).LargestOutput(available)
		if bound != c.bound || ok != c.ok {
			t.Errorf("%s with %s: %d %v, want %d %v", c.body, c.available, bound, ok, c.bound, c.ok)
		}
		if !ok {
			continue
		}
		if q, err := r.Estimate(est, nil, pricing.FreeLeft{}).HoldFor(bound); err != nil || q.Amount > available {
			t.Errorf("%s: the bound holds %d of %d", c.body, q.Amount, available)
		}
	}
	// Above 500 tokens everything is half the price: 800 fit where 450 do not.
	r := read(t, b, "/v1/ask", `{"max_tokens":5000}`)
	if bound, ok := r.Estimate(pricing.Usage{}, nil, pricing.FreeLeft{}).LargestOutput(400); !ok || bound != 800 {
		t.Errorf("beyond a condition on output_tokens: %d %v", bound, ok)
	}
}

func TestRefundDue(t *testing.T) {
	b := load(t, kiosk)
	r := read(t, b, "/v1/scans", `{"sheets":1}`)
	answer := func(status int, body string) *pricing.Answer {
		return &pricing.Answer{Status: status, Body: []byte(body)}
	}
	for _, c := range []struct {
		a       *pricing.Answer
		outcome pricing.Outcome
		want    bool
	}{
		{answer(200, ""), pricing.Answered, false},
		{answer(404, ""), pricing.Answered, true},
		{answer(500, ""), pricing.Answered, false},
		{nil, pricing.TimedOut, true},
		{nil, pricing.NotReached, true},
		{answer(200, ""), pricing.ClientAbort, false},
		{answer(200, `{"blocked":true}`), pricing.Answered, true},
		{answer(200, `{"blocked":"true"}`), pricing.Answered, true},
		{answer(201, `{"blocked":true}`), pricing.Answered, false},
		{answer(200, `{"blocked":1}`), pricing.Answered, false},
		{answer(200, `{"blocked":true`), pricing.Answered, false},
	} {
		if got := r.RefundDue(c.a, c.outcome); got != c.want {
			t.Errorf("%+v %d: %v", c.a, c.outcome, got)
		}
	}
}

func TestJobs(t *testing.T) {
	b := load(t, kiosk)
	r := read(t, b, "/v1/videos", ``)
	if id := r.Operation().JobID(&pricing.Answer{Status: 200, Body: []byte(`{"id":"Job-7"}`)}); id != "Job-7" {
		t.Errorf("id %q", id)
	}
	op, id, ok := b.Jobs.For("GET", "/v1//Videos/Job-7.JSON?x=1")
	if !ok || op.ID != "video" || id != "Job-7" {
		t.Fatalf("%v %q %v", op, id, ok)
	}
	for _, uri := range []string{"/v1/videos/.json", "/v1/videos/a/b.json", "/v1/videos/a", "/v1/videos/a%2fb.json"} {
		if _, id, ok := b.Jobs.For("GET", uri); ok {
			t.Errorf("%s is job %q", uri, id)
		}
	}
	for body, want := range map[string]bool{`{"status":"failed"}`: true, `{"status":"cancelled"}`: true, `{"status":"done"}`: false, ``: false} {
		if got := op.JobFailed(&pricing.Answer{Status: 200, Body: []byte(body)}); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
	if r, err := b.Read(jsonFacts("GET", "/v1/videos/x.json", "")); err != nil || !r.Free() || r.Operation() != nil {
		t.Errorf("a status request: %v", err)
	}
}

func TestPlansAndLabels(t *testing.T) {
	b := load(t, kiosk)
	f := jsonFacts("POST", "/v1/chat/completions", `{"model":"large-2026-01-01","kind":"poem"}`)
	f.Header = map[string][]string{"X-Team": {"red"}}
	r, err := b.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	refusal := r.PlanAllows(b.Plan("cheap"))
	if refusal == nil || refusal.Status != 403 || strings.Join(refusal.Plans, " ") != "all half" {
		t.Errorf("%+v", refusal)
	}
	if got := r.Asked.Labels; got["team"] != "red" || got["kind"] != "poem" || len(got) != 2 {
		t.Errorf("labels %v", got)
	}
	s := r.Subject()
	if strings.Join(s.Models, " ") != "large-2026-01-01 large" {
		t.Errorf("models %v", s.Models)
	}
	if refusal := read(t, b, "/v1/scans", `{"sheets":1}`).PlanAllows(b.Plan("cheap")); refusal != nil {
		t.Error(refusal)
	}
	// A plan looks at the model even where the price does not.
	if refusal := read(t, b, "/v1/mixed", `{"model":"small"}`).PlanAllows(b.Plan("cheap")); refusal != nil {
		t.Error(refusal)
	}
	if got := quote(t, b, "POST", "/v1/mixed", `{"model":"small","model":"large"}`); got != "ambiguous_request" {
		t.Errorf("two models for the plan to look at: %s", got)
	}
}

func TestExplain(t *testing.T) {
	b := loadBook(t, fixtures+"/examples/6-reselling-openai-anthropic.yaml")
	var est pricing.Usage
	est.Tokens[pricing.Input] = 10_000
	facts := jsonFacts("POST", "/v1/chat/completions", `{"model":"gpt-5.4","service_tier":"flex","max_tokens":1000}`)
	hold := explain(t, b, facts, est, b.Plan("team"))
	want := `operation   chat  (pricing.yaml:16:3)          model gpt-5.4 (54:3)
  input              10,000 tokens × 2.5 / 1M                              0.025  (54:3)
  output             at most 1,000 tokens × 15 / 1M                         0.04  (54:3)
  adjust             service_tier = flex × 0.5                              0.02  (60:9)
  markup             20%                                                   0.024
  plan               team discount 5%                                     0.0228  (94:3)
hold        0.0228 USD before the request, settled to the real usage afterwards
`
	if got := hold.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var q pricing.Quote
	if r, err := b.Read(facts); err != nil {
		t.Fatal(err)
	} else if q, err = r.Estimate(est, b.Plan("team"), pricing.FreeLeft{}).Hold(); err != nil || q.Amount != hold.Quote.Amount {
		t.Errorf("Hold is %d, its explanation %d", q.Amount, hold.Quote.Amount)
	}
	shop := load(t, shop)
	image := explain(t, shop, jsonFacts("POST", "/v1/images", `{"n":3,"style":"art-deco"}`), est, nil)
	if got := image.Breakdown(); got != "3 image × 2; adjust body.style = art-* × 3" {
		t.Errorf("breakdown: %s", got)
	}
}

func explain(t *testing.T, b *pricing.Book, f *pricing.Facts, est pricing.Usage, plan *pricing.Plan) *pricing.Explanation {
	t.Helper()
	r, err := b.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Estimate(est, plan, pricing.FreeLeft{}).Explain()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPricesList(t *testing.T) {
	b := load(t, kiosk)
	var lines []string
	for _, p := range b.PricesList() {
		line := strings.TrimSpace(p.Operation + " " + p.Model + ": " + p.Words)
		if p.Credits != nil {
			line += " = " + p.Credits.String() + " per " + p.Unit + ", " + p.Money.String()
		}
		lines = append(lines, line)
	}
	want := []string{
		"chat small: 1100 per 1M input tokens, 2200 per 1M output tokens",
		"chat large: 11000 per 1M input tokens, 22000 per 1M output tokens",
		"bot small: 1100 per 1M input tokens, 2200 per 1M output tokens",
		"bot large: 11000 per 1M input tokens, 22000 per 1M output tokens",
		"mixed : 5 per request = 5 per request, 0.05 USD",
		"scan : 0.1 per request, 0.05 per sheet, at least 0.2, after 30 free sheets a month",
		"ask : 1000 per 1M input tokens, 1000 per 1M output tokens, after 2 free requests a day",
		"video : 1 per second = 1 per second, 0.01 USD",
		"search : 1 per request, 2 per web search",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}
