package importer

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// header is the least that makes models: a price file.
const header = "version: 1\ncredit: {name: USD, plural: USD, worth: 1 USD, decimals: 9}\noperations: {all: {match: /*, price: by_model}}\n"

func loads(t *testing.T, lines string) *pricing.Book {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte(header+lines))
	if book == nil {
		t.Fatalf("%s", problems)
	}
	return book
}

func TestLiteLLM(t *testing.T) {
	table, err := LiteLLM([]byte(sample), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := table.YAML(); got != sampleLines {
		t.Errorf("got\n%s\nwant\n%s", got, sampleLines)
	}
	loads(t, table.YAML())
	var got []string
	for _, n := range table.Notes {
		got = append(got, n.Model+" "+n.Field)
	}
	want := []string{
		"acme/long input_cost_per_token_batches", "acme/long output_cost_per_token_batches", "acme/long output",
		"acme/cache regional_processing_uplift_multiplier_eu", "acme/silent output_cost_per_token",
		"paint-tokens output_cost_per_image", "lease input_cost_per_second", "lease left out",
	}
	if !slices.Equal(got, want) {
		t.Errorf("notes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s := table.Summary(); !strings.HasPrefix(s, "8 notes: ") {
		t.Error(s)
	}
}

func TestOpenRouter(t *testing.T) {
	table, err := OpenRouter([]byte(routed), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := table.YAML(); got != routedLines {
		t.Errorf("got\n%s\nwant\n%s", got, routedLines)
	}
	loads(t, table.YAML())
	for _, want := range []string{"acme/ask  frame: has no place", "router/auto  prompt: the price depends", "router/auto  left out: no price remains"} {
		if !slices.ContainsFunc(table.Notes, func(n Note) bool { return strings.HasPrefix(n.String(), want) }) {
			t.Errorf("no note %q in %v", want, table.Notes)
		}
	}
}

// What a request costs by the imported lines is what the table says.
func TestMeaning(t *testing.T) {
	table, err := LiteLLM([]byte(sample), Options{Models: []string{"acme/*"}})
	if err != nil {
		t.Fatal(err)
	}
	book := loads(t, table.YAML())
	for _, tt := range []struct {
		body      string
		in, out   int64
		want, why string
	}{
		{`{"model":"acme/long"}`, 1000, 100, "0.008", "ordinary"},
		{`{"model":"acme/long","service_tier":"flex"}`, 1000, 100, "0.004", "half"},
		{`{"model":"acme/long","service_tier":"priority"}`, 1000, 100, "0.016", "double"},
		{`{"model":"acme/long"}`, 300_000, 100, "3.0045", "the whole request is long"},
		{`{"model":"acme/long","service_tier":"priority"}`, 300_000, 100, "3.006", "long never makes priority cheaper"},
		{`{"model":"acme/tiers"}`, 256_000, 1000, "0.0132", "up to and with the bound"},
		{`{"model":"acme/tiers"}`, 256_001, 1000, "0.06600025", "above it"},
	} {
		r, err := book.Read(&pricing.Facts{Method: "POST", URI: "/v1/chat/completions", Body: []byte(tt.body), ContentType: "application/json"})
		if err != nil {
			t.Fatal(err)
		}
		u := &pricing.Usage{}
		u.Tokens[pricing.Input], u.Tokens[pricing.Output] = tt.in, tt.out
		q, err := r.Cost(&pricing.Answer{Status: 200, Usage: u}, nil, pricing.FreeLeft{})
		want, _ := money.ParseAmount(tt.want, 9)
		if err != nil || q.Amount != want {
			t.Errorf("%s %d in, %d out (%s): %s, want %s (%v)", tt.body, tt.in, tt.out, tt.why, q.Amount.Text(9), tt.want, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want int
	}{
		{Options{Provider: "acme"}, 6},
		{Options{Models: []string{"paint*", "hear"}}, 3},
		{Options{Provider: "acme", Models: []string{"paint"}}, 0},
	} {
		table, err := LiteLLM([]byte(sample), tt.o)
		if err != nil || len(table.Entries) != tt.want {
			t.Errorf("%+v: %d entries, %v", tt.o, len(table.Entries), err)
		}
		if !table.Has("rank") || table.Has("sample_spec") {
			t.Error("the table knows the models that were not selected, too")
		}
	}
	table, err := LiteLLM([]byte(sample), Options{Models: []string{"acme/plain"}, PerUSD: money.FromInt(100)})
	if err != nil || !strings.Contains(table.YAML(), "{input: 25, cached_input: 2.5, output: 200}") {
		t.Errorf("100 credits per USD: %v\n%s", err, table.YAML())
	}
}

func TestBadTables(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{``, "not a price map"},
		{`[]`, "not a JSON object"},
		{`{}`, "no models in it"},
		{`{"a": {"input_cost_per_token": 1}, "a": {}}`, `"a" is there twice`},
		{`{"a": {"input_cost_per_token": 1}`, "EOF"},
	} {
		if _, err := LiteLLM([]byte(tt.text), Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.text, err)
		}
	}
	for _, text := range []string{``, `{}`, `{"data": [{"id": "a"}, {"id": "a"}]}`} {
		if _, err := OpenRouter([]byte(text), Options{}); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
	for _, price := range []string{`-1`, `"lots"`, `1e999999`, `[]`} {
		table, err := LiteLLM([]byte(`{"a": {"input_cost_per_token": `+price+`, "output_cost_per_token": 1}}`), Options{})
		if err != nil || len(table.Notes) == 0 || table.Notes[0].Field != "input_cost_per_token" {
			t.Errorf("%s: %v %v", price, err, table)
		}
	}
}

// The whole public map becomes a price file that loads, with every price field
// either expressed or named. FAREBOX_PUBLIC_PRICES is where it lies.
func TestPublicPrices(t *testing.T) {
	file := os.Getenv("FAREBOX_PUBLIC_PRICES")
	if file == "" {
		t.Skip("FAREBOX_PUBLIC_PRICES names no file")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table, err := LiteLLM(text, Options{})
	if err != nil {
		t.Fatal(err)
	}
	book := loads(t, table.YAML())
	left := 0
	for _, n := range table.Notes {
		if n.Field == "left out" {
			left++
		}
	}
	if len(book.Models) != len(table.Entries) || len(table.Entries)+left != len(table.names) || len(book.Models) < 2500 {
		t.Errorf("%d models in the map, %d written, %d left out, %d loaded", len(table.names), len(table.Entries), left, len(book.Models))
	}
	t.Logf("%d models, %d left out; %s", len(book.Models), left, table.Summary())
}
