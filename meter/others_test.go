package meter

import (
	"errors"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const othersBook = `
version: 1
credit: {name: credit, decimals: 3}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  batch: {match: POST /v1/messages/batches, model: body.requests.0.params.model, price: by_model}
models:
  cheap: {per_1k_tokens: {input: 0, output: 0.1}, max_output_tokens: 1000}
  dear: {per_1k_tokens: {input: 0, output: 100}, max_output_tokens: 1000, tags: [pro]}
plans:
  all: {credits: [{type: free, amount: 1000}]}
  basic: {credits: [{type: free, amount: 1000}], deny: {tags: [pro]}}
default_plan: all
`

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
		{"batch", "all", "/v1/messages/batches", `{"requests":[{"custom_id":"a","params":{"model":"cheap","max_tokens":1000}},{"custom_id":"b","params":{"model":"dear","max_tokens":1000}}]}`, "", 200_000},
		{"batch denied", "basic", "/v1/messages/batches", `{"requests":[{"custom_id":"a","params":{"model":"cheap","max_tokens":10}},{"custom_id":"b","params":{"model":"dear","max_tokens":10}}]}`, pricing.PlanDoesNotInclude, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			book, problems := pricing.Load("pricing.yaml", []byte(othersBook))
			if book == nil {
				t.Fatal(problems)
			}
			m, err := Open(t.Context(), Options{Store: memory.New(), Book: book})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if _, err := m.CreateAccount(t.Context(), "acme", "", tt.plan); err != nil {
				t.Fatal(err)
			}
			c, err := m.Admit(t.Context(), post(tt.path, tt.body))
			var d *Denial
			if errors.As(err, &d); tt.reason != "" {
				if d == nil || d.Reason != tt.reason {
					t.Fatalf("%v, want %s", err, tt.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Settle(NotReached, nil)
			if int64(c.Held) != tt.held {
				t.Errorf("held %d, want %d", c.Held, tt.held)
			}
		})
	}
}
