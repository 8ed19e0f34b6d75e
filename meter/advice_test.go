package meter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/directory"
)

// situation is a random price book, account and request, the same for the same seed.
type situation struct {
	prices, member string
	spend          []string // bodies of requests before, settled as they come
	open           []string // and left running
	request        *Request
}

func randomSituation(seed uint64) *situation {
	random := rand.New(rand.NewPCG(3, seed)) //nolint:gosec // repeatable
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	s := &situation{}
	s.prices = fmt.Sprintf(`version: 1
credit: {name: credit, decimals: 0}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  claude: {match: POST /v1/messages, price: by_model}
models:
  dear: {per_token: {input: 2, output: 5}%s}
  middle: {per_token: {input: 1, output: 2}, max_output_tokens: 400}
  cheap: {per_request: 3, per_token: {output: 1}}
  denied: {per_token: {output: 1}}
plans:
  p: {credits: [{type: free, amount: %d, every: %s}%s]%s, deny: {models: [denied]}%s}
packs:
  small: {credits: %d, price: 5 USD}
  large: {credits: %d, price: 50 USD%s}
  others: {credits: 100_000, price: 9 USD, only_plans: [q]}
default_plan: p
policies: {reserve_output_tokens: %d, hold: %s, clamp_output: %s}
`, pick("", ", max_output_tokens: 900"), 50+random.IntN(2000), pick("day", "month"),
		pick("", ", {type: promo, amount: 300, only_for: {models: [cheap]}}"), pick("", ", caps: [{per: account, amount: 700, every: day}]", ", caps: [{per: member, amount: 400, every: week}]"),
		pick("", ", when_empty: overage, overage: {limit: 200}"), 20+random.IntN(500), 500+random.IntN(5000), pick("", ", not_for: {models: [dear]}"),
		50+random.IntN(500), pick("progressive", "ceiling"), pick("true", "false"))
	s.prices = strings.Replace(s.prices, "plans:\n", "plans:\n  q: {credits: [{type: free, amount: 1, every: month}]}\n", 1)
	body := func(model string) string {
		b := `{"model":"` + model + `"`
		if random.IntN(2) == 0 {
			b += fmt.Sprintf(`,"%s":%d`, pick("max_tokens", "max_completion_tokens"), 1+random.IntN(3000))
		}
		return b + `,"messages":[{"role":"user","content":"` + strings.Repeat("word ", random.IntN(60)) + `"}]}`
	}
	for range random.IntN(3) {
		s.spend = append(s.spend, body("cheap"))
	}
	for range random.IntN(2) {
		s.open = append(s.open, body(pick("cheap", "middle")))
	}
	s.request = post(chat, body(pick("dear", "dear", "middle")))
	if random.IntN(4) == 0 {
		s.request = post("/v1/messages", strings.Replace(body("dear"), "max_completion_tokens", "max_tokens", 1))
	}
	s.member = pick("", "mira")
	s.request.Caller.Member = s.member
	return s
}

// build plays the situation.
func (s *situation) build(t *testing.T) *gate {
	g := gateWith(t, s.prices, "p", time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))
	if s.member != "" {
		g.set(s.member, directory.MemberChange{})
	}
	for _, b := range s.spend {
		r := post(chat, b)
		r.Caller.Member = s.member
		if c, err := g.m.Admit(t.Context(), r); err == nil {
			g.ends(c, 200, jsonType, wires[0].answer(20, 50))
		}
	}
	for _, b := range s.open {
		_, _ = g.m.Admit(t.Context(), post(chat, b))
	}
	return g
}

// Whatever a refusal advises works, at once or at the time that it names.
func TestEveryAdviceWorks(t *testing.T) {
	followed := map[string]int{}
	for seed := range uint64(600) {
		s := randomSituation(seed)
		g := s.build(t)
		_, err := g.m.Admit(t.Context(), s.request)
		g.m.Close()
		var d *Refusal
		if !errors.As(err, &d) || d.Facts == nil {
			continue
		}
		for _, o := range d.Facts.Options {
			tries := []func(*gate, *Request){nil}
			for _, p := range o.Packs {
				tries = append(tries, func(g *gate, _ *Request) {
					for i := range max(p.Times, 1) {
						if _, err := g.m.Accounts.Grant(t.Context(), "acme", account.GrantRequest{Pack: p.ID, Idempotency: fmt.Sprint("pay", i)}); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
			switch o.Do {
			case "wait":
				tries[0] = func(g *gate, _ *Request) { g.now.set(*o.Until); g.m.Clock().Confirm() }
			case "reduce":
				tries[0] = func(_ *gate, r *Request) {
					for name, n := range o.Set {
						r.Body, _ = dialect.SetMember(r.Body, name, strconv.AppendInt(nil, n, 10))
					}
				}
			case "use_model":
				tries[0] = func(_ *gate, r *Request) {
					r.Body, _ = dialect.SetMember(r.Body, "model", []byte(strconv.Quote(o.Model)))
				}
			}
			for _, follow := range tries {
				if follow == nil {
					continue
				}
				again, r := s.build(t), *s.request
				follow(again, &r)
				followed[o.Do]++
				if _, err := again.m.Admit(t.Context(), &r); err != nil {
					t.Errorf("seed %d: %s\nadvised %+v\nthen: %v\n%s\n%s", seed, d.Message, o, err, r.Body, s.prices)
				}
				again.m.Close()
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Log(followed)
	for _, way := range []string{"top_up", "wait", "reduce", "use_model"} {
		if followed[way] < 10 {
			t.Errorf("%s was advised %d times only: %v", way, followed[way], followed)
		}
	}
}
