package meter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// One credit per token of the answer, so that amounts are easy to follow.
const wordsBook = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  ask: {match: POST /ask/v1/chat/completions, price: by_model, free_tier: {request: 1, every: month}}
  chat: {match: POST /v1/chat/completions, price: by_model}
  ping: {match: GET /v1/ping, price: free}
  talk: {match: GET /v1/realtime, model: query.model, price: by_model}
  image: {match: POST /v1/images, price: 10}
  video:
    match: POST /v1/videos
    price: 50
    job: {id: response.body.id, status: "GET /v1/videos/{id}", failed_when: {response.body.status: failed}}
  video-status: {match: GET /v1/videos/*, price: free}
models:
  words: {per_token: {output: 1}, max_output_tokens: 100_000}
plans:
  basic: {credits: [{type: subscription, amount: 1000, every: month}]}
  small: {credits: [{type: subscription, amount: 130, every: month}]}
  taste: {lasts: 1 day, discount: 50%, credits: [{type: trial, amount: 400}]}
default_plan: basic
policies: {reserve_output_tokens: 100, overdraft: 0}
`

// gate is a meter with one account and a clock.
type gate struct {
	*testing.T
	m        *Gateway
	now      *testClock
	mu       sync.Mutex
	problems []error
}

func newGate(t *testing.T, plan string) *gate { return newGateOf(t, wordsBook, plan) }

func newGateOf(t *testing.T, prices, plan string) *gate {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	if book == nil {
		t.Fatal(problems)
	}
	g := &gate{T: t, now: clockAt(time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))}
	var err error
	g.m, err = Open(t.Context(), Options{Store: memory.New(), Book: book, Now: g.now.is, Problem: func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.problems = append(g.problems, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r, err := g.m.Verify(context.Background())
		if err != nil || !r.Clean() {
			t.Errorf("verify: %v %+v", err, r)
		}
		g.m.Close()
		for _, p := range g.problems {
			t.Errorf("problem: %v", p)
		}
	})
	if _, err := g.m.Accounts.Create(t.Context(), "acme", "", plan); err != nil {
		t.Fatal(err)
	}
	return g
}

func post(path, body string) *Request {
	return &Request{Method: "POST", URI: path, Body: []byte(body), ContentType: "application/json", Caller: Caller{Account: "acme"}}
}

func get(path string) *Request {
	return &Request{Method: "GET", URI: path, Caller: Caller{Account: "acme"}}
}

const (
	chat     = "/v1/chat/completions"
	streamed = `{"model":"words","stream":true}`
)

func (g *gate) admit(r *Request) Call {
	g.Helper()
	c, err := g.m.Admit(g.Context(), r)
	if err != nil {
		g.Fatal(err)
	}
	return c
}

// replayed admits a request that has run before.
func (g *gate) replayed(r *Request) *Replay {
	g.Helper()
	_, err := g.m.Admit(g.Context(), r)
	var again *Replay
	if !errors.As(err, &again) {
		g.Fatalf("it runs again: %v", err)
	}
	return again
}

func (g *gate) wants(available, held money.Amount) {
	g.Helper()
	a, err := g.m.Accounts.Get(g.Context(), "acme")
	if err != nil {
		g.Fatal(err)
	}
	if n, _ := a.Available(g.now.is()); n != available || a.HeldTotal() != held {
		g.Errorf("%d available and %d held, want %d and %d", n, a.HeldTotal(), available, held)
	}
}

func (g *gate) record(c Call) *ledger.Charge {
	g.Helper()
	r, err := g.m.Reports.Charge(g.Context(), "acme", c.Info().ID)
	if err != nil {
		g.Fatal(err)
	}
	return r
}

var (
	sse      = http.Header{"Content-Type": {"text/event-stream"}}
	jsonType = http.Header{"Content-Type": {"application/json"}}
)

// word is one event of a stream, one token.
const word = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n"

func ending(tokens int) string {
	return fmt.Sprintf(`data: {"choices":[{"delta":{},"finish_reason":"stop"}]}`+"\n\n"+
		`data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":%d,"total_tokens":%d}}`+"\n\ndata: [DONE]\n\n", tokens, tokens+5)
}

// words streams n events; it stops at the first error.
func (g *gate) words(c Call, n int) (out []byte, err error) {
	for range n {
		p, err := c.Observe(g.Context(), []byte(word))
		if out = append(out, p...); err != nil {
			return out, err
		}
	}
	return out, nil
}

func TestAStreamHoldsMoreAsItGoesOn(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post(chat, streamed))
	g.wants(900, 100)
	c.Begin(200, sse)
	if _, err := g.words(c, 350); err != nil {
		t.Fatal(err)
	}
	if c.Info().Held < 350 {
		t.Errorf("%d held for 350 delivered tokens", c.Info().Held)
	}
	if _, err := c.Observe(t.Context(), []byte(ending(360))); err != nil {
		t.Fatal(err)
	}
	c.End()
	if r := c.Settle(t.Context(), Answered, nil); r.Cost != 360 || r.Estimated || !r.Booked || r.Remaining != 640 {
		t.Errorf("%+v", r)
	}
	g.wants(640, 0)
}

// Who leaves before the usage is reported pays for what the model has thought,
// too: as much as it usually does, within the hold.
func TestLeavingEarlyPaysForTheUsualReasoning(t *testing.T) {
	g := newGate(t, "basic")
	leaves := func() *ledger.Charge {
		c := g.admit(post(chat, streamed))
		c.Begin(200, sse)
		if _, err := g.words(c, 3); err != nil {
			t.Fatal(err)
		}
		c.Settle(t.Context(), ClientLeft, nil)
		return g.record(c)
	}
	if c := leaves(); c.Cost != 3 {
		t.Errorf("a model that is not known to reason: cost %d, want the 3 delivered", c.Cost)
	}
	for range 3 {
		c := g.admit(post(chat, `{"model":"words","max_tokens":90}`))
		c.Begin(200, jsonType)
		if _, err := c.Observe(t.Context(), []byte(`{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":61,"completion_tokens_details":{"reasoning_tokens":60}}}`)); err != nil {
			t.Fatal(err)
		}
		c.End()
		c.Settle(t.Context(), Answered, nil)
	}
	if c := leaves(); c.Cost != 60 || !c.Estimated {
		t.Errorf("cost %d, estimated %t; its model usually thinks 60 tokens", c.Cost, c.Estimated)
	}
}

func TestAStreamIsStoppedWhenTheCreditsAreUsedUp(t *testing.T) {
	g := newGate(t, "small")
	c := g.admit(post(chat, streamed))
	c.Begin(200, sse)
	out, err := g.words(c, 1000)
	if !errors.Is(err, ErrExhausted) {
		t.Fatalf("the stream went on: %v", err)
	}
	if n := bytes.Count(out, []byte(`"content":"a"`)); n != 130 {
		t.Errorf("%d tokens were delivered for 130 credits", n)
	}
	if !bytes.Contains(out, []byte(ledger.InsufficientCredits)) && !bytes.Contains(out, []byte("credit_balance_exhausted")) {
		t.Errorf("the end does not say why: %s", out[max(0, len(out)-400):])
	}
	if p, err := c.Observe(t.Context(), []byte(word)); len(p) > 0 || !errors.Is(err, ErrExhausted) {
		t.Errorf("and goes on after its end: %q %v", p, err)
	}
	c.Settle(t.Context(), Stopped, nil)
	g.wants(0, 0)
	if r := g.record(c); r.Cost != 130 || !r.Estimated || r.Absorbed != 0 {
		t.Errorf("%+v", r)
	}
}

// A stream that found nothing to extend its hold with, and gets credits later,
// holds ahead of the upper bound of its tokens again.
func TestAStreamHoldsAheadAgainAfterAGrant(t *testing.T) {
	g := newGate(t, "small")
	if _, err := g.m.Accounts.Do(t.Context(), "acme", ledger.Reserve{Charge: &ledger.Charge{ID: "ch_other"}, Amount: 30, Plan: ledger.AnyPlan}); err != nil {
		t.Fatal(err)
	}
	c := g.admit(post(chat, streamed)).(*Charge) //nolint:forcetypeassert // it has a hold
	c.Begin(200, sse)
	bytesPerToken := strings.Replace(word, `"a"`, `"abcdefghijklmnopqrst"`, 1)
	pass := func(what string, until func() bool) {
		t.Helper()
		for range 200 {
			if until() {
				return
			}
			if _, err := c.Observe(t.Context(), []byte(bytesPerToken)); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		t.Fatal("never: " + what)
	}
	pass("nothing is left to hold", func() bool { return c.stream.scarce })
	if _, err := g.m.Accounts.Do(t.Context(), "acme", ledger.Give{Grant: "gr_later", Type: "top_up", Amount: 10_000}); err != nil {
		t.Fatal(err)
	}
	held := c.Info().Held
	pass("the hold is extended after the grant", func() bool { return c.Info().Held > held })
	pass("the bound of the tokens passes what was extended", func() bool { return c.reader.DeliveredBound() > int64(2*held) })
	if bound := c.reader.DeliveredBound(); int64(c.Info().Held) < bound {
		t.Errorf("%d are held for up to %d tokens", c.Info().Held, bound)
	}
}

func TestAStreamThatIsFreeGoesOnWithoutCredits(t *testing.T) {
	g := newGate(t, "small")
	if _, err := g.m.Accounts.Do(t.Context(), "acme", ledger.Reserve{Charge: &ledger.Charge{ID: "ch_all"}, Amount: 130, Plan: ledger.AnyPlan}); err != nil {
		t.Fatal(err)
	}
	c := g.admit(post("/ask"+chat, streamed))
	c.Begin(200, sse)
	if _, err := g.words(c, 500); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Observe(t.Context(), []byte(ending(500))); err != nil {
		t.Fatal(err)
	}
	c.End()
	if f := c.Settle(t.Context(), Answered, nil); f.Cost != 0 {
		t.Errorf("%+v", f)
	}
	g.wants(0, 130)
}

func TestTooLittleForTheAnswerIsEnoughForAShorterOne(t *testing.T) {
	g := newGate(t, "small")
	c := g.admit(post(chat, `{"model":"words"}`))
	d := g.admit(post(chat, `{"model":"words","max_tokens":90}`))
	if c.Outgoing().OutputLimit() != 100 || d.Outgoing().OutputLimit() != 30 || !strings.Contains(string(d.Outgoing().Body()), `"max_tokens":30`) {
		t.Errorf("clamped to %d and %d: %s", c.Outgoing().OutputLimit(), d.Outgoing().OutputLimit(), d.Outgoing().Body())
	}
	_, err := g.m.Admit(t.Context(), post(chat, `{"model":"words"}`))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason != ledger.InFlightHolds || refusal.Facts.RetryAfter != time.Second {
		t.Errorf("with all of it held: %v", err)
	}
	c.Settle(t.Context(), NotReached, nil)
	d.Settle(t.Context(), NotReached, nil)
	g.wants(130, 0)
}

func TestAClientThatLeavesPaysForWhatWasDelivered(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post(chat, streamed))
	c.Begin(200, sse)
	if _, err := g.words(c, 40); err != nil {
		t.Fatal(err)
	}
	c.Settle(t.Context(), ClientLeft, nil)
	g.wants(960, 0)
	if r := g.record(c); !r.Estimated || r.Outcome != "client left" {
		t.Errorf("%+v", r)
	}
	early := g.admit(post(chat, streamed))
	early.Settle(t.Context(), ClientLeft, nil) // before there was an answer
	g.wants(960, 0)
}

func TestAnUpstreamThatBreaksOff(t *testing.T) {
	g := newGate(t, "basic")
	before := g.admit(post(chat, streamed))
	before.Begin(200, sse)
	before.Settle(t.Context(), UpstreamBroke, nil)
	g.wants(1000, 0)
	after := g.admit(post(chat, streamed))
	after.Begin(200, sse)
	if _, err := g.words(after, 25); err != nil {
		t.Fatal(err)
	}
	after.Settle(t.Context(), UpstreamBroke, nil)
	g.wants(975, 0)
	if r := g.record(before); r.State != ledger.Released || r.Cost != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAnErrorInsideA200IsRefunded(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post(chat, streamed))
	c.Begin(200, sse)
	if _, err := c.Observe(t.Context(), []byte(`data: {"error":{"message":"overloaded","type":"server_error","code":"overloaded"}}`+"\n\n")); err != nil {
		t.Fatal(err)
	}
	c.End()
	if f := c.Settle(t.Context(), Answered, nil); !f.Refunded || f.Cost != 0 {
		t.Errorf("%+v", f)
	}
	g.wants(1000, 0)
}

func TestAnAnswerWithoutUsageIsNotFree(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post(chat, streamed))
	c.Begin(200, sse)
	if _, err := g.words(c, 12); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Observe(t.Context(), []byte("data: [DONE]\n\n")); err != nil {
		t.Fatal(err)
	}
	c.End()
	if f := c.Settle(t.Context(), Answered, nil); f.Cost != 12 || !f.Estimated {
		t.Errorf("%+v", f)
	}
	g.wants(988, 0)
}

func TestAFreeRequestIsRecordedWithoutWaiting(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(get("/v1/ping"))
	if _, err := g.m.Reports.Charge(t.Context(), "acme", c.Info().ID); !errors.Is(err, ledger.ErrNoCharge) {
		t.Errorf("a free request is booked before it has ended: %v", err)
	}
	if _, err := g.m.Accounts.Do(t.Context(), "acme", ledger.SetPlan{Plan: "small"}); err != nil { // nothing that a free request depends on
		t.Fatal(err)
	}
	c.Begin(200, jsonType)
	c.Settle(t.Context(), Answered, nil)
	if r := g.record(c); r.State != ledger.Settled || r.Cost != 0 || r.Operation != "ping" {
		t.Errorf("%+v", r)
	}
}

// Whoever does not want to wait for the disk has a receipt of what is expected;
// the settle is booked all the same.
func TestASettleNeedNotBeWaitedFor(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post("/v1/images", ""))
	c.Begin(200, jsonType)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := c.Settle(ctx, Answered, nil); r.Booked || r.Cost != 10 || r.Remaining != 990 {
		t.Errorf("%+v", r)
	}
	g.wants(990, 0)
}

func TestAPlanThatEndedMeanwhileMakesAnotherPrice(t *testing.T) {
	g := newGate(t, "taste")
	c := g.admit(post("/v1/images", ""))
	if c.Info().Plan != "taste" || c.Info().Held != 5 {
		t.Errorf("held %d on plan %s", c.Info().Held, c.Info().Plan)
	}
	g.now.set(g.now.is().Add(25 * time.Hour)) // the meter's idea of the plan is of before
	d := g.admit(post("/v1/images", ""))
	if d.Info().Plan != "basic" || d.Info().Held != 10 {
		t.Errorf("held %d on plan %s, want 10 on basic", d.Info().Held, d.Info().Plan)
	}
	for _, x := range []Call{c, d} {
		x.Begin(200, jsonType)
		x.Settle(t.Context(), Answered, nil)
	}
	if r := g.record(c); r.Cost != 5 {
		t.Errorf("the first one costs %d, it was admitted at 5", r.Cost)
	}
}

func TestARetryWithTheSameKeyGetsTheFirstAnswer(t *testing.T) {
	g := newGate(t, "basic")
	image := func(body string) *Request {
		r := post("/v1/images", body)
		r.Idempotency = "k1"
		return r
	}
	c := g.admit(image("{}"))
	if r := g.replayed(image("{}")); string(r.Charge.ID) != c.Info().ID || r.Answer != nil {
		t.Errorf("while the first one runs: %+v", r)
	}
	c.Begin(200, jsonType)
	c.Settle(t.Context(), Answered, []byte(`{"image":"…"}`))
	g.wants(990, 0)
	if r := g.replayed(image("{}")); string(r.Answer) != `{"image":"…"}` || r.Charge.Cost != 10 || r.Remaining != 990 {
		t.Fatalf("after it: %+v", r)
	}
	g.wants(990, 0)
	_, err := g.m.Admit(t.Context(), image(`{"other":1}`))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason != IdempotencyConflict {
		t.Errorf("another request: %v", err)
	}
}

func TestSettlingAnyNumberOfTimesChargesOnce(t *testing.T) {
	g := newGate(t, "basic")
	c := g.admit(post("/v1/images", ""))
	c.Begin(200, jsonType)
	var wg sync.WaitGroup
	receipts := make(chan Receipt, 5)
	for _, o := range []Outcome{Answered, ClientLeft, NotReached, TimedOut, UpstreamBroke} {
		wg.Go(func() { receipts <- c.Settle(t.Context(), o, nil) })
	}
	wg.Wait()
	close(receipts)
	first := <-receipts
	for r := range receipts {
		if !reflect.DeepEqual(r, first) || !r.Booked {
			t.Errorf("%+v and %+v", first, r)
		}
	}
	g.wants(1000-first.Cost, 0)
}

func TestACallerCannotSayWhichKeyItIs(t *testing.T) {
	book, problems := pricefile.Load("pricing.yaml", []byte(`version: 1
credit: {name: credit, decimals: 0}
operations:
  chat: {match: POST /chat, price: 1, adjust: [{when: {key.id: other}, times: 10}, {when: {key.id: k1, key.team: a}, times: 101}]}
`))
	if book == nil {
		t.Fatal(problems)
	}
	r, err := book.Read(&pricing.Facts{Method: "POST", URI: "/chat", Key: attributes("k1", map[string]string{"id": "other", "team": "a"})})
	if err != nil {
		t.Fatal(err)
	}
	if q, err := r.Cost(&pricing.Answer{Status: 200}, nil, pricing.FreeLeft{}); err != nil || q.Amount != 101 {
		t.Errorf("costs %d %v", q.Amount, err)
	}
	if got := attributes("", map[string]string{"team": "a"}); got.More != nil {
		t.Errorf("%v without a key", got)
	}
}
