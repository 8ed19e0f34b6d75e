package meter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calibration"
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

const inputBook = `version: 1
credit: {name: credit, decimals: 0}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
models:
  light: {per_token: {input: 1, output: 0}, max_output_tokens: 100}
  heavy: {per_token: {input: 1, output: 0}, max_output_tokens: 100}
plans:
  team: {credits: [{type: subscription, amount: 10_000_000, every: month}], estimate: scan}
  guest: {credits: [{type: free, amount: 1_000_000, every: month}], estimate: bytes}
default_plan: team
`

var essay = strings.Repeat("The ferry left at dawn while fog lay over the harbour. ", 40)

// said runs a request whose answer reports this much input.
func (g *gate) said(model string, input int) Call {
	g.Helper()
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]}`, model, essay)
	answer := fmt.Sprintf(`{"object":"chat.completion","model":%q,"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":1}}`, model, input)
	c, _ := g.answered(post(chat, body), 200, jsonType, answer)
	return c
}

// TestCalibration: what a model reports moves its estimates, and only its own.
func TestCalibration(t *testing.T) {
	g := gateWith(t, inputBook, "", time.Now())
	first := g.said("light", 1).Info().Held
	actual := int(first) * 7 / 10
	for range calibration.MinAnswers - 2 {
		g.said("light", actual)
	}
	if c := g.said("light", actual); c.Info().Held != first {
		t.Errorf("after few answers: %d, want %d", c.Info().Held, first)
	}
	for range 200 {
		g.said("light", actual)
	}
	if c := g.said("light", actual); int(c.Info().Held) < actual || int(c.Info().Held) > actual*107/100 {
		t.Errorf("it holds %d for %d, at first %d", c.Info().Held, actual, first)
	}
	if c := g.said("heavy", actual); c.Info().Held != first {
		t.Errorf("another model: %d, want %d", c.Info().Held, first)
	}
	for i := range 400 { // noisy: nearly all have to fit
		g.said("heavy", actual*(90+i%21)/100)
	}
	if c := g.said("heavy", actual); int(c.Info().Held) < actual*110/100 {
		t.Errorf("with ± 10 %% it holds %d, the most is %d", c.Info().Held, actual*110/100)
	}
}

// TestBoundForUntrusted: text that is dear to tokenize makes the scan hold too
// little, by four times; on a plan with "estimate: bytes" nothing does.
func TestBoundForUntrusted(t *testing.T) {
	const worst = 20_000 // bytes, and tokens: two-character cycles have one for each (wire.md)
	body := `{"model":"light","messages":[{"role":"user","content":"` + strings.Repeat("!$", worst/2) + `"}]}`
	g := gateWith(t, inputBook, "", time.Now())
	if c := g.admit(post(chat, body)); c.Info().Held >= worst {
		t.Fatalf("no attack: the scan holds %d", c.Info().Held)
	}
	g = gateWith(t, inputBook, "guest", time.Now())
	c := g.admit(post(chat, body))
	if c.Info().Held < worst || c.Info().Held > money.Amount(len(body)) {
		t.Errorf("it holds %d, want at least %d", c.Info().Held, worst)
	}
	if exchangeOf(c).est.Tokens[pricing.Input] >= worst {
		t.Errorf("without a report, it would be charged as %d", exchangeOf(c).est.Tokens[pricing.Input])
	}
	picture := `{"model":"light","messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("iVBORw0KGgoA", 50_000) + `"}}]}]}`
	if c := g.admit(post(chat, picture)); c.Info().Held > 20_000 {
		t.Errorf("a picture of %d bytes holds %d", len(picture), c.Info().Held)
	}
}

// BenchmarkEstimate: the input of requests of 100 KB, as Admit estimates it.
func BenchmarkEstimate(b *testing.B) {
	for name, piece := range map[string]string{
		"prose": "The ferry left at dawn while fog lay over the harbour. ", "code": `if err := run(ctx, \"x\"); err != nil {\n\treturn fmt.Errorf(\"run: %w\", err)\n}\n`,
		"chinese": "渡轮在黎明时离开，雾笼罩着港口。", "russian": "Паром ушёл на рассвете, туман лежал над гаванью. ", "json": `{\"id\": 48213, \"name\": \"pier\", \"open\": true}, `,
		"random": "aOaO!$x9Qz_7", "image": "",
	} {
		text := `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("iVBORw0KGgoA", 8500) + `"}}`
		if piece != "" {
			text = `{"type":"text","text":"` + strings.Repeat(piece, 100_000/len(piece)) + `"}`
		}
		body := []byte(`{"model":"light","messages":[{"role":"user","content":[` + text + `]}]}`)
		api := dialect.Detect("POST", chat, "")
		var c calibration.Models
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				c.Input("light", api.EstimateInput(dialect.JSONBody(body)))
			}
		})
	}
}
