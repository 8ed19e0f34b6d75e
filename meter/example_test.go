package meter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const prices = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
models:
  words: {per_token: {input: 0, output: 1}, max_output_tokens: 1000}
plans:
  basic: {credits: [{type: subscription, amount: 100, every: month}]}
default_plan: basic
policies: {reserve_output_tokens: 20, overdraft: 0}
`

// open starts a gateway with one account that has 100 credits.
func open(ctx context.Context, s store.Store) *meter.Gateway {
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	if book == nil {
		panic(problems)
	}
	m, err := meter.Open(ctx, meter.Options{Store: s, Book: book, Text: []byte(prices)})
	if err != nil {
		panic(err)
	}
	if _, err := m.Accounts.Create(ctx, "acme", "", ""); err != nil {
		panic(err)
	}
	return m
}

// chat is a request of the account.
func chat(body string) *meter.Request {
	return &meter.Request{
		Method: http.MethodPost, URI: "/v1/chat/completions", Body: []byte(body), ContentType: "application/json",
		Caller: meter.Caller{Account: "acme"},
	}
}

// ask sends a request that credits pay for, and writes the answer to w. The error
// is a *meter.Refusal if the request is refused.
func ask(ctx context.Context, m *meter.Gateway, req *meter.Request, send func([]byte) (*http.Response, error), w io.Writer) (meter.Receipt, error) {
	call, err := m.Admit(ctx, req)
	if err != nil {
		return meter.Receipt{}, err
	}
	defer call.KeepAlive()()
	res, err := send(call.Outgoing().Body())
	if err != nil {
		return call.Settle(ctx, meter.NotReached, nil), err
	}
	call.Begin(res.StatusCode, res.Header)
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return call.Settle(ctx, meter.UpstreamBroke, nil), err
	}
	out, _ := call.Observe(ctx, answer)
	_, err = w.Write(append(out, call.End()...))
	return call.Settle(ctx, meter.Answered, answer), err
}

// upstream answers every request with 12 tokens.
func upstream([]byte) (*http.Response, error) {
	const answer = `{"choices":[{"message":{"content":"Twelve words."},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":12}}`
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

func Example() {
	ctx := context.Background()
	m := open(ctx, memory.New())
	defer m.Close()
	receipt, err := ask(ctx, m, chat(`{"model":"words","max_tokens":50}`), upstream, io.Discard)
	fmt.Println(receipt.Outcome, receipt.Cost, receipt.Remaining, err)
	// Output: answered 12 88 <nil>
}

// A stream holds a little ahead and more as it goes on. It ends where the credits
// do.
func ExampleCall_stream() {
	ctx := context.Background()
	m := open(ctx, memory.New())
	defer m.Close()
	call, err := m.Admit(ctx, chat(`{"model":"words","stream":true}`))
	if err != nil {
		panic(err)
	}
	defer call.KeepAlive()()
	fmt.Println("held at first:", call.Info().Held)
	call.Begin(200, http.Header{"Content-Type": {"text/event-stream"}})
	outcome, events := meter.Answered, 0
	for range 500 {
		out, err := call.Observe(ctx, []byte(`data: {"choices":[{"delta":{"content":"a"}}]}`+"\n\n"))
		events += bytes.Count(out, []byte(`"content":"a"`))
		if errors.Is(err, meter.ErrExhausted) { // the last of out says so to the client
			outcome = meter.Stopped
			break
		}
	}
	call.End()
	receipt := call.Settle(ctx, outcome, nil)
	fmt.Println(receipt.Outcome+":", events, "events cost", receipt.Cost)
	// Output:
	// held at first: 20
	// stopped, credits used up: 100 events cost 100
}

// A refusal says why, and what would help.
func ExampleRefusal() {
	ctx := context.Background()
	m := open(ctx, memory.New())
	defer m.Close()
	running, err := m.Admit(ctx, chat(`{"model":"words","max_tokens":100}`)) // holds all
	if err != nil {
		panic(err)
	}
	_, err = ask(ctx, m, chat(`{"model":"words","max_tokens":40}`), upstream, os.Stdout)
	var refusal *meter.Refusal
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Reason)
		fmt.Println("needed", refusal.Facts.Needed, "available", refusal.Facts.Available, "held", refusal.Facts.Held)
	}
	running.Settle(ctx, meter.NotReached, nil) // the upstream was not reached: nothing is charged
	receipt, err := ask(ctx, m, chat(`{"model":"words","max_tokens":40}`), upstream, io.Discard)
	fmt.Println(receipt.Cost, err)
	// Output:
	// in_flight_holds
	// needed 40 available 0 held 100
	// 12 <nil>
}

// A request that is sent again under its idempotency key does not run again.
func ExampleReplay() {
	ctx := context.Background()
	m := open(ctx, memory.New())
	defer m.Close()
	for range 2 {
		req := chat(`{"model":"words","max_tokens":50}`)
		req.Idempotency = "order-17"
		receipt, err := ask(ctx, m, req, upstream, io.Discard)
		var replay *meter.Replay
		if errors.As(err, &replay) {
			fmt.Println("again:", replay.Charge.Cost, "charged before,", len(replay.Answer) > 0, replay.Remaining)
			return
		}
		fmt.Println("first:", receipt.Cost, receipt.Remaining)
	}
	// Output:
	// first: 12 88
	// again: 12 charged before, true 88
}

// counted is a store of one's own: it counts what another one writes.
type counted struct {
	store.Store
	updates chan struct{}
}

func (s *counted) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	err := s.Store.Update(ctx, accounts, fn)
	if err == nil {
		select {
		case s.updates <- struct{}{}:
		default:
		}
	}
	return err
}

// Whatever implements store.Store keeps the ledger; package storetest checks one.
func Example_store() {
	ctx := context.Background()
	s := &counted{Store: memory.New(), updates: make(chan struct{}, 1000)}
	m := open(ctx, s)
	before := len(s.updates)
	receipt, err := ask(ctx, m, chat(`{"model":"words","max_tokens":50}`), upstream, io.Discard)
	m.Close()
	fmt.Println(receipt.Cost, err, len(s.updates)-before >= 2) // the hold, and the settle
	// Output: 12 <nil> true
}
