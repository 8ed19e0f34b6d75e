package meter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/money"
)

// A wire is one API: how it is asked, and an answer that uses as much as it may.
type wire struct {
	path   string
	field  string // of the output limit, in the body that leaves
	body   func(limit, more string) string
	answer func(input, output int64) string
}

var wires = []wire{
	{
		path: "/v1/chat/completions", field: "max_completion_tokens",
		body: func(limit, more string) string { return `{"model":"m"` + member("max_tokens", limit) + more + `}` },
		answer: func(in, out int64) string {
			return fmt.Sprintf(`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, in, out)
		},
	},
	{
		path: "/v1/responses", field: "max_output_tokens",
		body: func(limit, more string) string {
			return `{"model":"m"` + member("max_output_tokens", limit) + more + `}`
		},
		answer: func(in, out int64) string {
			return fmt.Sprintf(`{"status":"completed","output":[],"usage":{"input_tokens":%d,"output_tokens":%d}}`, in, out)
		},
	},
	{
		path: "/v1/messages", field: "max_tokens",
		body: func(limit, more string) string { return `{"model":"m"` + member("max_tokens", limit) + more + `}` },
		answer: func(in, out int64) string {
			return fmt.Sprintf(`{"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}}`, in, out)
		},
	},
	{
		path: "/v1beta/models/m:generateContent", field: "generationConfig.maxOutputTokens",
		body: func(limit, more string) string {
			return `{"contents":[]` + strings.Replace(member("generationConfig", limit), limit, `{"maxOutputTokens":`+limit+`}`, 1) + more + `}`
		},
		answer: func(in, out int64) string {
			return fmt.Sprintf(`{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":1,"thoughtsTokenCount":%d,"totalTokenCount":%d}}`, in, out-1, in+out)
		},
	},
	{
		path: "/api/chat", field: "options.num_predict",
		body: func(limit, more string) string {
			return `{"model":"m","stream":false` + strings.Replace(member("options", limit), limit, `{"num_predict":`+limit+`}`, 1) + more + `}`
		},
		answer: func(in, out int64) string {
			return fmt.Sprintf(`{"message":{"content":"a"},"done":true,"prompt_eval_count":%d,"eval_count":%d}`, in, out)
		},
	},
	{
		path: "/v2/chat", field: "max_tokens",
		body: func(limit, more string) string { return `{"model":"m"` + member("max_tokens", limit) + more + `}` },
		answer: func(in, out int64) string {
			return fmt.Sprintf(`{"message":{"content":[{"text":"a"}]},"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":%d,"output_tokens":%d}}}`, in, out)
		},
	},
	{
		path: "/model/m/converse", field: "inferenceConfig.maxTokens",
		body: func(limit, more string) string {
			return `{"messages":[]` + strings.Replace(member("inferenceConfig", limit), limit, `{"maxTokens":`+limit+`}`, 1) + more + `}`
		},
		answer: func(in, out int64) string {
			return fmt.Sprintf(`{"output":{"message":{"content":[{"text":"a"}]}},"stopReason":"end_turn","usage":{"inputTokens":%d,"outputTokens":%d}}`, in, out)
		},
	},
}

func member(name, value string) string {
	if value == "" {
		return ""
	}
	return `,"` + name + `":` + value
}

// allowed is the most output that the request that leaves lets the upstream make.
func allowed(c Call, modelMax int64) int64 {
	most := modelMax
	info := exchangeOf(c).api.ReadRequest(dialect.JSONBody(c.Outgoing().Body()))
	if info.MaxOutput.OK {
		most = min(most, info.MaxOutput.N)
	}
	return most * max(info.N, 1)
}

// Whatever is asked for, however much at once: an answer that uses all that its
// request allows is paid for.
func TestNothingIsAbsorbed(t *testing.T) {
	const modelMax = 3000
	random := rand.New(rand.NewPCG(28, 1)) //nolint:gosec // repeatable
	admitted := 0
	for round := range 300 {
		w := wires[round%len(wires)]
		known := fmt.Sprintf(", max_output_tokens: %d", modelMax)
		if random.IntN(3) == 0 {
			known = ""
		}
		model := ""
		if strings.HasPrefix(w.path, "/model/") {
			model = "model: path.1, "
		}
		prices := fmt.Sprintf("version: 1\ncredit: {name: credit, decimals: 2}\noperations:\n  op: {match: \"/*\", %sprice: by_model}\n"+
			"models:\n  m: {per_request: 1, per_token: {input: 0.1, cached_input: 0.01, output: 1, reasoning: %d}%s}\n"+
			"plans: {p: {credits: [{type: free, amount: %d}]%s}}\ndefault_plan: p\npolicies: {reserve_output_tokens: %d, hold: %s}\n",
			model, 1+random.IntN(2), known, random.IntN(8000), []string{"", ", discount: 20%"}[random.IntN(2)], 50+random.IntN(500), []string{"progressive", "ceiling"}[random.IntN(2)])
		g := gateWith(t, prices, "p", time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))
		var wait sync.WaitGroup
		var mu sync.Mutex
		for range 1 + random.IntN(6) {
			limit, more := "", ""
			if random.IntN(2) == 0 {
				limit = fmt.Sprint(1 + random.IntN(5000))
			}
			if w.field == "max_completion_tokens" && random.IntN(2) == 0 {
				more = fmt.Sprintf(`,"n":%d`, random.IntN(4))
			}
			body := w.body(limit, more+`,"user":"`+strings.Repeat("!$", random.IntN(300))+`"`)
			wait.Go(func() {
				c, err := g.m.Admit(t.Context(), post(w.path, body))
				var d *Refusal
				if errors.As(err, &d) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				out := allowed(c, modelMax)
				f := g.ends(c, 200, jsonType, w.answer(int64(len(body)), out))
				mu.Lock()
				defer mu.Unlock()
				admitted++
				if x := g.record(c); x.Absorbed != 0 || x.Cost != f.Cost || x.Cost > c.Info().Held {
					t.Errorf("%s %s\nsent %s\nheld %d, cost %d, absorbed %d, told %d, output %d\n%s", w.path, body, c.Outgoing().Body(), c.Info().Held, x.Cost, x.Absorbed, f.Cost, out, prices)
				}
			})
		}
		wait.Wait()
		g.m.Close()
		if t.Failed() {
			return
		}
	}
	if admitted < 300 {
		t.Errorf("only %d requests were admitted", admitted)
	}
}

// The example of the founding complaint: 100 credits, 30 at once, no limit.
func TestThirtyAtOnceUseWhatThereIs(t *testing.T) {
	g := gateWith(t, strings.Replace(wordsBook, "amount: 130", "amount: 100", 1), "small", time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))
	var wait sync.WaitGroup
	var mu sync.Mutex
	var cost money.Amount
	for range 30 {
		wait.Go(func() {
			c, err := g.m.Admit(t.Context(), post(chat, `{"model":"words","messages":[]}`))
			if err != nil {
				return
			}
			g.ends(c, 200, http.Header{"Content-Type": {"application/json"}}, wires[0].answer(9, allowed(c, 100_000)))
			mu.Lock()
			defer mu.Unlock()
			cost += g.record(c).Cost
		})
	}
	wait.Wait()
	a, err := g.m.Accounts.Get(t.Context(), "acme")
	if err != nil || a.Absorbed != 0 || cost != 100 {
		t.Errorf("cost %d, absorbed %d (%v), want 100 and 0", cost, a.Absorbed, err)
	}
}

// Streams that show what they make, at once, that are read as they are
// written: each is stopped before it uses what is not there.
func TestNoStreamIsAbsorbed(t *testing.T) {
	random := rand.New(rand.NewPCG(28, 2)) //nolint:gosec // repeatable
	const event = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n"
	for range 60 {
		prices := fmt.Sprintf("version: 1\ncredit: {name: credit, decimals: 0}\noperations:\n  op: {match: \"/*\", price: by_model}\n"+
			"models:\n  m: {per_token: {input: 1, output: 1}%s}\nplans: {p: {credits: [{type: free, amount: %d}]}}\ndefault_plan: p\npolicies: {reserve_output_tokens: %d}\n",
			[]string{"", ", max_output_tokens: 5000"}[random.IntN(2)], 100+random.IntN(4000), 20+random.IntN(200))
		g := gateWith(t, prices, "p", time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))
		var running []Call
		var made []int64
		for range 1 + random.IntN(5) {
			if c, err := g.m.Admit(t.Context(), post(chat, `{"model":"m","stream":true}`)); err == nil {
				c.Begin(200, sse)
				running, made = append(running, c), append(made, 0)
			}
		}
		for len(running) > 0 {
			i := random.IntN(len(running))
			c := running[i]
			out, over := allowed(c, 5000), Answered
			_, err := c.Observe(t.Context(), []byte(event))
			made[i]++
			switch {
			case errors.Is(err, ErrExhausted):
				over = Stopped
			case made[i]+1 <= out:
				continue
			default:
				if _, err := c.Observe(t.Context(), []byte(ending(int(made[i])))); err != nil {
					t.Fatal(err)
				}
				c.End()
			}
			c.Settle(t.Context(), over, nil)
			if x := g.record(c); x.Absorbed != 0 {
				t.Errorf("absorbed %d of %d (held %d), %v, clamped to %d\n%s", x.Absorbed, x.Cost, x.Hold, x.Outcome, c.Outgoing().OutputLimit(), prices)
			}
			running, made = append(running[:i:i], running[i+1:]...), append(made[:i:i], made[i+1:]...)
		}
		g.m.Close()
		if t.Failed() {
			return
		}
	}
}
