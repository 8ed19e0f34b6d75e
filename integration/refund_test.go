package integration

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// Each retry of an SDK is a charge of its own; those that failed cost nothing.
func TestServerErrorsAreRefunded(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	key := g.account("acme", "50")
	client, claude := g.openai(key), g.anthropic(key)
	_, err := client.Chat.Completions.New(t.Context(), chatParams("demo-fail-500"))
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != http.StatusInternalServerError || e.Response.Header.Get("Credits-Cost") != "0" {
		t.Errorf("%v", err)
	}
	stream := client.Chat.Completions.NewStreaming(t.Context(), chatParams("demo-fail-503"), option.WithMaxRetries(1))
	if stream.Next() || stream.Err() == nil {
		t.Error("a stream from an upstream that fails")
	}
	_, err = claude.Messages.New(t.Context(), messageParams("demo-fail-529"))
	var a *anthropic.Error
	if !errors.As(err, &a) || a.StatusCode != 529 {
		t.Errorf("%v", err)
	}
	const attempts = 3 + 2 + 3
	g.has("acme", "50")
	if n := g.kinds("acme"); n["hold"] != attempts || n["refund"] != attempts || n["settle"] != 0 || g.mock.Requests() != attempts {
		t.Errorf("%v, upstream %d", n, g.mock.Requests())
	}
}

func TestSuccessAfterFailuresChargesOnce(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	g := start(t, setup{upstream: func(mock http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) <= 2 {
				http.Error(w, "try again", http.StatusBadGateway)
				return
			}
			mock.ServeHTTP(w, r)
		})
	}})
	client := g.openai(g.account("acme", "50"))
	var res *http.Response
	if _, err := client.Chat.Completions.New(t.Context(), chatParams("demo-small"), option.WithResponseInto(&res)); err != nil {
		t.Fatal(err)
	}
	cost := price("demo", helloTokens, usualTokens)
	wantCost(t, res, cost, 50_000-cost)
	g.has("acme", credits(50_000-cost))
	if n := g.kinds("acme"); n["hold"] != 3 || n["refund"] != 2 || n["settle"] != 1 {
		t.Errorf("%v", n)
	}
}

// A mistake of the client's is an answer like any other: what it cost is what its usage says.
func TestClientErrorsCostWhatWasUsed(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	for _, model := range []string{"demo-fail-422", "demo-fail-429", "demo-fail-400"} {
		if a := g.post(key, chatPath, chatBody(model)); a.cost() != "0" {
			t.Errorf("%s: %s cost %q\n%s", model, a.Status, a.cost(), a.body)
		}
	}
	g.has("acme", "50")
}

const timeoutCaddyfile = `{
	admin {$FAREBOX_ADMIN}
	meter {
		store badger {$FAREBOX_DATA}
		pricing {$FAREBOX_PRICING}
	}
}
http://:{$FAREBOX_PORT} {
	bind 127.0.0.1
	meter
	reverse_proxy {$FAREBOX_UPSTREAM} {
		flush_interval -1
		transport http {
			response_header_timeout 200ms
			dial_timeout 500ms
		}
	}
}
`

func TestUpstreamThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: timeoutCaddyfile, mock: mockai.Options{SlowFor: 20 * time.Second}})
	key := g.account("acme", "50")
	a := g.post(key, chatPath, chatBody("demo-slow"))
	if a.StatusCode != http.StatusGatewayTimeout || a.cost() != "0" || a.Header.Get("Credits-Charge") == "" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	if c := g.charge("acme", a.Header.Get("Credits-Charge")); c.Outcome != "upstream timeout" || c.Cost != "0" {
		t.Errorf("%+v", c)
	}
	g.upstream.CloseClientConnections()
	g.upstream.Listener.Close() //nolint:errcheck // from now on the port is closed
	for _, body := range []string{chatBody("demo-small"), chatBody("demo-small", `"stream":true`)} {
		a = g.post(key, chatPath, body)
		if a.StatusCode != http.StatusBadGateway || a.cost() != "0" {
			t.Errorf("%s %v", a.Status, a.Header)
		}
	}
	g.has("acme", "50")
	if n := g.kinds("acme"); n["hold"] != 3 || n["settle"] != 0 || n["refund"]+n["release"] != 3 {
		t.Errorf("%v", n)
	}
}
