package meter

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/change"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/writer"
)

// The nine traps: ways to pay less than the price file says, or nothing. Each
// test first shows what the attack would gain, then that it does not. What needs
// a server (T-4's encodings on the wire, T-7's report, T-8's guard at a reload) is
// tested there, too.

const trapsBook = `version: 1
credit: {name: credit, decimals: 0}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  image:
    match: POST /v1/images/generations
    measure: {image: {from: body.n, default: 1, max: 100}}
    price: {per_image: 10}
    adjust: [{when: {body.quality: high}, times: 5}]
  edit: {match: POST /v1/edits, measure: {image: {from: form.n, default: 1}}, price: {per_image: 10}}
models:
  cheap: {per_token: {input: 0, output: 1}, max_output_tokens: 100_000}
  dear:
    per_token: {input: 0, output: 100}
    max_output_tokens: 100_000
    adjust: [{when: {service_tier: priority}, times: 2}]
plans:
  day: {credits: [{type: free, amount: 100, every: day}]}
  month: {credits: [{type: subscription, amount: 100_000, every: month}]}
default_plan: month
policies: {reserve_output_tokens: 10, unpriced: free, timezone: Europe/Berlin}
`

// gateWith is a gate with a price file of its own, its account on a plan.
func gateWith(t *testing.T, prices, plan string, now time.Time) *gate {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	if book == nil {
		t.Fatal(problems)
	}
	g := &gate{T: t, now: clockAt(now)}
	var err error
	g.m, err = Open(t.Context(), Options{
		Store: memory.New(), Book: book, Text: []byte(prices), Now: g.now.is,
		Problem: func(err error) {
			if !errors.Is(err, writer.ErrClockBehind) { // of a test that sets the clock back
				t.Errorf("problem: %v", err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.m.Close)
	if _, err := g.m.Accounts.Create(t.Context(), "acme", "", plan); err != nil {
		t.Fatal(err)
	}
	return g
}

func trapsGate(t *testing.T) *gate {
	return gateWith(t, trapsBook, "", time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC))
}

// refused tries a request that must not be admitted, for this reason.
func (g *gate) refused(r *Request, reason string) {
	g.Helper()
	c, err := g.m.Admit(g.Context(), r)
	var d *Refusal
	if !errors.As(err, &d) || d.Reason != reason {
		g.Errorf("%s: %v %v, want %s", r.Body, c, err, reason)
	}
	if c != nil {
		c.Settle(g.Context(), NotReached, nil)
	}
}

// T-1: two readers of a body take different values of a key that is there twice.
func TestTrap1DuplicateKeys(t *testing.T) {
	const body = `{"model":"cheap","model":"dear","max_tokens":10}`
	var upstream struct{ Model string }
	if err := json.Unmarshal([]byte(body), &upstream); err != nil {
		t.Fatal(err)
	}
	if first := gjson.Get(body, "model").Str; first != "cheap" || upstream.Model != "dear" {
		t.Fatalf("no attack: one reader takes %s, the other %s", first, upstream.Model)
	}
	g := trapsGate(t)
	if cheap, dear := g.admit(post(chat, `{"model":"cheap","max_tokens":10}`)), g.admit(post(chat, `{"model":"dear","max_tokens":10}`)); cheap.Info().Held*100 != dear.Info().Held {
		t.Fatalf("no gain: %d and %d are held", cheap.Info().Held, dear.Info().Held)
	}
	for _, b := range []string{
		body, `{"model":"dear","model":"cheap"}`, `{"model":"cheap","Model":"dear"}`, `{"mod\u0065l":"dear","model":"cheap"}`,
		`{"model":"dear","max_tokens":1,"max_tokens":1000}`, `{"model":"dear","service_tier":"default","service_tier":"priority"}`,
	} {
		g.refused(post(chat, b), pricing.AmbiguousRequest)
	}
	for _, b := range []string{`{"n":1,"n":90}`, `{"quality":"low","quality":"high"}`, `{"N":90}`} {
		g.refused(post("/v1/images/generations", b), pricing.AmbiguousRequest)
	}
}

// T-2: numbers that readers take for other numbers.
func TestTrap2OddNumbers(t *testing.T) {
	for odd, taken := range map[string]int64{`"4"`: 4, `-3`: -3, `2.9`: 2, `[1]`: 0} {
		if n := gjson.Get(`{"n":`+odd+`}`, "n").Int(); n != taken {
			t.Errorf("no attack: %s is read as %d", odd, n)
		}
	}
	g := trapsGate(t)
	for _, odd := range []string{`"4"`, `-3`, `-0.5`, `2.9`, `[1]`, `{}`, `true`, `1e-1`} {
		g.refused(post("/v1/images/generations", `{"n":`+odd+`}`), pricing.QuantityInvalid)
	}
	for _, odd := range []string{`101`, `1e99`, `99999999999999999999999`} {
		g.refused(post("/v1/images/generations", `{"n":`+odd+`}`), pricing.QuantityTooLarge)
	}
	for absent, held := range map[string]money.Amount{`{}`: 10, `{"n":null}`: 10, `{"n":2}`: 20, `{"n":2e1}`: 200} {
		if c := g.admit(post("/v1/images/generations", absent)); c.Info().Held != held {
			t.Errorf("%s holds %d, want %d", absent, c.Info().Held, held)
		}
	}
}

// T-3: other spellings of a path, where what has no price is free.
func TestTrap3PathVariants(t *testing.T) {
	const path = "/v1/images/generations"
	g := trapsGate(t)
	for _, uri := range []string{
		"//v1/images/generations", "/v1//images/generations", "/v1/images/generations/", "/v1/images/./generations",
		"/v1/x/../images/generations", "/v1/images/%67enerations", "/V1/Images/Generations", "/v1/%2e%2e/v1/images/generations",
		"/v1/images/generations?x=/free", "http://other.example/v1/images/generations",
	} {
		if uri == path {
			t.Fatalf("no attack: %s is the path", uri)
		}
		if c := g.admit(post(uri, `{}`)); c.Info().Held != 10 {
			t.Errorf("%s holds %d", uri, c.Info().Held)
		}
	}
	for _, uri := range []string{"/v1/images%2Fgenerations", `/v1\images\generations`, "/v1/images/generations%00", "/v1/images/%2567enerations"} {
		g.refused(post(uri, `{}`), pricing.AmbiguousRequest)
	}
	if c := g.admit(post("/v1/models", "")); exchangeOf(c).price.Operation() != nil {
		t.Error("no gain: what has no price is not free here")
	}
	seen, _ := g.m.Unpriced.List()
	if len(seen) != 1 || seen[0].Reason != "free" || seen[0].Path != "/v1/models" {
		t.Errorf("seen without a price: %+v", seen)
	}
	if _, problems := pricefile.Load("pricing.yaml", []byte(trapsBook)); !strings.Contains(problems.String(), "warning: policies.unpriced: every request without an operation passes uncharged") {
		t.Errorf("the check says nothing:\n%s", problems)
	}
}

// T-4: a body that hides its fields from one of the readers.
func TestTrap4HiddenFields(t *testing.T) {
	const body = `{"n":9,"quality":"high"}`
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(body)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if gjson.Get(zipped.String(), "n").Exists() {
		t.Fatal("no attack: the field is not hidden")
	}
	g := trapsGate(t)
	if c := g.admit(post("/v1/images/generations", body)); c.Info().Held != 450 {
		t.Fatalf("plain, it holds %d", c.Info().Held)
	}
	for name, hidden := range map[string]string{
		"compressed": zipped.String(), "two documents": `{"n":1}` + body, "a comment": `/* */` + body, "a byte order mark": "\ufeff" + body,
		"cut short": body[:len(body)-1], "another language": "n: 9\nquality: high\n",
	} {
		c, err := g.m.Admit(t.Context(), post("/v1/images/generations", hidden))
		var d *Refusal
		if !errors.As(err, &d) || d.Reason != pricing.BodyNotJSON {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	form := func(parts ...string) *Request {
		var b strings.Builder
		for _, n := range parts {
			b.WriteString("--x\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n" + n + "\r\n")
		}
		r := post("/v1/edits", b.String()+"--x--\r\n")
		r.ContentType = "multipart/form-data; boundary=x"
		return r
	}
	if c := g.admit(form("7")); c.Info().Held != 70 {
		t.Errorf("a form holds %d", c.Info().Held)
	}
	g.refused(form("1", "7"), pricing.AmbiguousRequest)
	g.refused(form("1\n7"), pricing.QuantityInvalid)
}

// T-5: more, dearer or faster than was asked for.
func TestTrap5MoreThanAskedFor(t *testing.T) {
	g := trapsGate(t)
	for _, c := range []struct {
		name, path, body, answer string
		held, cost               money.Amount
	}{
		{"more pictures", "/v1/images/generations", `{"n":1}`, `{"created":1,"data":[{"url":"a"},{"url":"b"},{"url":"c"}]}`, 10, 30},
		{"a dearer model", chat, `{"model":"cheap","max_tokens":10}`, usageBy("dear", "", 5), 10, 500},
		{"a faster tier", chat, `{"model":"dear","max_tokens":10}`, usageBy("dear", "priority", 5), 1000, 1000},
		{"whichever tier", chat, `{"model":"dear","max_tokens":10,"service_tier":"auto"}`, usageBy("dear", "priority", 10), 2000, 2000},
		{"whichever, and it was the usual one", chat, `{"model":"dear","max_tokens":10,"service_tier":"auto"}`, usageBy("dear", "default", 10), 2000, 1000},
	} {
		charge, f := g.answered(post(c.path, c.body), 200, jsonType, c.answer)
		if charge.Info().Held != c.held || f.Cost != c.cost {
			t.Errorf("%s: held %d and cost %d, want %d and %d", c.name, charge.Info().Held, f.Cost, c.held, c.cost)
		}
	}
	r := g.request(`{"model":"dear","max_tokens":10,"service_tier":"auto"}`)
	if e, err := g.m.Estimate(t.Context(), r); err != nil || e.Quote.Amount != 2000 {
		t.Errorf("explained as %v (%v)", e, err)
	}
}

func (g *gate) request(body string) *Request { return post(chat, body) }

func usageBy(model, tier string, output int) string {
	if tier != "" {
		tier = `"service_tier":"` + tier + `",`
	}
	return fmt.Sprintf(`{"object":"chat.completion","model":%q,%s"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":%d}}`, model, tier, output)
}

// T-6: an answer that does not say what it used.
func TestTrap6StreamsWithoutUsage(t *testing.T) {
	g := trapsGate(t)
	c := g.admit(post(chat, `{"model":"cheap","stream":true}`))
	if !strings.Contains(string(c.Outgoing().Body()), `"include_usage":true`) {
		t.Errorf("usage is not asked for: %s", c.Outgoing().Body())
	}
	c.Begin(200, sse)
	if _, err := g.words(c, 7); err != nil {
		t.Fatal(err)
	}
	c.End()
	if f := c.Settle(t.Context(), Answered, nil); f.Cost != 7 || !f.Estimated || f.Refunded {
		t.Errorf("a stream that omits its usage: %+v", f)
	}
	for _, o := range []Outcome{ClientLeft, UpstreamBroke} {
		c := g.admit(post(chat, `{"model":"cheap","stream":true}`))
		c.Begin(200, sse)
		if _, err := g.words(c, 5); err != nil {
			t.Fatal(err)
		}
		if f := c.Settle(t.Context(), o, nil); f.Cost != 5 || f.Refunded {
			t.Errorf("a stream that was cut (%d): %+v", o, f)
		}
	}
	if _, f := g.answered(post(chat, `{"model":"cheap","max_tokens":50}`), 200, jsonType, `{"object":"chat.completion","model":"cheap","choices":[{"message":{"content":"one two three four"},"finish_reason":"stop"}]}`); f.Cost == 0 || f.Refunded {
		t.Errorf("an answer without usage: %+v", f)
	}
}

// T-7: a pattern prices a new, dearer model like an old one. The operator's
// report of such models is tested with the server.
func TestTrap7Patterns(t *testing.T) {
	const prices = "version: 1\ncredit: {name: credit}\noperations:\n  chat: {match: POST /v1/chat/completions, price: by_model}\nmodels:\n  gpt-*: {per_token: {output: 1}, max_output_tokens: 10}\n"
	g := gateWith(t, prices, "", time.Now())
	b, _ := g.m.Book()
	if m := b.ModelFor("gpt-9-ultra", g.now.is()); m == nil || m.Key != "gpt-*" {
		t.Fatalf("no attack: gpt-9-ultra is priced by %v", m)
	}
	g.refused(post(chat, `{"model":"other-1"}`), pricing.ModelNotPriced)
	g.refused(post(chat, `{"model":"other-1"}`), pricing.ModelNotPriced)
	if seen, more := g.m.Unpriced.List(); len(seen) != 1 || seen[0].Model != "other-1" || seen[0].Count != 2 || more != 0 {
		t.Errorf("seen without a price: %+v %d", seen, more)
	}
}

// T-8: a decimal point in the wrong place is a price file without errors.
func TestTrap8ATenthOfThePrice(t *testing.T) {
	slipped := strings.Replace(trapsBook, "output: 100}", "output: 10}", 1)
	old, _ := pricefile.Load("pricing.yaml", []byte(trapsBook))
	other, problems := pricefile.Load("pricing.yaml", []byte(slipped))
	if other == nil || problems.Errors() > 0 {
		t.Fatalf("no attack: the file is not taken: %s", problems)
	}
	half, _ := money.ParseDecimal("0.5")
	jumps := change.Jumps(old, other, half, time.Now())
	if len(jumps) != 1 || jumps[0].Percent() != "−90%" {
		t.Errorf("the guard sees %v", jumps)
	}
	rec := &pricing.Recorded{Operation: "chat", Model: "dear", At: time.Now(), Made: old}
	rec.Usage.Tokens[pricing.Output] = 50
	was, errWas := rec.Reprice(old, nil)
	is, errIs := rec.Reprice(other, nil)
	if was != 5000 || is != 500 || errWas != nil || errIs != nil {
		t.Errorf("replayed: %d (%v) and %d (%v)", was, errWas, is, errIs)
	}
}

// T-9: days are not 24 hours, months not 30 days, and clocks go back.
func TestTrap9Clocks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2026, 10, 25, 0, 0, 0, 0, berlin) // of the day with 25 hours
	if midnight.Add(24*time.Hour).Day() != 25 {
		t.Fatal("no attack: that day has 24 hours")
	}
	g := gateWith(t, trapsBook, "day", midnight.Add(time.Minute))
	spend := func(n string, want string) {
		t.Helper()
		c, err := g.m.Admit(t.Context(), post("/v1/images/generations", `{"n":`+n+`}`))
		got := "admitted"
		var d *Refusal
		if errors.As(err, &d) {
			got = d.Reason
		} else {
			c.Begin(200, jsonType)
			c.Settle(t.Context(), Answered, nil) // the clock moves while it is not read
		}
		if got != want {
			t.Errorf("%s: %s, want %s", g.now.is().In(berlin), got, want)
		}
	}
	spend("10", "admitted")
	g.now.set(midnight.Add(24*time.Hour + time.Minute)) // still the 25th
	spend("1", ledger.InsufficientCredits)
	g.now.set(midnight.AddDate(0, 0, 1).Add(time.Minute))
	spend("10", "admitted")
	g.now.set(midnight.Add(time.Hour)) // set back a day, and on again: no third allowance
	spend("1", ledger.InsufficientCredits)
	if err := g.m.Clock().Problem(); !errors.Is(err, writer.ErrClockBehind) {
		t.Errorf("a clock that was set back a day is reported as %v", err)
	}
	g.now.set(midnight.AddDate(0, 0, 1).Add(time.Hour))
	spend("1", ledger.InsufficientCredits)
	if err := g.m.Clock().Problem(); err != nil {
		t.Errorf("the clock is right again, and %v", err)
	}

	g = gateWith(t, trapsBook, "month", time.Date(2026, 1, 31, 9, 0, 0, 0, berlin))
	for _, want := range []string{"2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"} {
		a, err := g.m.Accounts.Get(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Sub.End.In(berlin).Format(time.DateOnly); got != want || a.Sub.End.In(berlin).Hour() != 9 {
			t.Errorf("renews at %s, want %s at 9", a.Sub.End.In(berlin), want)
		}
		g.now.set(a.Sub.End)
	}
}
