package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/mockai"
	"github.com/farebox-dev/farebox/meter/event"
)

// Events for operators: prices, problems, refunds of jobs.
func TestOperatorsEvents(t *testing.T) {
	t.Parallel()
	key := event.NewSecret()
	r := receive(t, "", key)
	absurd := by("/v1/embeddings", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[],"model":"text-embedding-3-small","usage":{"prompt_tokens":1000000000000,"total_tokens":1000000000000}}`)
	})
	hook := "notify webhook http://" + r.addr + " " + key
	dear := func(prices string) string {
		return strings.Replace(prices, "{input: 2}", "{input: 20_000_000_000}", 1) // a trillion of these are more credits than can be counted
	}
	caddyfile := strings.Replace(telling(t, hook), "pricing {$FAREBOX_PRICING:./pricing.yaml}", "pricing {$FAREBOX_PRICING:./pricing.yaml} {\n\t\t\twatch 200ms\n\t\t}", 1)
	g := start(t, setup{caddyfile: caddyfile, prices: dear, upstream: absurd, mock: mockai.Options{JobPolls: 1}})
	account := g.account("acme", "10000000")
	digest := func() string {
		var h struct{ Prices struct{ Digest string } }
		g.must(g.ask(http.MethodGet, "/meter/health", nil, &h))
		return h.Prices.Digest
	}
	first := digest()

	job := g.video(account, "job-failed")
	for range 3 { // its client polls it; the gateway sees the failure and refunds it once
		g.send(http.MethodGet, "/v1/videos/"+job, "", "X-Api-Key", account)
	}
	if x := r.gets(g, event.Refunded, 1); gjson.Get(x.body, "data.credits").String() != "20" || gjson.Get(x.body, "data.reason").String() != event.JobFailed {
		t.Errorf("%s", x.body)
	}
	if a := g.post(account, chatPath, chatBody("demo-fail-500")); a.StatusCode != 500 {
		t.Errorf("%s", a.Status)
	}

	g.edit("pricing.yaml", "{per_image: 24}", "{per_image: 20}") // the watcher sees it
	loaded := r.gets(g, event.PricesLoaded, 1)
	if d := gjson.Get(loaded.body, "data"); d.Get("digest").String() != digest() || d.Get("before").String() != first || d.Get("file").String() != "pricing.yaml" || d.Get("account").Exists() {
		t.Errorf("%s", loaded.body)
	}
	g.edit("pricing.yaml", "{per_image: 20}", "{per_imag: 20}")
	if x := r.gets(g, event.PricesRefused, 1); !strings.Contains(gjson.Get(x.body, "data.error").String(), "per_imag") || gjson.Get(x.body, "data.digest").String() != digest() {
		t.Errorf("%s", x.body)
	}
	g.edit("pricing.yaml", "{per_imag: 20}", "{per_image: 24}") // and back to the first, which is news again
	g.cli("prices", "reload").want(t, "reload", 0)
	if x := r.gets(g, event.PricesLoaded, 2); gjson.Get(x.body, "data.digest").String() != first || x.id == loaded.id {
		t.Errorf("%s %s", x.id, x.body)
	}

	for range 5 { // an upstream that talks nonsense is one message a minute
		g.post(account, "/v1/embeddings", `{"model":"text-embedding-3-small","input":"x"}`)
	}
	if x := r.gets(g, event.LedgerProblem, 1); !strings.Contains(gjson.Get(x.body, "data.problem").String(), "pricing the answer of charge") {
		t.Errorf("%s", x.body)
	}
	if n := strings.Count(g.log.String(), `"msg":"ledger.problem"`); n != 5 {
		t.Errorf("%d problems in the log", n)
	}
	if len(r.of(event.LedgerProblem)) != 1 || len(r.of(event.Refunded)) != 1 || len(r.of(event.PricesRefused)) != 1 {
		t.Errorf("told: %v", r.all())
	}
	g.settled("acme")
	g.stop() // with the problems in its log, which are not to be there elsewhere
}

// A configuration that cannot be started leaves prices and endpoints as they
// were; one that can moves the events to where it says.
func TestAReloadMovesTheEvents(t *testing.T) {
	t.Parallel()
	key := event.NewSecret()
	here, there := receive(t, "", key), receive(t, "", key)
	g := start(t, setup{caddyfile: telling(t, "notify webhook http://"+here.addr+" "+key)})
	account := g.account("acme", "500")
	here.gets(g, event.Granted, 1)
	moved := telling(t, "notify webhook http://"+there.addr+" "+key)
	taken, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // only occupies a port
	prices := read(t, g.path("pricing.yaml"))
	for i := range 4 { // Caddy starts its apps in any order; once ours is first, and has to give way
		g.write("pricing.yaml", strings.Replace(prices, "{per_image: 24}", "{per_image: 20}", 1))
		out := g.reconfigure(strings.Replace(moved, "\tbind {$FAREBOX_BIND:127.0.0.1}", "\tbind 127.0.0.1\n}\nhttp://"+taken.Addr().String()+" {\n\tbind 127.0.0.1\n", 1) + fmt.Sprintf("# %d\n", i))
		if out.code == 0 {
			t.Fatal("a configuration on a port in use was loaded")
		}
		g.write("pricing.yaml", prices)
		if a := g.post(account, "/v1/images", `{"prompt":"a pier"}`); a.cost() != "24" {
			t.Errorf("after a reload that failed a picture costs %s", a.cost())
		}
		g.grant("acme", "1", fmt.Sprint("still here", i))
		here.gets(g, event.Granted, 2+i)
	}
	if out := g.reconfigure(moved); out.code != 0 {
		t.Fatal(out.stderr)
	}
	g.grant("acme", "1", "there")
	there.gets(g, event.Granted, 1)
	if n := distinct(here.of(event.Granted)); n != 5 || distinct(there.of(event.Granted)) != 1 {
		t.Errorf("%d here, %v there", n, there.all())
	}
}
