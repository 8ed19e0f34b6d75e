package integration

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/mockai"
)

func TestIdempotencyKeyReplays(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	for name, body := range map[string]string{"json": chatBody("demo-small"), "stream": chatBody("demo-small", `"stream":true`)} {
		before, served := thousandths(t, g.settled("acme").Available), g.mock.Requests()
		first := g.post(key, chatPath, body, "Idempotency-Key", name)
		g.settled("acme")
		again := g.post(key, chatPath, body, "Idempotency-Key", name)
		if again.StatusCode != first.StatusCode || again.body != first.body || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
			t.Errorf("%s: %s %s\nfirst %s", name, again.Status, again.body, first.body)
		}
		if again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s: Idempotency-Replayed %q, then %q", name, first.Header.Get("Idempotency-Replayed"), again.Header.Get("Idempotency-Replayed"))
		}
		if again.Header.Get("Credits-Charge") != first.Header.Get("Credits-Charge") || again.cost() != first.cost() {
			t.Errorf("%s: charge %s cost %s, first %s %s", name, again.Header.Get("Credits-Charge"), again.cost(), first.Header.Get("Credits-Charge"), first.cost())
		}
		other := g.post(key, chatPath, strings.Replace(body, "hello", "hallo", 1), "Idempotency-Key", name)
		if other.StatusCode != http.StatusConflict || reasonOf(other.body) != "idempotency_conflict" {
			t.Errorf("%s, another body: %s %s", name, other.Status, other.body)
		}
		if g.mock.Requests() != served+1 {
			t.Errorf("%s: %d requests went upstream", name, g.mock.Requests()-served)
		}
		g.has("acme", credits(before-price("demo", helloTokens, usualTokens)))
	}
	// What failed was not charged, and may be tried again under the same key.
	for range 2 {
		if a := g.post(key, chatPath, chatBody("demo-fail-500"), "Idempotency-Key", "failing"); a.StatusCode != http.StatusInternalServerError || a.cost() != "0" {
			t.Errorf("%s %s", a.Status, a.body)
		}
		g.settled("acme")
	}
	if g.mock.Model("demo-fail-500") != 2 {
		t.Errorf("%d tries went upstream", g.mock.Model("demo-fail-500"))
	}
	// Keys belong to an account.
	if a := g.post(g.account("other", "50"), chatPath, chatBody("demo-small"), "Idempotency-Key", "json"); a.StatusCode != 200 || a.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("another account: %s", a.Status)
	}
}

func TestIdempotencyKeyInFlight(t *testing.T) {
	t.Parallel()
	g := start(t, setup{mock: mockai.Options{Latency: 300 * time.Millisecond}})
	key := g.account("acme", "50")
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a, err := g.trySend(http.MethodPost, chatPath, chatBody("demo-small"), "X-Api-Key", key, "Idempotency-Key", "one")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[a.StatusCode]++
			if a.StatusCode == http.StatusConflict && !strings.Contains(a.body, "still running") {
				t.Errorf("%s", a.body)
			}
		})
	}
	wg.Wait()
	if statuses[200] != 1 || statuses[409] != 7 || g.mock.Requests() != 1 {
		t.Errorf("%v, upstream %d", statuses, g.mock.Requests())
	}
	g.has("acme", credits(50_000-price("demo", helloTokens, usualTokens)))
}

func TestMetricsAndAccessLog(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	g.post(key, chatPath, chatBody("gpt-5.4"))
	g.post(key, chatPath, chatBody("demo-fail-500"))
	for _, name := range []string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		g.send(http.MethodPost, chatPath, chatBody("gpt-9"), name, key)
	}
	g.send(http.MethodPost, chatPath+"?key="+key, chatBody("gpt-9"))
	g.settled("acme")
	text := g.metrics()
	for _, series := range []string{
		`caddy_meter_requests_total{operation="chat",outcome="charged"} 1`, `caddy_meter_requests_total{operation="chat",outcome="refunded"} 1`,
		`caddy_meter_refused_total{reason="model_not_priced"} 4`, `caddy_meter_holds_open 0`, `caddy_meter_prices_loaded 1`, "caddy_meter_admit_seconds_count", "caddy_meter_commit_batch_size_count",
		`caddy_meter_charged_credits_total{model="gpt-5.4",operation="chat"} `, `caddy_meter_refunded_credits_total{reason="upstream 5xx"} `, "caddy_meter_unpriced_total 4",
		"caddy_meter_hold_age_seconds_count 2", "caddy_meter_settle_seconds_count 2", "caddy_meter_estimate_ratio_count 1", "caddy_meter_absorbed_credits_total 0",
	} {
		if !strings.Contains(text, series) {
			t.Errorf("no %s", series)
		}
	}
	if strings.Contains(text, "acme") {
		t.Error("an account in the metrics")
	}
	g.eventually("the access log is written", func() bool { return strings.Count(g.log.String(), `"msg":"handled request"`) == 6 })
	log := g.log.String()
	if strings.Contains(log, key) {
		t.Error("the access log shows a key")
	}
	charged := false
	for line := range strings.Lines(log) {
		if m := gjson.Get(line, "meter"); m.Exists() && m.Get("outcome").String() == "answered" {
			charged = m.Get("operation").String() == "chat" && m.Get("model").String() == "gpt-5.4" && m.Get("cost").String() == credits(price("gpt-5.4", helloTokens, usualTokens))
		}
	}
	if !charged {
		t.Error("the access log does not say what was charged")
	}
}

const identityCaddyfile = `{
	admin {$FAREBOX_ADMIN}
	meter {
		store badger {$FAREBOX_DATA}
		pricing {$FAREBOX_PRICING}
	}
}
http://:{$FAREBOX_PORT} {
	bind 127.0.0.1
	handle /app/* {
		uri strip_prefix /app
		meter {
			account {header.X-Account}
			member {header.X-Member}
		}
		reverse_proxy {$FAREBOX_UPSTREAM}
	}
	handle {
		basic_auth {
			mira $2a$05$blzFoKoWm4XCFqNXxAhaneVrWCg4uI9rnkfgapVG64clACeYsdva.
		}
		meter {
			account {http.auth.user.id}
		}
		reverse_proxy {$FAREBOX_UPSTREAM}
	}
}
`

// A proxy in front names the account; it is created on the default plan.
func TestAccountsNamedByWhatStandsInFront(t *testing.T) {
	g := start(t, setup{caddyfile: identityCaddyfile})
	cost := price("demo", helloTokens, usualTokens)
	for range 2 {
		if a := g.send(http.MethodPost, "/app"+chatPath, chatBody("demo-small"), "X-Account", "shop-7", "X-Member", "ida"); a.StatusCode != 200 || a.cost() != credits(cost) {
			t.Fatalf("%s %s", a.Status, a.body)
		}
	}
	g.has("shop-7", credits(100_000-2*cost))
	if a := g.show("shop-7"); a.Plan != "free" {
		t.Errorf("plan %q", a.Plan)
	}
	for _, e := range g.journal("shop-7") {
		if e.Kind == "hold" && e.Member != "ida" {
			t.Errorf("member %q", e.Member)
		}
	}
	if a := g.send(http.MethodPost, "/app"+chatPath, chatBody("demo-small")); a.StatusCode != http.StatusUnauthorized || reasonOf(a.body) != "no_key" {
		t.Errorf("without a key: %s %s", a.Status, a.body)
	}
	for _, id := range []string{"a/b", "../x", strings.Repeat("x", 129), "a b", `"`} {
		if a := g.send(http.MethodPost, "/app"+chatPath, chatBody("demo-small"), "X-Account", id); a.StatusCode != http.StatusUnauthorized || reasonOf(a.body) != "unknown_account" {
			t.Errorf("account %q: %s %s", id, a.Status, a.body)
		}
	}
	if a := g.send(http.MethodPost, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a password: %s", a.Status)
	}
	a := g.send(http.MethodPost, chatPath, chatBody("demo-small"), "Authorization", "Basic bWlyYTpwaWVy")
	if a.StatusCode != 200 || a.cost() != credits(cost) {
		t.Errorf("mira: %s %s", a.Status, a.body)
	}
	g.has("mira", credits(100_000-cost))

	served := g.mock.Requests()
	g.must(g.ask(http.MethodPatch, "/meter/accounts/shop-7", map[string]any{"suspended": true, "reason": "test"}, nil))
	for _, path := range []string{"/app" + chatPath, "/app/v1/images"} {
		a := g.send(http.MethodPost, path, chatBody("demo-small"), "X-Account", "shop-7")
		if a.StatusCode != http.StatusForbidden || reasonOf(a.body) != "account_suspended" {
			t.Errorf("suspended: %s %s", a.Status, a.body)
		}
	}
	if g.mock.Requests() != served {
		t.Error("a suspended account's request went upstream")
	}
}
