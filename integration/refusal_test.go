package integration

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/tidwall/gjson"
)

// counting is an HTTP client that counts what it is asked to send.
type counting struct{ n atomic.Int64 }

func (c *counting) Do(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultClient.Do(r)
}

// wantFacts checks what a 402 says inside its error object.
func wantFacts(t *testing.T, credits gjson.Result, want map[string]string) {
	t.Helper()
	for path, v := range want {
		if got := credits.Get(path).String(); got != v {
			t.Errorf("credits.%s is %q, want %q\n%s", path, got, v, credits.Raw)
		}
	}
}

func TestNotEnoughCreditsOpenAI(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "10")
	var sent counting
	client := openai.NewClient(option.WithBaseURL("http://"+g.addr+"/v1/"), option.WithAPIKey(key), option.WithHTTPClient(&sent))
	_, err := client.Images.Generate(t.Context(), openai.ImageGenerateParams{Model: "gpt-image-2", Prompt: "a pier"})
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != http.StatusPaymentRequired || e.Type != "insufficient_quota" || e.Code != "credit_balance_exhausted" {
		t.Fatalf("%v", err)
	}
	wantFacts(t, gjson.Get(e.RawJSON(), "credits"), map[string]string{
		"reason": "insufficient_credits", "limit_source": "balance", "needed": "24", "available": "10", "held": "0", "missing": "14", "unit": "credit",
		"operation": "image", "account": "acme", "options.0.do": "top_up", "options.0.url": "https://example.com/billing", "options.0.packs.0.id": "pack-1000",
		"balances.#(type==\"top_up\").remaining": "10",
	})
	res := e.Response
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Should-Retry": "false", "Link": `<https://example.com/billing>; rel="payment"`, "Credits-Remaining": "10", "Credits-Cost": "0",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if res.Header.Get("Www-Authenticate") != "" || res.Header.Get("X-Request-Id") == "" || res.Header.Get("Request-Id") == "" {
		t.Errorf("%v", res.Header)
	}
	poor := openai.NewClient(option.WithBaseURL("http://"+g.addr+"/v1/"), option.WithAPIKey(g.account("poor", "0.001")), option.WithHTTPClient(&sent))
	stream := poor.Chat.Completions.NewStreaming(t.Context(), chatParams("demo-small"))
	if stream.Next() || !errors.As(stream.Err(), &e) || e.StatusCode != http.StatusPaymentRequired {
		t.Errorf("%v", stream.Err())
	}
	if sent.n.Load() != 2 || g.mock.Requests() != 0 {
		t.Errorf("the SDK sent %d requests, want 2: a 402 is not retried; %d went upstream", sent.n.Load(), g.mock.Requests())
	}
	g.has("acme", "10")
}

func TestNotEnoughCreditsAnthropic(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "0.001")
	var sent counting
	client := anthropic.NewClient(anthropicoption.WithBaseURL("http://"+g.addr), anthropicoption.WithAPIKey(key), anthropicoption.WithHTTPClient(&sent))
	for _, streamed := range []bool{false, true} {
		sent.n.Store(0)
		var err error
		if streamed {
			stream := client.Messages.NewStreaming(t.Context(), messageParams("claude-sonnet-4-5"))
			if stream.Next() {
				t.Error("an event of a refused stream")
			}
			err = stream.Err()
		} else {
			_, err = client.Messages.New(t.Context(), messageParams("claude-sonnet-4-5"))
		}
		var e *anthropic.Error
		if !errors.As(err, &e) || e.StatusCode != http.StatusPaymentRequired || string(e.Type()) != "billing_error" {
			t.Fatalf("%v", err)
		}
		details := gjson.Get(e.RawJSON(), "error.details")
		if details.Get("error_code").String() != "credit_balance_exhausted" {
			t.Errorf("%s", e.RawJSON())
		}
		wantFacts(t, details.Get("credits"), map[string]string{
			"reason": "insufficient_credits", "available": "0.001", "operation": "messages", "model": "claude-sonnet-4-5", "account": "acme",
		})
		if sent.n.Load() != 1 {
			t.Errorf("stream %v: the SDK sent %d requests, want 1", streamed, sent.n.Load())
		}
	}
	if g.mock.Requests() != 0 {
		t.Errorf("%d requests went upstream", g.mock.Requests())
	}
	g.has("acme", "0.001")
	if n := g.kinds("acme"); n["hold"] != 0 {
		t.Errorf("%v", n)
	}
}

// A request that only fits with less output is run with less output.
func TestClampedOutput(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "0.1") // input, and 11 or 12 tokens of output
	a := g.post(key, chatPath, chatBody("demo-small"))
	clamped := gjson.GetBytes(g.mock.Last().Body, "max_completion_tokens").Int() + gjson.GetBytes(g.mock.Last().Body, "max_tokens").Int()
	if a.StatusCode != http.StatusOK || clamped < 1 || clamped > 12 || gjson.Get(a.body, "usage.completion_tokens").Int() != clamped {
		t.Fatalf("%s, clamped to %d: %s", a.Status, clamped, a.body)
	}
	cost := price("demo", helloTokens, int(clamped))
	if a.cost() != credits(cost) || a.Header.Get("Credits-Clamped") == "" {
		t.Errorf("cost %s, want %s; clamped %q", a.cost(), credits(cost), a.Header.Get("Credits-Clamped"))
	}
	g.has("acme", credits(100-cost))
}

// 64 clients at once on credits for exactly four pictures.
func TestRaceForTheLastCredits(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "96")
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			a, err := g.trySend(http.MethodPost, "/v1/images", `{"prompt":"a pier"}`, "X-Api-Key", key)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			statuses[a.StatusCode]++
			if a.StatusCode == http.StatusOK && a.cost() != "24" {
				t.Errorf("cost %q", a.cost())
			}
		})
	}
	wg.Wait()
	if statuses[200] != 4 || statuses[402] != 60 || g.mock.Path("/v1/images") != 4 {
		t.Errorf("%v, upstream %d", statuses, g.mock.Path("/v1/images"))
	}
	g.has("acme", "0")
	if n := g.kinds("acme"); n["settle"] != 4 {
		t.Errorf("%v", n)
	}
}

// guesses signs in with wrong keys until that is refused. Another client of the proxy
// is another address, if the proxy is trusted.
func (g *gateway) guesses(trusted bool) {
	g.t.Helper()
	guess := func(from string) answer {
		return g.send(http.MethodPost, "/_meter/v1/session", `{"key":"fb_live_guess"}`, "X-Forwarded-For", from)
	}
	g.eventually("too many guesses", func() bool { return guess("198.51.100.1").StatusCode == http.StatusTooManyRequests })
	last := guess("198.51.100.1")
	if last.Header.Get("Retry-After") != "1" || gjson.Get(last.body, "reason").Str != "too_often" {
		g.t.Errorf("%s %v %s", last.Status, last.Header, last.body)
	}
	if other := guess("198.51.100.2"); (other.StatusCode == http.StatusUnauthorized) != trusted {
		g.t.Errorf("another client: %s %s", other.Status, other.body)
	}
}

// Behind a proxy that ends TLS the server knows by X-Forwarded-Proto what the
// browser sees, and believes it of no one else.
func TestBehindAProxyThatEndsTLS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ trusted, scheme, cookie string }{
		{"servers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}", "https", "__Secure-farebox_session"},
		{"", "http", "farebox_session"},
	} {
		t.Run(c.scheme, func(t *testing.T) {
			g := start(t, setup{caddyfile: strings.Replace(read(t, "../Caddyfile"), "\tmetrics\n", "\tmetrics\n\t"+c.trusted+"\n", 1)})
			key := g.account("acme", "1")
			denied := g.post(key, "/v1/images/generations", `{"model":"gpt-image-2","prompt":"x"}`, "X-Forwarded-Proto", "https")
			if docs := gjson.Get(denied.body, "error.credits.docs").String(); !strings.HasPrefix(docs, c.scheme+"://"+g.addr+"/_meter/docs/errors#") {
				t.Errorf("%s: %q in %s", denied.Status, docs, denied.body)
			}
			in := g.send(http.MethodPost, "/_meter/v1/session", `{"key":"`+key+`"}`, "X-Forwarded-Proto", "https")
			cookies := in.Cookies()
			if len(cookies) != 1 || cookies[0].Name != c.cookie || cookies[0].Secure != (c.scheme == "https") {
				t.Fatalf("%s: %v", in.Status, cookies)
			}
			if a := g.send(http.MethodGet, "/_meter/v1/session", "", "X-Forwarded-Proto", "https", "Cookie", cookies[0].Name+"="+cookies[0].Value); a.StatusCode != http.StatusOK {
				t.Errorf("the cookie does not open the session: %s %s", a.Status, a.body)
			}
			g.guesses(c.scheme == "https")
		})
	}
}
