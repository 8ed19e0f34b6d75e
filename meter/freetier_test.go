package meter

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// However many requests race for a free tier, and whatever they turn out to use,
// the answers of a period use each free unit once, and pay for all others.
func TestAFreeTierIsSharedExactly(t *testing.T) {
	const units, requests = 40, 48
	prices := strings.Replace(wordsBook, "  ping:", fmt.Sprintf("  scan: {match: POST /v1/scan, measure: {page: {from: response.body.pages, reserve: 2}}, price: {per_page: 3}, free_tier: {page: %d, every: month}}\n  ping:", units), 1)
	g := newGateOf(t, prices, "basic")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var told, pages money.Amount
	for i := range requests {
		wg.Go(func() {
			c, err := g.m.Admit(t.Context(), post("/v1/scan", `{}`))
			if err != nil {
				t.Error(err)
				return
			}
			used := 1 + i%2 // a page less than held, or as many
			c.Begin(200, jsonType)
			if _, err := c.Observe(t.Context(), fmt.Appendf(nil, `{"pages":%d}`, used)); err != nil {
				t.Error(err)
			}
			c.End()
			f := c.Settle(t.Context(), Answered, nil)
			mu.Lock()
			defer mu.Unlock()
			told += f.Cost
			pages += money.Amount(used)
		})
	}
	wg.Wait()
	a, err := g.m.Accounts.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	free, left := money.Amount(0), a.SpentNet()
	for _, c := range a.Counters {
		free += c.Spent
	}
	const unit = 1_000_000_000
	if free > units*unit || left != told || told < 3*(pages-units) {
		t.Errorf("%d pages used: %d of the free ones, cost %d, told %d", pages, free/unit, left, told)
	}
	if want := 3 * (pages*unit - free); told*unit != want {
		t.Errorf("%d pages, %d free: cost %d, want %d", pages, free/unit, told, want/unit)
	}
	g.wants(1000-told, 0)
}

// What a request may hold for a shorter answer is found outside the ledger's
// writer; together such requests still hold no more than there is.
func TestShorterAnswersShareWhatThereIs(t *testing.T) {
	g := newGate(t, "basic")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var held money.Amount
	admitted := 0
	for range 32 {
		wg.Go(func() {
			c, err := g.m.Admit(t.Context(), post(chat, `{"model":"words","max_tokens":5000}`))
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if held += c.Info().Held; c.Outgoing().OutputLimit() != int64(c.Info().Held) {
				t.Errorf("%d held, limited to %d", c.Info().Held, c.Outgoing().OutputLimit())
			}
			admitted++
		})
	}
	wg.Wait()
	if held > 1000 || admitted == 0 {
		t.Errorf("%d requests hold %d of 1000", admitted, held)
	}
	g.wants(1000-held, held)
}

// The tries of a settle end: the last claim is one that is always there, even if
// the hold was given up meanwhile and others have taken what it had claimed.
func TestTheTriesOfASettleEnd(t *testing.T) {
	prices := strings.Replace(wordsBook, "  ping:", "  scan: {match: POST /v1/scan, measure: {page: {from: response.body.pages, reserve: 2}}, price: {per_page: 3}, free_tier: {page: 40, every: month}}\n  ping:", 1)
	g := newGateOf(t, prices, "basic")
	c := g.admit(post("/v1/scan", `{}`))
	c.Begin(200, jsonType)
	if _, err := c.Observe(t.Context(), []byte(`{"pages":2}`)); err != nil {
		t.Fatal(err)
	}
	c.End()
	charge, ok := c.(*Charge)
	if !ok || charge.hold.claimed == 0 {
		t.Fatalf("%+v", charge)
	}
	b := &bill{x: &charge.exchange, held: charge.hold.amount, claimed: charge.hold.claimed}
	settle, ok := b.end(Answered, charge.result()).command.(ledger.Settle)
	if !ok {
		t.Fatalf("%+v", settle)
	}
	for n := priceTries; n <= priceTries+1; n++ {
		if f := b.again(settle, 0, n).Free; f == nil || f.Claim != 0 || !f.Less {
			t.Errorf("try %d claims %+v of nothing", n, f)
		}
	}
	c.Settle(t.Context(), Answered, nil)
}
