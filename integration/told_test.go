package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

const toldPrices = `
version: 1
credit: {name: credit, decimals: 3}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  image: {match: POST /v1/images, price: 24}
  thumb: {match: POST /v1/thumbs, free_tier: {request: 2, every: month}, price: 5}
  models: {match: GET /v1/models, price: free}
models:
  "*": {per_1k_tokens: {input: 1, output: 8}, max_output_tokens: 2000}
plans:
  paid: {}
  over: {credits: [{type: sub, amount: 10, every: month}], when_empty: overage, overage: {limit: 1000, times: 2}}
default_plan: paid
`

// What a client reads in headers and trailers is what the ledger has booked.
func TestToldIsBooked(t *testing.T) {
	g := start(t, setup{prices: func(string) string { return toldPrices }, upstream: by("/v1/thumbs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}`))
	})})
	key := g.account("acme", "200")
	over := g.account("globex", "0")
	g.must(g.ask(http.MethodPut, "/meter/accounts/globex/subscription", map[string]string{"plan": "over"}, nil))

	check := func(account string, a answer) (c api.ChargeView) {
		t.Helper()
		id := a.Header.Get("Credits-Charge")
		if id == "" {
			t.Fatalf("status %d without a charge: %.300s", a.StatusCode, a.body)
		}
		state := g.settled(account)
		c = g.charge(account, id)
		left := a.Trailer.Get("Credits-Remaining")
		if left == "" {
			left = a.Header.Get("Credits-Remaining")
		}
		if a.cost() != c.Cost {
			t.Errorf("told a cost of %s, booked %s (%s)", a.cost(), c.Cost, c.Outcome)
		}
		if left != "" && left != state.Available {
			t.Errorf("told %s are left, there are %s (%s)", left, state.Available, c.Operation)
		}
		if left == "" && c.Cost != "0" {
			t.Errorf("no remaining balance (%s)", c.Operation)
		}
		return c
	}
	for _, body := range []string{chatBody("demo-small"), chatBody("demo-small", `"stream":true`), chatBody("demo-fail-502"), chatBody("demo-no-usage"), chatBody("demo-cut-stream", `"stream":true`)} {
		a, err := g.trySend(http.MethodPost, chatPath, body, "Authorization", "Bearer "+key)
		if err != nil && !strings.Contains(body, "cut") {
			t.Fatal(err)
		}
		if err == nil {
			check("acme", a)
		}
	}
	check("acme", g.post(key, "/v1/images", `{"prompt":"x"}`))
	for range 3 { // two are free
		check("acme", g.post(key, "/v1/thumbs", `{}`))
	}
	check("acme", g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+key))
	first := g.post(key, "/v1/images", `{"prompt":"y"}`, "Idempotency-Key", "one")
	check("acme", first)
	again := g.post(key, "/v1/images", `{"prompt":"y"}`, "Idempotency-Key", "one")
	if check("acme", again); again.Header.Get("Credits-Charge") != first.Header.Get("Credits-Charge") {
		t.Error("a repeated key was charged again")
	}
	if c := check("globex", g.post(over, "/v1/images", `{"prompt":"x"}`)); c.Cost != "38" { // 10 of the plan, 14 twice
		t.Errorf("overage: %+v", c)
	}
	check("globex", g.post(over, chatPath, chatBody("demo-small", `"stream":true`)))
}
