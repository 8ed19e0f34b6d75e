package meter

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
)

func refusal(t *testing.T, err error) *Refusal {
	t.Helper()
	var d *Refusal
	if !errors.As(err, &d) || d.Facts == nil {
		t.Fatalf("%v, want a refusal with facts", err)
	}
	return d
}

// A refusal gives the figures of the limit that refused, and its way out works.
func TestARefusalByACapSaysWhichAndWhenItEnds(t *testing.T) {
	g := newGate(t, "basic")
	g.set("mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "15", Every: "day"}}})
	r := post("/v1/images", `{}`)
	r.Caller.Member = "mira"
	first := g.admit(r)
	first.Begin(200, nil)
	first.End()
	first.Settle(t.Context(), Answered, nil)
	g.record(first)
	_, err := g.m.Admit(t.Context(), r)
	d := refusal(t, err)
	l := d.Facts.Limit
	if l == nil || d.Facts.LimitSource != "member_cap" || l.Per != "member" || l.Amount != "15" || l.Every != "day" || l.Used != "10" || l.Held != "0" || l.Left != "5" {
		t.Fatalf("%+v, limit %+v", d.Facts, l)
	}
	if !strings.Contains(d.Message, "5 credits") || strings.Contains(d.Message, "top up") {
		t.Errorf("message: %s", d.Message)
	}
	var until time.Time
	for _, o := range d.Facts.Options {
		if o.Do == "top_up" {
			t.Error("credits are offered where a limit refused")
		}
		if o.Do == "wait" {
			until = *o.Until
		}
	}
	if !until.Equal(l.ResetsAt) {
		t.Fatalf("wait until %s, the limit resets at %s", until, l.ResetsAt)
	}
	g.now.set(until)
	g.admit(r).Settle(t.Context(), NotReached, nil)
}

// What is advised or written into a request fits into the cap as well as into the balance.
func TestAdviceFitsIntoTheCap(t *testing.T) {
	g := newGate(t, "basic")
	g.set("mira", directory.MemberChange{Caps: &[]directory.MemberCap{{Amount: "150", Every: "month"}}})
	r := post(chat, `{"model":"words","max_tokens":5000,"messages":[{"role":"user","content":"hi"}]}`)
	r.Caller.Member = "mira"
	c := g.admit(r) // the balance has 1000, the cap leaves 150
	if c.Outgoing().OutputLimit() == 0 || c.Outgoing().OutputLimit() > 150 || c.Info().Held > 150 {
		t.Errorf("limited to %d, held %d under a cap of 150", c.Outgoing().OutputLimit(), c.Info().Held)
	}
	c.Settle(t.Context(), NotReached, nil)
}

// Whose trial is over reads that it is.
func TestARefusalSaysThatTheTrialIsOver(t *testing.T) {
	prices := strings.Replace(wordsBook, "taste: {lasts", "taste: {name: Free taste, lasts", 1)
	g := newGateOf(t, strings.Replace(prices, "default_plan: basic", "default_plan: small", 1), "taste")
	g.now.set(g.now.is().Add(25 * time.Hour))
	g.m.Clock().Confirm()
	var err error
	for n := 0; err == nil && n < 100; n++ {
		var c Call
		if c, err = g.m.Admit(t.Context(), post("/v1/images", `{}`)); err == nil {
			g.ends(c, 200, jsonType, `{}`)
		}
	}
	if d := refusal(t, err); !strings.HasPrefix(d.Message, `The plan "Free taste" ended at 2026-11-13T09:00:00Z. `) {
		t.Error(d.Message)
	}
}

// Some servers take an output limit of 0 for none: it is held as none, and a limit
// is written over it.
func TestAZeroLimitIsNone(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post(chat, `{"model":"words","max_tokens":0,"messages":[]}`))
	if c.Info().Held == 0 || c.Outgoing().OutputLimit() == 0 || strings.Contains(string(c.Outgoing().Body()), `"max_tokens":0,`) {
		t.Errorf("held %d, limited to %d, sent %s", c.Info().Held, c.Outgoing().OutputLimit(), c.Outgoing().Body())
	}
}

// A refusal at the overage limit says what the limit leaves and what the request
// needs of it, and when the period ends.
func TestARefusalAtTheOverageLimit(t *testing.T) {
	g := newGateOf(t, strings.Replace(wordsBook, "  small:", "  over: {when_empty: overage, overage: {times: 2, limit: 20}, credits: [{type: subscription, amount: 1, every: month}]}\n  small:", 1), "over")
	_, err := g.m.Admit(t.Context(), post("/v1/videos", `{}`))
	d := refusal(t, err)
	if !strings.HasPrefix(d.Message, "The overage limit of 20 credits in this billing period leaves 20 credits: this request needs up to 98 credits of overage.") {
		t.Error(d.Message)
	}
}
