package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// atOnce lets sockets pass, ends what its client has left, and allows two requests at once.
func atOnce(t testing.TB) string {
	text := strings.Replace(metering(t), "upgrade meter", "upgrade meter\n\t\ton_disconnect cancel", 1)
	return strings.Replace(text, "\tmeter {\n", "\tmeter {\n\t\tpoll_jobs off\n\t\tmax_concurrent 2\n", 1)
}

// full expects that one more request is refused, and freed that it is not any more.
func (g *gateway) full(key, per string) {
	g.t.Helper()
	a := g.post(key, "/v1/embeddings", `{"model":"text-embedding-3-small","input":"x"}`)
	if a.StatusCode != http.StatusTooManyRequests || reasonOf(a.body) != "too_many_concurrent_requests" || a.Header.Get("Retry-After") != "1" || a.Header.Get("Concurrency-Limit-Per") != per {
		g.t.Errorf("one more per %s: %s %v %s", per, a.Status, a.Header, a.body)
	}
}

func (g *gateway) freed(key string) {
	g.t.Helper()
	g.eventually("a place is free", func() bool {
		return g.post(key, "/v1/embeddings", `{"model":"text-embedding-3-small","input":"x"}`).StatusCode == http.StatusOK
	})
}

// Streams and sockets count as long as they are open, also over a reload; limits of the
// plan, the account and the key come before that of the gateway.
func TestRequestsAtOnce(t *testing.T) {
	t.Parallel()
	g := start(t, setup{
		caddyfile: atOnce(t), upstream: realtime(nil), mock: mockai.Options{Pace: 20 * time.Millisecond},
		prices: func(p string) string {
			return strings.Replace(realtimePrices(p), "    name: Pro\n", "    name: Pro\n    max_concurrent: {account: 3, key: 1}\n", 1)
		},
	})
	key := g.account("acme", "900")
	one, events := g.openStream(key, chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 5)
	socket, _, err := g.dial(realtimePath, key)
	if err != nil {
		t.Fatal(err)
	}
	g.full(key, "account")
	_ = socket.CloseNow()
	g.freed(key)
	two, events := g.openStream(key, chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 5)
	g.full(key, "account")
	if n := g.metric(`caddy_meter_refused_total{reason="too_many_concurrent_requests"}`); n == "" || n == "0" {
		t.Errorf("the metric says %q", n)
	}
	if out := g.reload("--force"); out.code != 0 {
		t.Fatal(out.stderr)
	}
	g.full(key, "account")
	_ = one.Body.Close()
	g.freed(key)
	g.cli("account", "max-concurrent", "acme", "1").want(t, "less for the account", 0, `"max_concurrent": 1`)
	g.full(key, "account")
	g.cli("account", "max-concurrent", "acme", "0").want(t, "none of its own", 0)
	g.freed(key)
	g.cli("account", "set-plan", "acme", "pro").want(t, "another plan", 0)
	g.full(key, "key")
	other := g.key("acme")
	g.freed(other)
	_ = two.Body.Close()
	g.freed(key)
}

// A job counts until it has ended, whatever happens to the process.
func TestJobsAtOnce(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: atOnce(t), mock: mockai.Options{JobPolls: 1}})
	g.account("acme", "200")
	g.cli("member", "add", "acme", "mira", "--max-concurrent", "1").want(t, "a member", 0, `"max_concurrent": 1`)
	key := strings.Trim(strings.Split(g.cli("key", "create", "acme", "--member", "mira", "--table").stdout, " ")[0], "\n")
	id := g.video(key, "motion")
	g.full(key, "member")
	g.kill()
	g.run()
	g.full(key, "member")
	for range 2 {
		if a := g.send(http.MethodGet, "/v1/videos/"+id, "", "X-Api-Key", key); a.StatusCode != http.StatusOK {
			t.Errorf("its own job: %s %s", a.Status, a.body)
		}
	}
	g.freed(key)
}

func TestLabelsAndLimitsAsDocumented(t *testing.T) {
	g := start(t, setup{})
	g.documented("../docs/cli.md", "Labels and limits of accounts")
	g.cli("account", "list", "--label", "=x").want(t, "a label without a name", 2, "write name=value")
	g.cli("grant", "--all", "--label", "=x", "5", "--reason", "x", "--idempotency-key", "k").want(t, "the same in a grant", 2, "write name=value")
	g.cli("account", "label", "acme", "Segment=x").want(t, "a wrong name", 2, "small letters")
	g.cli("account", "label", "acme", "segment="+strings.Repeat("x", 257)).want(t, "a long value", 2, "at most 256")
	g.cli("account", "create", "gamma", "--label", "NO=x").want(t, "an account with a wrong label", 2, "small letters")
	g.cli("account", "show", "gamma").want(t, "it was not opened", 5)
}
