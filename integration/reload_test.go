package integration

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/mockai"
)

func (g *gateway) reload(more ...string) output {
	g.t.Helper()
	out := g.exec(append([]string{"reload", "--config", "Caddyfile", "--adapter", "caddyfile", "--address", g.admin}, more...)...)
	// The server of the configuration before closes what it has accepted, without
	// an answer (net/http), and a POST is not sent again by itself.
	time.Sleep(100 * time.Millisecond)
	plain.CloseIdleConnections()
	return out
}

// edit replaces text in a file of the gateway.
func (g *gateway) edit(name, old, replacement string) {
	g.t.Helper()
	text := read(g.t, g.path(name))
	if !strings.Contains(text, old) {
		g.t.Fatalf("%s does not contain %q", name, old)
	}
	g.write(name, strings.Replace(text, old, replacement, 1))
}

// rest reads a stream to its end and returns how many words it brought.
func rest(events *bufio.Scanner) (words int, done bool) {
	for events.Scan() {
		if strings.Contains(events.Text(), `"delta":{"content":"`) && !strings.Contains(events.Text(), `"content":""`) {
			words++
		}
		done = done || events.Text() == "data: [DONE]"
	}
	return words, done
}

func TestReloadMidStream(t *testing.T) {
	t.Parallel()
	g := start(t, setup{mock: mockai.Options{Pace: 5 * time.Millisecond}})
	key := g.account("acme", "100")
	res, events := g.openStream(key, chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 11) // the first event names the role
	for i := range 3 {
		g.edit("Caddyfile", "	meter\n", fmt.Sprintf("	header X-Generation-%d yes\n	meter\n", i))
		if out := g.reload(); out.code != 0 {
			t.Fatalf("reload: %s", out.stderr)
		}
		a := g.post(key, chatPath, chatBody("demo-small"))
		if a.StatusCode != http.StatusOK || a.Header.Get(fmt.Sprintf("X-Generation-%d", i)) != "yes" {
			t.Fatalf("the new configuration: %s %v", a.Status, a.Header)
		}
	}
	words, done := rest(events)
	if words+10 != longTokens || !done || events.Err() != nil {
		t.Errorf("%d words after the reloads, done %v, %v", words, done, events.Err())
	}
	if cost := price("demo", helloTokens, longTokens); g.chargeOf("acme", res).Cost != credits(cost) {
		t.Errorf("%+v", g.chargeOf("acme", res))
	}
	g.has("acme", credits(100_000-price("demo", helloTokens, longTokens)-3*price("demo", helloTokens, usualTokens)))
}

// What stops while a stream runs waits for it, as grace_period says.
// Each configuration has its own registry: what the ledger reports goes to that of the
// configuration in force.
func TestMetricsGoOnAfterAReload(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "100")
	g.edit("Caddyfile", "	meter\n", "	header X-Generation 2\n	meter\n")
	if out := g.reload(); out.code != 0 {
		t.Fatalf("reload: %s", out.stderr)
	}
	g.post(key, chatPath, chatBody("gpt-5.4"))
	g.settled("acme")
	g.eventually("the new configuration counts commits, batches and charges", func() bool {
		text := g.metrics()
		for _, series := range []string{"caddy_meter_commit_batch_size_count", "caddy_meter_commit_seconds_count", "caddy_meter_hold_age_seconds_count"} {
			if !strings.Contains(text, series) || strings.Contains(text, series+" 0\n") {
				return false
			}
		}
		return true
	})
}

func TestShutdownWaitsForStreams(t *testing.T) {
	t.Parallel()
	g := start(t, setup{mock: mockai.Options{Pace: 3 * time.Millisecond}})
	res, events := g.openStream(g.account("acme", "100"), chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 11)
	g.signal(syscall.SIGTERM)
	words, done := rest(events)
	if words+10 != longTokens || !done {
		t.Errorf("%d words, done %v", words, done)
	}
	if got := res.Trailer.Get("Credits-Cost"); got != credits(price("demo", helloTokens, longTokens)) {
		t.Errorf("cost %q", got)
	}
	g.ended()
	g.run()
	g.has("acme", credits(100_000-price("demo", helloTokens, longTokens)))
}

func TestFailedReloadKeepsTheOldConfiguration(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	key := g.account("acme", "50")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // only occupies a port
	caddyfile, prices := read(t, g.path("Caddyfile")), read(t, g.path("pricing.yaml"))
	cost := price("demo", helloTokens, usualTokens)
	left := 50_000
	for _, tt := range []struct{ name, file, old, replacement, message string }{
		{"syntax", "Caddyfile", "	meter\n", "	meter {\n		max_bodi 1MB\n	}\n", "max_body"},
		{"price file", "pricing.yaml", "price: by_model", "price: by_modle", "pricing.yaml"},
		{"no price file", "Caddyfile", "pricing {$FAREBOX_PRICING:./pricing.yaml}", "pricing ./nothing.yaml", "nothing.yaml"},
		{"a port in use", "Caddyfile", "	bind {$FAREBOX_BIND:127.0.0.1}", "	bind 127.0.0.1\n}\nhttp://" + taken.Addr().String() + " {\n	bind 127.0.0.1\n", "address already in use"},
	} {
		if tt.file != "Caddyfile" { // an unchanged one is not loaded again
			g.edit("Caddyfile", "	meter\n", "	header X-Reloaded yes\n	meter\n")
		}
		g.edit(tt.file, tt.old, tt.replacement)
		if out := g.reload(); out.code == 0 || !strings.Contains(out.stderr+g.log.tail(10), tt.message) {
			t.Errorf("%s: exit %d\n%s", tt.name, out.code, out.stderr)
		}
		a := g.post(key, chatPath, chatBody("demo-small"))
		left -= cost
		if a.StatusCode != http.StatusOK || a.cost() != credits(cost) || a.Header.Get("X-Reloaded") != "" {
			t.Errorf("%s: %s cost %q %s", tt.name, a.Status, a.cost(), a.body)
		}
		g.has("acme", credits(left))
		if out := g.cli("account", "show", "acme"); out.code != 0 || !strings.Contains(out.stdout, credits(left)) {
			t.Errorf("%s: the command line: exit %d %s", tt.name, out.code, out.stderr)
		}
		g.write("Caddyfile", caddyfile)
		g.write("pricing.yaml", prices)
	}
	g.edit("Caddyfile", "	meter\n", "	header X-Reloaded yes\n	meter\n")
	if out := g.reload(); out.code != 0 {
		t.Fatalf("a good reload afterwards: %s", out.stderr)
	}
	if a := g.post(key, chatPath, chatBody("demo-small")); a.Header.Get("X-Reloaded") != "yes" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
}

func TestValidateBesideTheRunningServer(t *testing.T) {
	g := start(t, setup{})
	for _, dir := range []string{g.path("data"), g.path("elsewhere")} {
		cmd := g.command("validate", "--config", "Caddyfile", "--adapter", "caddyfile")
		cmd.Env = append(cmd.Env, "FAREBOX_DATA="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if _, err := os.Stat(g.path("elsewhere")); err == nil {
		t.Error("validate made a data directory")
	}
	g.edit("pricing.yaml", "price: by_model", "price: by_modle")
	if out := g.exec("validate", "--config", "Caddyfile", "--adapter", "caddyfile"); out.code == 0 || !strings.Contains(out.stderr, "by_modle") {
		t.Errorf("exit %d\n%s", out.code, out.stderr)
	}
}

func TestSecondProcessOnTheSameDirectory(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	cmd := g.command("run", "--config", "Caddyfile", "--adapter", "caddyfile")
	_, port, _ := net.SplitHostPort(freePort(t))
	cmd.Env = append(cmd.Env, "FAREBOX_ADMIN="+freePort(t), "FAREBOX_PORT="+port)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("process %d", g.process.Pid)) {
		t.Errorf("%v\n%s", err, out)
	}
	g.account("acme", "1") // the first one is none the worse
}

func TestPricesChangeLive(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	key := g.account("acme", "1000000")
	cost := func() string { return g.post(key, "/v1/images", `{"prompt":"a pier"}`).cost() }
	g.edit("pricing.yaml", "{per_image: 24}", "{per_image: 7}")
	g.eventually("the new price", func() bool { return cost() == "7" })
	if g.metric("caddy_meter_prices_loaded") != "1" {
		t.Error("caddy_meter_prices_loaded is not 1")
	}

	g.edit("pricing.yaml", "{per_image: 7}", "{per_imag: 1}")
	g.eventually("the wrong file is reported", func() bool { return strings.Contains(g.log.String(), "prices.rejected") })
	if got := cost(); got != "7" {
		t.Errorf("with a wrong file the price is %s", got)
	}
	if g.metric("caddy_meter_prices_loaded") != "0" {
		t.Error("caddy_meter_prices_loaded is not 0")
	}
	if out := g.cli("prices", "reload"); out.code != 2 || !strings.Contains(out.stderr, "per_imag") {
		t.Errorf("exit %d %s", out.code, out.stderr)
	}

	g.edit("pricing.yaml", "{per_imag: 1}", "{per_image: 9}")
	if out := g.cli("prices", "reload"); out.code != 0 {
		t.Errorf("exit %d %s", out.code, out.stderr)
	}
	if got := cost(); got != "9" {
		t.Errorf("after prices reload the price is %s", got)
	}
	g.edit("pricing.yaml", "decimals: 3", "decimals: 2")
	if out := g.cli("prices", "reload"); out.code != 2 || !strings.Contains(out.stderr, "decimals") {
		t.Errorf("exit %d %s", out.code, out.stderr)
	}
	if got := cost(); got != "9" {
		t.Errorf("after a refused reload the price is %s", got)
	}
}

// metric is the value of a series without labels, or of the first one whose text begins so.
func (g *gateway) metric(series string) string {
	g.t.Helper()
	for line := range strings.Lines(g.metrics()) {
		if rest, ok := strings.CutPrefix(line, series); ok {
			return rest[strings.LastIndexByte(rest, ' ')+1 : len(rest)-1]
		}
	}
	return ""
}
