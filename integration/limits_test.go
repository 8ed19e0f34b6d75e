package integration

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// A drain goes on for so long and no longer.
func TestDrainHasAnEnd(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: strings.Replace(read(t, "../Caddyfile"), "\tmeter\n", "\tmeter {\n\t\ton_disconnect drain 500ms\n\t}\n", 1), mock: mockai.Options{Pace: 10 * time.Millisecond}})
	res, events := g.openStream(g.account("acme", "50"), chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 10)
	_ = res.Body.Close()
	c := g.chargeOf("acme", res)
	if cost := thousandths(t, c.Cost); cost < price("demo", 0, 35) || cost > price("demo", 40, 200) || !c.Estimated {
		t.Errorf("%+v", c)
	}
	g.eventually("the upstream sees", func() bool { return g.mock.Aborted() == 1 })
}

// What grace_period cuts off is charged by the next start: what was noted of it
// while it ran.
func TestGracePeriodEnds(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: strings.Replace(read(t, "../Caddyfile"), "grace_period 5m", "grace_period 300ms", 1), mock: mockai.Options{Pace: 25 * time.Millisecond}})
	res, events := g.openStream(g.account("acme", "50"), chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 230) // 5.75 s; it is noted every 5 s
	began := time.Now()
	g.signal(syscall.SIGTERM)
	if words, done := rest(events); done || words > 100 {
		t.Errorf("%d more words, done %v", words, done)
	}
	g.ended()
	if took := time.Since(began); took > time.Minute { // not the 5 minutes of the Caddyfile
		t.Errorf("it took %s", took)
	}
	g.run()
	c := g.chargeOf("acme", res)
	if cost := thousandths(t, c.Cost); cost < price("demo", 0, 150) || cost > price("demo", 60, 320) || !c.Estimated {
		t.Errorf("%+v", c)
	}
}

func responseParams(model string) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello there")}}
}

// The SDK of Responses raises the error that ends a stream, too.
func TestResponsesStreamUsesUpTheCredits(t *testing.T) {
	g := start(t, setup{prices: smallHolds, mock: mockai.Options{Pace: time.Millisecond}})
	var res *http.Response
	stream := g.openai(g.account("acme", "1")).Responses.NewStreaming(t.Context(), responseParams("demo-long-stream"), option.WithResponseInto(&res))
	if err := readAll(stream); err == nil || !strings.Contains(err.Error(), "credits are used up") {
		t.Errorf("error %v", err)
	}
	a := g.settled("acme")
	if left := thousandths(t, a.Available); left > 100 || a.Debt != "0" {
		t.Errorf("left %s, debt %s", a.Available, a.Debt)
	}
	if c := g.chargeOf("acme", res); c.Outcome != "stopped, credits used up" {
		t.Errorf("%+v", c)
	}
}

// The limit that is written into a request is announced, whatever the request
// called it, and a stream says so as well.
func TestClampIsAnnounced(t *testing.T) {
	g := start(t, setup{prices: func(prices string) string {
		return strings.Replace(prices, "policies:\n", "policies:\n  estimate: scan\n", 1) // a tenth of a credit is less than the bytes of the bodies
	}})
	for i, tt := range []struct{ path, body, field string }{
		{chatPath, chatBody("demo-small"), "max_completion_tokens"},
		{chatPath, chatBody("demo-small", `"stream":true`, `"max_tokens":4000`), "max_tokens"},
		{"/v1/responses", `{"model":"demo-small","stream":true,"input":"hello there"}`, "max_output_tokens"},
		{"/v1/messages", chatBody("demo-small", `"max_tokens":4000`), "max_tokens"},
		{geminiPath, geminiBody, "generationConfig.maxOutputTokens"},
	} {
		a := g.post(g.account(fmt.Sprintf("acme%d", i), "0.1"), tt.path, tt.body)
		clamped := gjson.GetBytes(g.mock.Last().Body, tt.field).Int()
		if want := fmt.Sprintf("max_tokens=%d", clamped); a.StatusCode != 200 || clamped < 1 || clamped > 12 || a.Header.Get("Credits-Clamped") != want {
			t.Errorf("%s: %s, %s in %s", tt.path, a.Status, a.Header.Get("Credits-Clamped"), g.mock.Last().Body)
		}
	}
}

// What the account has not is written down up to a limit, at twice the price.
func TestOverage(t *testing.T) {
	overage := func(prices string) string {
		return strings.Replace(prices, "amount: 100, every: day}]\n", "amount: 30, every: day}]\n    when_empty: overage\n    overage: {limit: 100, times: 2}\n", 1)
	}
	g := start(t, setup{prices: overage})
	if status := g.ask(http.MethodPost, "/meter/accounts", map[string]string{"id": "acme"}, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	key := g.key("acme")
	for i, status := range []int{200, 200, 200, 402} { // 24; 6 and 18 × 2; 24 × 2; 24 × 2 more than 100
		a := g.post(key, "/v1/images", `{"prompt":"x"}`)
		if a.StatusCode != status {
			t.Errorf("picture %d: %s %s", i, a.Status, a.body)
		}
		if status == 402 && gjson.Get(a.body, "error.credits.limit_source").String() != "overage_limit" && gjson.Get(a.body, "credits.limit_source").String() != "overage_limit" {
			t.Errorf("%s", a.body)
		}
		g.settled("acme")
	}
	if a := g.show("acme"); a.Overage != "84" || a.Available != "0" {
		t.Errorf("overage %s, available %s", a.Overage, a.Available)
	}
	if a := g.post(key, chatPath, chatBody("demo-fail-500")); a.cost() != "0" || g.settled("acme").Overage != "84" {
		t.Errorf("a failure costs %s", a.cost())
	}
}

func TestMemberCap(t *testing.T) {
	capped := func(prices string) string {
		return strings.Replace(prices, "amount: 100, every: day}]\n", "amount: 100, every: day}]\n    caps: [{per: member, amount: 50, every: day}]\n", 1)
	}
	g := start(t, setup{prices: capped, caddyfile: strings.Replace(read(t, "../Caddyfile"), "\tmeter\n", "\tmeter {\n\t\tmember {http.request.header.X-Member}\n\t}\n", 1)})
	key := g.account("acme", "200")
	for i, tt := range []struct {
		member string
		status int
	}{{"mira", 200}, {"mira", 200}, {"mira", 402}, {"ben", 200}, {"", 200}, {"mira", 402}} {
		a := g.post(key, "/v1/images", `{"prompt":"x"}`, "X-Member", tt.member)
		if a.StatusCode != tt.status || tt.status == 402 && !strings.Contains(a.body, "member_cap") {
			t.Errorf("%d, %s: %s %s", i, tt.member, a.Status, a.body)
		}
		g.settled("acme")
	}
	g.has("acme", "104")
}
