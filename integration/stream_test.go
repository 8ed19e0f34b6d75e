package integration

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/internal/mockai"
)

const longTokens = 400 // of the mock's long-stream

// openStream sends a request for a stream and returns its events.
func (g *gateway) openStream(key, path, body string) (*http.Response, *bufio.Scanner) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, "http://"+g.addr+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{}} // a connection of its own, to hang up
	res, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		g.t.Fatalf("%s: %s", res.Status, b)
	}
	g.t.Cleanup(func() { _ = res.Body.Close() })
	events := bufio.NewScanner(res.Body)
	events.Buffer(nil, 1<<20)
	return res, events
}

// next reads n events.
func next(t testing.TB, events *bufio.Scanner, n int) {
	t.Helper()
	for n > 0 && events.Scan() {
		if strings.HasPrefix(events.Text(), "data: ") {
			n--
		}
	}
	if n > 0 {
		t.Fatalf("%d events too few: %v", n, events.Err())
	}
}

func (g *gateway) chargeOf(account string, res *http.Response) api.ChargeView {
	g.t.Helper()
	g.settled(account)
	return g.charge(account, res.Header.Get("Credits-Charge"))
}

// cancelling is the shipped Caddyfile with on_disconnect cancel: what a client does not wait for is not paid for.
func cancelling(t *testing.T) string {
	t.Helper()
	return strings.Replace(read(t, "../Caddyfile"), "\tmeter\n", "\tmeter {\n\t\ton_disconnect cancel\n\t}\n", 1)
}

func TestClientLeavesMidStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, body string }{
		{chatPath, chatBody("demo-long-stream", `"stream":true`)},
		{"/v1/messages", chatBody("demo-long-stream", `"stream":true`, `"max_tokens":1000`)},
		{"/v1/responses", `{"model":"demo-long-stream","stream":true,"input":"hello there"}`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			g := start(t, setup{caddyfile: cancelling(t), mock: mockai.Options{Pace: 10 * time.Millisecond}})
			res, events := g.openStream(g.account("acme", "50"), tt.path, tt.body)
			next(t, events, 30)
			_ = res.Body.Close()
			c := g.chargeOf("acme", res)
			cost := thousandths(t, c.Cost)
			if cost < price("demo", 0, 20) || cost >= price("demo", helloTokens, longTokens/2) || !c.Estimated || c.Outcome != "client left" {
				t.Errorf("%+v", c)
			}
			g.has("acme", credits(50_000-cost))
			g.eventually("the upstream sees", func() bool { return g.mock.Aborted() == 1 })
		})
	}
}

// Who leaves before the first byte pays for what the upstream works on, unless
// the price file refunds it.
func TestClientLeavesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	refunding := func(prices string) string {
		return strings.Replace(prices, "refund_on: [4xx, 5xx, timeout]", "refund_on: [4xx, 5xx, timeout, client_abort]", 1)
	}
	for name, tt := range map[string]struct {
		prices      func(string) string
		atLeast, at int // left, in thousandths
		kind        string
	}{
		"charged":  {nil, 25_900, 25_995, "settle"}, // the picture, and the input of the chat
		"refunded": {refunding, 50_000, 50_000, "refund"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, setup{caddyfile: cancelling(t), prices: tt.prices, mock: mockai.Options{SlowFor: 20 * time.Second}})
			key := g.account("acme", "50")
			client := &http.Client{Timeout: 300 * time.Millisecond}
			for path, body := range map[string]string{chatPath: chatBody("demo-slow"), "/v1/images": `{"model":"slow","prompt":"a pier"}`} {
				req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+key)
				if res, err := client.Do(req); err == nil {
					res.Body.Close() //nolint:errcheck // it should not have come
					t.Fatalf("an answer: %s %v", res.Status, res.Header)
				}
				g.settled("acme") // or its hold is in the way of the next one
			}
			g.eventually("the upstream sees", func() bool { return g.mock.Aborted() == 2 })
			if left := thousandths(t, g.settled("acme").Available); left < tt.atLeast || left > tt.at {
				t.Errorf("left %s", credits(left))
			}
			if n := g.kinds("acme"); n["hold"] != 2 || n[tt.kind] != 2 {
				t.Errorf("%v", n)
			}
		})
	}
}

func TestUpstreamCutsTheStream(t *testing.T) {
	g := start(t, setup{mock: mockai.Options{Pace: time.Millisecond}})
	key := g.account("acme", "50")
	res, events := g.openStream(key, chatPath, chatBody("demo-cut-stream", `"stream":true`))
	next(t, events, 5)
	for events.Scan() {
	}
	if events.Err() == nil {
		t.Error("a torn stream ends as if it were whole")
	}
	c := g.chargeOf("acme", res)
	if cost := thousandths(t, c.Cost); cost < price("demo", 0, 3) || cost > price("demo", 40, 12) || !c.Estimated {
		t.Errorf("%+v", c)
	}
	// Of a torn JSON answer nothing arrives, so it costs nothing.
	before := g.show("acme").Available
	if a, err := g.trySend(http.MethodPost, chatPath, chatBody("demo-cut-stream"), "X-Api-Key", key); err == nil && a.StatusCode < 500 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.has("acme", before)
}

func TestErrorInsideTheStream(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	stream := g.openai(key).Chat.Completions.NewStreaming(t.Context(), chatParams("demo-error-stream"))
	for stream.Next() {
	}
	if stream.Err() == nil {
		t.Error("the error did not arrive")
	}
	messages := g.anthropic(key).Messages.NewStreaming(t.Context(), messageParams("demo-error-stream"))
	for messages.Next() {
	}
	if messages.Err() == nil {
		t.Error("the error did not arrive")
	}
	if a := g.post(key, chatPath, chatBody("demo-error-stream")); a.StatusCode != 200 || a.cost() != "0" {
		t.Errorf("%s %s", a.Status, a.cost())
	}
	g.has("acme", "50")
	if n := g.kinds("acme"); n["refund"] != 3 || n["settle"] != 0 {
		t.Errorf("%v", n)
	}
}

func TestMissingUsageIsEstimated(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	for _, tt := range []struct{ path, body string }{
		{chatPath, chatBody("demo-no-usage")},
		{chatPath, chatBody("demo-no-usage", `"stream":true`)},
		{"/v1/responses", `{"model":"demo-no-usage","input":"hello there"}`},
		{"/v1/messages", chatBody("demo-no-usage", `"stream":true`, `"max_tokens":100`)},
	} {
		a := g.post(key, tt.path, tt.body)
		c := g.chargeOf("acme", a.Response)
		if cost := thousandths(t, c.Cost); !c.Estimated || cost < price("demo", 0, usualTokens/2) || cost > price("demo", 4*helloTokens, 2*usualTokens) || c.Cost != a.cost() {
			t.Errorf("%s %s: %+v, told %q", tt.path, tt.body, c, a.cost())
		}
	}
}

func TestDrainChargesTheWholeAnswer(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: strings.Replace(read(t, "../Caddyfile"), "\tmeter\n", "\tmeter {\n\t\ton_disconnect drain 1m\n\t}\n", 1), mock: mockai.Options{Pace: 2 * time.Millisecond}})
	res, events := g.openStream(g.account("acme", "50"), chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 10)
	_ = res.Body.Close()
	c := g.chargeOf("acme", res)
	if c.Cost != credits(price("demo", helloTokens, longTokens)) || c.Estimated {
		t.Errorf("%+v", c)
	}
	if g.mock.Aborted() != 0 {
		t.Error("the upstream was cut off")
	}
}

// smallHolds makes long answers outgrow their first hold.
func smallHolds(prices string) string {
	return strings.Replace(prices, "reserve_output_tokens: 4_096", "reserve_output_tokens: 64", 1)
}

func TestHoldGrowsWithTheAnswer(t *testing.T) {
	g := start(t, setup{prices: smallHolds, mock: mockai.Options{Pace: time.Millisecond}})
	a := g.post(g.account("acme", "50"), chatPath, chatBody("demo-long-stream", `"stream":true`))
	if a.cost() != credits(price("demo", helloTokens, longTokens)) {
		t.Errorf("cost %s", a.cost())
	}
	if c := g.chargeOf("acme", a.Response); c.Estimated || c.Outcome != "answered" {
		t.Errorf("%+v", c)
	}
	if n := g.kinds("acme"); n["extend"] == 0 || n["settle"] != 1 {
		t.Errorf("%v", n)
	}
}

// A stream that nothing is left for ends with an error that the SDKs understand.
func TestStreamUsesUpTheCredits(t *testing.T) {
	drain := map[string]func(g *gateway, key string) error{
		"openai chat": func(g *gateway, key string) error {
			return readAll(g.openai(key).Chat.Completions.NewStreaming(t.Context(), chatParams("demo-long-stream")))
		},
		"anthropic messages": func(g *gateway, key string) error {
			params := messageParams("demo-long-stream")
			params.MaxTokens = 4000
			stream := g.anthropic(key).Messages.NewStreaming(t.Context(), params)
			for stream.Next() {
			}
			return stream.Err()
		},
	}
	for name, run := range drain {
		t.Run(name, func(t *testing.T) {
			g := start(t, setup{prices: smallHolds, mock: mockai.Options{Pace: time.Millisecond}})
			err := run(g, g.account("acme", "1"))
			if err == nil || !strings.Contains(err.Error(), "credits are used up") {
				t.Errorf("error %v", err)
			}
			a := g.settled("acme")
			if left := thousandths(t, a.Available); left > 200 || strings.HasPrefix(a.Available, "-") || a.Debt != "0" || a.Overage != "0" {
				t.Errorf("left %s, debt %s, overage %s", a.Available, a.Debt, a.Overage)
			}
			if n := g.kinds("acme"); n["extend"] == 0 || n["settle"] != 1 {
				t.Errorf("%v", n)
			}
		})
	}
}

func readAll[T any](stream *ssestream.Stream[T]) error {
	for stream.Next() {
	}
	return stream.Err()
}
