package meter

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// policed is a gate whose account has 130 credits; a word of an answer costs one.
func policed(t *testing.T, policies string) *gate {
	t.Helper()
	return gateWith(t, strings.Replace(wordsBook, "policies: {reserve_output_tokens: 100, overdraft: 0}", "policies: {reserve_output_tokens: 100, "+policies+"}", 1), "small", time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))
}

// streams runs a stream of n words and returns how many were passed on.
func (g *gate) streams(n int) (passed int, f Receipt, stopped bool) {
	g.Helper()
	c := g.admit(post(chat, streamed))
	c.Begin(200, sse)
	out, err := g.words(c, n)
	passed = strings.Count(string(out), `"content":"a"`)
	if stopped = errors.Is(err, ErrExhausted); stopped {
		f = c.Settle(g.Context(), Stopped, nil)
	} else {
		if _, err := c.Observe(g.Context(), []byte(ending(n))); err != nil {
			g.Fatal(err)
		}
		c.End()
		f = c.Settle(g.Context(), Answered, nil)
	}
	return passed, f, stopped
}

// TestPolicies: what becomes of requests whose cost is not known beforehand.
func TestPolicies(t *testing.T) {
	t.Run("when_exhausted: stop", func(t *testing.T) {
		g := policed(t, "when_exhausted: stop")
		if passed, f, stopped := g.streams(200); !stopped || passed < 130 || passed > 131 || f.Cost != 130 {
			t.Errorf("%d words passed, stopped %v: %+v", passed, stopped, f)
		}
	})
	t.Run("when_exhausted: overdraft", func(t *testing.T) {
		g := policed(t, "when_exhausted: overdraft, overdraft: 50")
		passed, _, stopped := g.streams(200)
		a, err := g.m.Accounts.Get(t.Context(), "acme")
		if err != nil || !stopped || passed < 179 || passed > 181 || a.Debt > 50 || a.Debt < 49 || a.Absorbed != 0 {
			t.Errorf("%d words passed, stopped %v: debt %d, absorbed %d (%v)", passed, stopped, a.Debt, a.Absorbed, err)
		}
		g.refused(post(chat, streamed), ledger.InsufficientCredits) // the next hold never uses the overdraft
	})
	t.Run("hold: ceiling", func(t *testing.T) {
		g := policed(t, "hold: ceiling, clamp_output: false")
		g.refused(post(chat, `{"model":"words"}`), ledger.InsufficientCredits) // 100,000 tokens
		if c := g.admit(post(chat, `{"model":"words","max_tokens":120}`)); c.Info().Held != 120 {
			t.Errorf("the request's own limit: %d are held", c.Info().Held)
		}
	})
	t.Run("hold: progressive", func(t *testing.T) {
		if c := policed(t, "hold: progressive").admit(post(chat, `{"model":"words","max_tokens":120,"stream":true}`)); c.Info().Held != 100 {
			t.Errorf("a stream: %d are held", c.Info().Held)
		}
		if c := policed(t, "hold: progressive").admit(post(chat, `{"model":"words","max_tokens":120}`)); c.Info().Held != 120 {
			t.Errorf("a request that is not streamed: %d are held", c.Info().Held)
		}
	})
	t.Run("clamp_output", func(t *testing.T) {
		const long = `{"model":"words","max_tokens":5000}`
		c := policed(t, "hold: ceiling, clamp_output: true").admit(post(chat, long))
		if c.Outgoing().OutputLimit() != 130 || c.Info().Held != 130 || !strings.Contains(string(c.Outgoing().Body()), `"max_tokens":130`) {
			t.Errorf("clamped to %d, %d held, sent %s", c.Outgoing().OutputLimit(), c.Info().Held, c.Outgoing().Body())
		}
		g := policed(t, "hold: ceiling, clamp_output: false")
		_, err := g.m.Admit(t.Context(), post(chat, long))
		var d *Refusal
		if !errors.As(err, &d) || d.Facts == nil || len(d.Facts.Options) == 0 || d.Facts.Options[len(d.Facts.Options)-1].Set["max_tokens"] != 130 {
			t.Errorf("the refusal names no limit that fits: %+v", err)
		}
	})
	t.Run("clamp_output: false needs max_output_tokens", func(t *testing.T) {
		for bound, want := range map[string]bool{"": true, ", max_output_tokens: 900": false} {
			book, problems := pricefile.Load("pricing.yaml", []byte("version: 1\ncredit: {name: credit}\noperations: {chat: {match: POST /v1/chat/completions, price: by_model}}\nmodels: {m: {per_token: {output: 1}"+bound+"}}\npolicies: {clamp_output: false}\n"))
			if book == nil || strings.Contains(problems.String(), "nothing bounds an answer of this model") != want {
				t.Errorf("%q: %s", bound, problems)
			}
		}
	})
	t.Run("request_usage", func(t *testing.T) {
		for policy, want := range map[string]bool{"request_usage: true": true, "request_usage: false": false} {
			if c := policed(t, policy).admit(post(chat, streamed)); strings.Contains(string(c.Outgoing().Body()), "include_usage") != want {
				t.Errorf("%s: %s", policy, c.Outgoing().Body())
			}
		}
	})
}
