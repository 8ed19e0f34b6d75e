package meter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const othersBook = `
version: 1
credit: {name: credit, decimals: 3}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  flat: {match: POST /v1/responses, price: 1}
  lane:
    match: POST /v1/completions
    where: {model: dear}
    price: 100
  rest: {match: POST /v1/completions, price: 1}
  files: {match: POST /v1/batches, model: response.body.model, price: by_model}
  batch: {match: POST /v1/messages/batches, model: body.requests.0.params.model, price: by_model}
models:
  cheap: {per_1k_tokens: {input: 0, output: 0.1}, max_output_tokens: 1000}
  dear: {per_1k_tokens: {input: 0, output: 100}, max_output_tokens: 1000, tags: [pro]}
  "v/*": {per_1k_tokens: {input: 0, output: 0.1}, max_output_tokens: 1000}
  openrouter/auto: {per_1k_tokens: {input: 0, output: 0.1}, max_output_tokens: 1000}
plans:
  all: {credits: [{type: free, amount: 1000}]}
  basic: {credits: [{type: free, amount: 1000}], deny: {tags: [pro], models: [v/banned]}}
default_plan: all
`

const (
	flat  = "/v1/responses"
	batch = "/v1/messages/batches"
)

// manyModels is a list of n names.
func manyModels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"v/m%d",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// Every model that a request may run needs a price and the plan's consent, and the dearest is held.
func TestEveryModelOfARequestCounts(t *testing.T) {
	for _, tt := range []struct {
		name, plan, path, body string
		reason                 string
		held                   int64
	}{
		{"one", "all", chat, `{"model":"cheap","max_tokens":1000}`, "", 100},
		{"fallback", "all", chat, `{"model":"cheap","models":["cheap","dear"],"max_tokens":1000}`, "", 100_000},
		{"fallback denied", "basic", chat, `{"model":"cheap","models":["dear"],"max_tokens":1000}`, pricing.PlanDoesNotInclude, 0},
		{"fallback without a price", "all", chat, `{"model":"cheap","models":["unknown"],"max_tokens":1000}`, pricing.ModelNotPriced, 0},
		{"batch", "all", batch, `{"requests":[{"custom_id":"a","params":{"model":"cheap","max_tokens":1000}},{"custom_id":"b","params":{"model":"dear","max_tokens":1000}}]}`, "", 200_000},
		{"batch denied", "basic", batch, `{"requests":[{"custom_id":"a","params":{"model":"cheap","max_tokens":10}},{"custom_id":"b","params":{"model":"dear","max_tokens":10}}]}`, pricing.PlanDoesNotInclude, 0},
		{"many fallbacks", "all", chat, `{"model":"cheap","models":[` + manyModels(1000) + `],"max_tokens":1000}`, "", 100},
		{"one more than are read", "all", chat, `{"model":"cheap","models":[` + manyModels(1000) + `,"dear"],"max_tokens":1000}`, pricing.QuantityTooLarge, 0},
		{"a flat price", "basic", flat, `{"model":"cheap"}`, "", 1000},
		{"a flat price and a fallback denied", "basic", flat, `{"model":"cheap","models":["dear"]}`, pricing.PlanDoesNotInclude, 0},
		{"a flat price and a fallback denied by name", "basic", flat, `{"model":"cheap","models":["V/Banned:nitro"]}`, pricing.PlanDoesNotInclude, 0},
		{"a flat price and a body for lenient servers", "basic", flat, `{"model":"dear","x":NaN}`, pricing.BodyNotJSON, 0},
		{"a flat price and a body that is no JSON at all", "basic", flat, `RIFF`, "", 1000},
		{"fallbacks of LiteLLM", "basic", flat, `{"model":"cheap","fallbacks":[{"cheap":["dear"]}]}`, pricing.PlanDoesNotInclude, 0},
		{"fallbacks by object", "basic", flat, `{"model":"cheap","fallbacks":[{"model":"dear"}]}`, pricing.PlanDoesNotInclude, 0},
		{"a tool that runs a model", "all", chat, `{"model":"cheap","tools":[{"type":"advisor_1","model":"dear"}],"max_tokens":1000}`, "", 100_000},
		{"a function with a member model", "all", chat, `{"model":"cheap","tools":[{"type":"function","model":"unknown"}],"max_tokens":1000}`, "", 100},
		{"a panel of models", "all", chat, `{"model":"cheap","plugins":[{"id":"fusion"}]}`, pricing.AmbiguousRequest, 0},
		{"a search", "all", chat, `{"model":"cheap","plugins":[{"id":"web"}],"max_tokens":1000}`, "", 100},
		{"a preset", "all", chat, `{"model":"cheap","preset":"x"}`, pricing.AmbiguousRequest, 0},
		{"a preset as a model", "all", chat, `{"model":"@preset/x"}`, pricing.ModelNotPriced, 0},
		{"a preset behind a model", "all", chat, `{"model":"v/x@preset/x"}`, pricing.AmbiguousRequest, 0},
		{"a router", "all", chat, `{"model":"openrouter/fusion"}`, pricing.ModelNotPriced, 0},
		{"a router as a fallback, flat price", "all", flat, `{"model":"cheap","models":["openrouter/fusion"]}`, pricing.AmbiguousRequest, 0},
		{"a router with a price", "all", chat, `{"model":"openrouter/auto","max_tokens":1000}`, "", 100},
		{"two names in one", "all", chat, `{"model":"v/x,dear"}`, pricing.AmbiguousRequest, 0},
		{"a variant", "all", chat, `{"model":"v/x:nitro","max_tokens":1000}`, "", 100},
		{"a variant without a price", "all", chat, `{"model":"cheap:online","max_tokens":1000}`, pricing.ModelNotPriced, 0},
		{"a condition decides", "all", "/v1/completions", `{"model":"cheap"}`, "", 1000},
		{"a condition decides, and there is a fallback", "all", "/v1/completions", `{"model":"cheap","models":["dear"]}`, pricing.AmbiguousRequest, 0},
		{"a batch in a file", "all", "/v1/batches", `{}`, "", 409_600},
		{"a batch in a file denied", "basic", "/v1/batches", `{}`, pricing.PlanDoesNotInclude, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			book, problems := pricefile.Load("pricing.yaml", []byte(othersBook))
			if book == nil {
				t.Fatal(problems)
			}
			m, err := Open(t.Context(), Options{Store: memory.New(), Book: book})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if _, err := m.Accounts.Create(t.Context(), "acme", "", tt.plan); err != nil {
				t.Fatal(err)
			}
			c, err := m.Admit(t.Context(), post(tt.path, tt.body))
			var d *Refusal
			if errors.As(err, &d); tt.reason != "" {
				if d == nil || d.Reason != tt.reason {
					t.Fatalf("%v, want %s", err, tt.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Settle(t.Context(), NotReached, nil)
			if int64(c.Info().Held) != tt.held {
				t.Errorf("held %d, want %d", c.Info().Held, tt.held)
			}
		})
	}
}
