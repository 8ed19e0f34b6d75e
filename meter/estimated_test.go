package meter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// corpora are texts with how many bytes of such text make ten tokens of o200k, as
// measured (wire.md, bytes per token).
var corpora = []struct {
	name, piece string
	perTen      int
}{
	{"prose", "The ferry left at dawn while fog lay over the harbour, and nobody on the pier could say when the next one would come. ", 46},
	{"code", `if err := run(ctx, name); err != nil {\n\treturn fmt.Errorf(\"run: %w\", err)\n}\n`, 38},
	{"chinese", "渡轮在黎明时离开，雾笼罩着港口。", 42},
	{"json", `{\"id\": 48213, \"name\": \"pier\", \"open\": true}, `, 28},
}

// TestHoldsOfInput plays requests of many lengths whose answers report what such
// text really has, and prints how much of what was held was charged.
func TestHoldsOfInput(t *testing.T) {
	for _, c := range corpora {
		g := gateWith(t, strings.Replace(inputBook, "10_000_000", "1_000_000_000", 1), "", time.Now())
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that can be repeated
		for _, phase := range []string{"first", "calibrated"} {
			var ratios []int
			short := 0
			for range 200 {
				text := strings.Repeat(c.piece, 1+random.IntN(60))
				tokens := len(text) * 10 / c.perTen * (95 + random.IntN(11)) / 100
				body := `{"model":"light","messages":[{"role":"user","content":"` + text + `"}]}`
				charge, f := g.answered(post(chat, body), 200, jsonType, fmt.Sprintf(
					`{"object":"chat.completion","model":"light","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":1}}`, tokens))
				ratios = append(ratios, int(f.Cost*100/charge.Info().Held))
				if f.Cost > charge.Info().Held {
					short++
				}
			}
			slices.Sort(ratios)
			t.Logf("%-8s %-10s charged ÷ held, in %%: p10 %d, p50 %d, p90 %d; %d of 200 used more than was held", c.name, phase, ratios[20], ratios[100], ratios[180], short)
			if phase == "calibrated" && (ratios[100] < 75 || short > 20) {
				t.Errorf("%s: half of the holds are charged to %d %%, %d were too small", c.name, ratios[100], short)
			}
		}
	}
}
