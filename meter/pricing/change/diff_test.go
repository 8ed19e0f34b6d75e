package change

import (
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

const diffOld = `version: 1
credit: {name: credit, decimals: 2}
markup: 20%
operations:
  photo: {match: POST /photos, measure: {photo: {from: body.photos.#, default: 1}}, price: {per_photo: 1}}
  chat: {match: POST /v1/chat/completions, price: by_model}
  gone: {match: POST /gone, price: 5}
models:
  small: {per_1k_tokens: {input: 1, output: 8}}
  big: {per_1m_tokens: {input: 100, output: 800}, adjust: [{when: {service_tier: flex}, times: 0.5}]}
plans:
  plus: {credits: [{type: free, amount: 500, every: month}]}
policies: {refund_on: [5xx, timeout]}
`

var diffNew = strings.NewReplacer(
	"per_photo: 1}", "per_photo: 2.0}", "gone: {match: POST /gone, price: 5}", "fresh: {match: POST /fresh, price: 12}",
	"per_1k_tokens: {input: 1, output: 8}", "per_1m_tokens: {input: 1_000, output: 7_200}", "times: 0.5", "times: 0.25",
	"amount: 500", "amount: 600", "[5xx, timeout]", "[5xx]", "markup: 20%", "markup: 30%",
).Replace(diffOld)

func booksOf(t *testing.T, texts ...string) (books []*pricing.Book) {
	t.Helper()
	for _, text := range texts {
		b, problems := pricefile.Load("pricing.yaml", []byte(text))
		if b == nil {
			t.Fatalf("%s", problems)
		}
		books = append(books, b)
	}
	return books
}

func TestDiff(t *testing.T) {
	b := booksOf(t, diffOld, diffNew)
	var got []string
	for _, c := range Diff(b[0], b[1]) {
		got = append(got, c.String())
	}
	want := []string{
		"changed  markup: 20% → 30%",
		"changed  operations photo  per photo: 1 → 2 (+100%)",
		"added    operations fresh: 12 per request",
		"removed  operations gone: 5 per request",
		"changed  models small  output per 1M: 8000 → 7200 (−10%)",
		"changed  models big  adjust[0].times: 0.5 → 0.25",
		"changed  plans plus  credits[0].amount: 500 → 600",
		"changed  policies  refund_on: [5xx, timeout] → [5xx]",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if again := Diff(b[0], b[0]); len(again) > 0 {
		t.Errorf("a file differs from itself: %v", again)
	}
}

func TestJumps(t *testing.T) {
	head := "version: 1\ncredit: {name: credit}\noperations:\n  a: {match: POST /a, price: 10}\n  m: {match: POST /m, price: by_model}\nmodels:\n  gpt-5: {per_1m_tokens: {input: 100, output: 800}}\n"
	for _, tt := range []struct{ name, was, is, limit, want string }{
		{"nothing changed", "", "", "0", ""},
		{"exactly the limit", "price: 10", "price: 15", "0.5", ""},
		{"above the limit", "price: 10", "price: 15.1", "0.5", "operations a  per request: 10 → 15.1 (+51%)"},
		{"down counts, too", "price: 10", "price: 1", "0.5", "−90%"},
		{"to nothing", "price: 10", "price: free", "0.5", "per request: 10 → nothing (−100%)"},
		{"another form", "price: 10", "price: by_model", "9", "price: 10 per request → by_model"},
		{"the point slipped", "input: 100", "input: 10", "0.5", "models gpt-5  input per 1M: 100 → 10 (−90%)"},
		{"other denominator, same price", "per_1m_tokens: {input: 100, output: 800}", "per_1k_tokens: {input: 0.1, output: 0.8}", "0", ""},
		{"a kind gets a price of its own", "input: 100,", "input: 100, cached_input: 10,", "0.5", "cached_input per 1M: 100 → 10"},
		{"a pattern takes over", "gpt-5:", "gpt-*:", "0.5", ""},
		{"a cheaper pattern takes over", "gpt-5: {per_1m_tokens: {input: 100", "gpt-*: {per_1m_tokens: {input: 1", "0.5", "models gpt-5  input per 1M: 100 → 1"},
		{"markup", "models:", "markup: 100%\nmodels:", "0.5", "models gpt-5  input per 1M: 100 → 200 (+100%)"},
		{"an adjustment", "output: 800}}", "output: 800}, adjust: [{when: {service_tier: flex}, times: 0.1}]}", "0.5", "input per 1M (service_tier = flex): 100 → 10"},
		{"a new operation", "models:", "  new: {match: POST /new, price: 1_000}\nmodels:", "0", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := booksOf(t, head, strings.Replace(head, tt.was, tt.is, 1))
			limit, err := money.ParseDecimal(tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range Jumps(b[0], b[1], limit, time.Unix(0, 0)) {
				got = append(got, c.String())
			}
			text := strings.Join(got, "\n")
			if tt.want == "" && text != "" || !strings.Contains(text, tt.want) {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestRepriceAndScale(t *testing.T) {
	b := booksOf(t, diffOld, diffNew)
	usage := func(text string) pricing.Usage {
		u, err := pricing.ParseUsage(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, tt := range []struct {
		op, model, usage, cost string
		again, scaled          string // "" if it can't be
	}{
		{"chat", "small", "input=1000 output=100", "2.16", "2.24", ""},
		{"chat", "big", "input=10000 output=1000", "2.16", "2.34", ""},
		{"photo", "", "", "3", "2", "6"}, // how many photos is not in the journal
		{"photo", "", "photo=3", "3", "6", "6"},
		{"gone", "", "", "5", "", ""},
	} {
		rec := &pricing.Recorded{Operation: tt.op, Model: tt.model, Usage: usage(tt.usage)}
		again, err := rec.Reprice(b[1], nil)
		if text := again.Text(2); err != nil && tt.again != "" || err == nil && text != tt.again {
			t.Errorf("%s %s: again %s (%v), want %s", tt.op, tt.usage, text, err, tt.again)
		}
		cost, _ := money.ParseAmount(tt.cost, 2)
		scaled, ok := Scale(b[0], b[1], rec, nil, nil, cost)
		if text := scaled.Text(2); ok != (tt.scaled != "") || ok && text != tt.scaled {
			t.Errorf("%s %s: scaled %s (%v), want %s", tt.op, tt.usage, text, ok, tt.scaled)
		}
	}
	for _, bad := range []string{"input", "input=-1", "image=x"} {
		if _, err := pricing.ParseUsage(bad); err == nil {
			t.Errorf("%q is read as usage", bad)
		}
	}
}
