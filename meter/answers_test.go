package meter

import (
	"net/http"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const answersBook = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  azure: {match: POST /openai/deployments/*, model: none, price: {per_token: {input: 1, output: 1}}}
  speech: {match: POST /v1/audio/speech, model: none, price: {per_character: 2}}
  messages: {match: POST /v1/messages, price: by_model}
models:
  big: {per_request: 7, per_token: {input: 10, output: 10}, max_output_tokens: 1000}
  small: {per_request: 7, per_token: {input: 1, output: 1}, max_output_tokens: 1000}
plans: {basic: {credits: [{type: subscription, amount: 100_000, every: month}]}}
default_plan: basic
policies: {reserve_output_tokens: 100}
`

// What is billed for an answer is not always in its usage.
func TestWhatAnAnswerCosts(t *testing.T) {
	const azure = "/openai/deployments/prod/chat/completions"
	const ask = `{"messages":[{"role":"user","content":"hello there, how are you today"}]}`
	mp3 := http.Header{"Content-Type": {"audio/mpeg"}}
	for name, tt := range map[string]struct {
		path, body string
		status     int
		header     http.Header
		answer     string
		low, high  money.Amount
	}{
		"a prompt that Azure's filter refused":          {azure, ask, 400, jsonType, `{"error":{"code":"content_filter","message":"no"}}`, 5, 60},
		"another 400 of Azure":                          {azure, ask, 400, jsonType, `{"error":{"code":"bad_request","message":"no"}}`, 0, 0},
		"speech":                                        {"/v1/audio/speech", `{"model":"tts","input":"über uns","voice":"a"}`, 200, mp3, "ID3", 16, 16},
		"speech that failed":                            {"/v1/audio/speech", `{"model":"tts","input":"über uns","voice":"a"}`, 500, jsonType, `{}`, 0, 0},
		"two models, and one fee for the request":       {"/v1/messages", `{"model":"big","max_tokens":9,"messages":[]}`, 200, jsonType, `{"model":"big","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":5,"iterations":[{"model":"big","input_tokens":10,"output_tokens":5},{"model":"small","input_tokens":100,"output_tokens":20}]}}`, 7 + 150 + 120, 7 + 150 + 120},
		"a model that is not in the list: as asked for": {"/v1/messages", `{"model":"small","max_tokens":9,"messages":[]}`, 200, jsonType, `{"model":"small","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1,"iterations":[{"model":"small","input_tokens":1,"output_tokens":1},{"model":"other","input_tokens":2,"output_tokens":2}]}}`, 7 + 2 + 4, 7 + 2 + 4},
	} {
		book, problems := pricefile.Load("pricing.yaml", []byte(answersBook))
		if book == nil {
			t.Fatal(problems)
		}
		g := &gate{T: t, now: clockAt(time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))}
		var err error
		if g.m, err = Open(t.Context(), Options{Store: memory.New(), Book: book, Now: g.now.is}); err != nil {
			t.Fatal(err)
		}
		if _, err := g.m.Accounts.Create(t.Context(), "acme", "", "basic"); err != nil {
			t.Fatal(err)
		}
		if _, f := g.answered(post(tt.path, tt.body), tt.status, tt.header, tt.answer); f.Cost < tt.low || f.Cost > tt.high {
			t.Errorf("%s: cost %d, want %d to %d", name, f.Cost, tt.low, tt.high)
		}
		g.m.Close()
	}
}
