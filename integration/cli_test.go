package integration

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// want checks the end of a command and what it says; texts that begin with "!" must not be there.
func (o output) want(t testing.TB, what string, code int, texts ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("%s: exit %d, want %d\n%s%s", what, o.code, code, o.stdout, o.stderr)
	}
	for _, text := range texts {
		unwanted, not := strings.CutPrefix(text, "!")
		if strings.Contains(o.stdout+o.stderr, unwanted) == not {
			t.Errorf("%s: %q\n%s%s", what, text, o.stdout, o.stderr)
		}
	}
	if code != 0 && o.stderr == "" {
		t.Errorf("%s fails without a word", what)
	}
}

func TestCommandLine(t *testing.T) {
	g := start(t, setup{})
	created := g.cli("account", "create", "acme", "--plan", "pro", "--name", "Acme Studio")
	created.want(t, "create", 0)
	if !gjson.Valid(created.stdout) || gjson.Get(created.stdout, "available").String() != "3000" {
		t.Errorf("not the account as JSON: %s", created.stdout)
	}
	g.cli("account", "create", "acme", "--table").want(t, "create again", 4, "exists")
	g.cli("account", "create", "b/c").want(t, "bad id", 2, "b/c")
	g.cli("account", "create", "beta", "--plan", "gold").want(t, "no such plan", 2, "gold", "free", "pro")
	g.cli("account", "show", "missing").want(t, "show a missing account", 5, "account")
	g.cli("account", "show", "acme", "--table").want(t, "a table", 0, "Acme Studio", "3000 credits", "!{")
	g.cli("account", "list").want(t, "list", 0, `"acme"`)

	g.cli("grant", "acme", "500").want(t, "grant without a reason", 2, "--reason")
	g.cli("grant", "acme", "-5", "--reason", "x").want(t, "what looks like a flag", 2, "-5", "usage: farebox meter grant")
	g.cli("grant").want(t, "no arguments", 2, "usage: farebox meter grant")
	g.cli("journal", "acme", "--limit", "many").want(t, "a wrong flag", 2, "many")
	g.cli("grant", "acme", "--reason", "x", "--", "-5").want(t, "negative", 2, "-5")
	g.cli("grant", "acme", "0", "--reason", "x").want(t, "nothing", 2)
	g.cli("grant", "acme", "1.2345", "--reason", "x").want(t, "too many decimals", 2, "1.2345")
	g.cli("grant", "acme", "99999999999999999999", "--reason", "x").want(t, "too much", 2)
	g.cli("grant", "acme", "--pack", "pack-9", "--reason", "x").want(t, "no such pack", 2, "pack-9")
	g.cli("grant", "missing", "5", "--reason", "x").want(t, "grant to a missing account", 5, "account")

	grant := g.cli("grant", "acme", "--pack", "pack-1000", "--reason", "invoice 2041", "--idempotency-key", "in_2041")
	grant.want(t, "grant", 0)
	if r := gjson.Parse(grant.stdout); r.Get("granted").String() != "1000" || r.Get("available").String() != "4000" || r.Get("replayed").Bool() {
		t.Errorf("%s", grant.stdout)
	}
	again := g.cli("grant", "acme", "--pack", "pack-1000", "--reason", "invoice 2041", "--idempotency-key", "in_2041")
	again.want(t, "the same grant", 0)
	if r := gjson.Parse(again.stdout); !r.Get("replayed").Bool() || r.Get("grant.id").String() != gjson.Get(grant.stdout, "grant.id").String() {
		t.Errorf("%s", again.stdout)
	}
	g.cli("grant", "acme", "7", "--reason", "invoice 2041", "--idempotency-key", "in_2041").want(t, "another grant under the same key", 4)
	g.has("acme", "4000")

	key := g.cli("key", "create", "acme", "--name", "laptop", "--member", "mira")
	key.want(t, "key create", 0)
	secret := gjson.Get(key.stdout, "secret").String()
	if a := g.post(secret, "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusOK {
		t.Errorf("%s", a.Status)
	}
	g.cli("key", "list", "acme").want(t, "key list", 0, "laptop", "mira", "!"+secret)
	g.cli("key", "create", "missing").want(t, "a key for a missing account", 5)
	g.cli("key", "revoke", "acme", "key_0").want(t, "no API key has this id", 5)
	g.cli("key", "revoke", "acme", gjson.Get(key.stdout, "id").String()).want(t, "key revoke", 0)
	if a := g.post(secret, "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked key: %s", a.Status)
	}
	g.settled("acme")
	g.cli("journal", "acme").want(t, "journal", 0, `"kind": "settle"`, `"operation": "image"`, "invoice 2041")
	g.cli("history", "acme").want(t, "the old name", 0, `"kind": "settle"`, "write: farebox meter journal")
	g.cli("journal", "acme", "--table", "--limit", "1").want(t, "short journal", 0, "SEQ", "settle", "!grant")
	g.cli("verify", "--table").want(t, "verify", 0, "hash chain ok")
	g.has("acme", "3976")
}

func TestPricesCommands(t *testing.T) {
	g := start(t, setup{})
	ok := g.exec("meter", "prices", "check", "pricing.yaml")
	ok.want(t, "check", 0)
	if !gjson.Get(ok.stdout, "ok").Bool() || len(gjson.Get(ok.stdout, "digest").String()) != 64 {
		t.Errorf("%s", ok.stdout)
	}
	g.exec("meter", "prices", "check", "pricing.yaml", "--table").want(t, "check as a table", 0, "pricing.yaml: ok", "8 operations")
	g.write("wrong.yaml", strings.Replace(read(t, g.path("pricing.yaml")), "per_image: 24", "per_imag: 24", 1))
	wrong := g.exec("meter", "prices", "check", "wrong.yaml")
	wrong.want(t, "check a wrong file", 2, "per_imag")
	if p := gjson.Get(wrong.stdout, "problems.0"); p.Get("line").Int() == 0 || gjson.Get(wrong.stdout, "ok").Bool() {
		t.Errorf("%s", wrong.stdout)
	}
	g.exec("meter", "prices", "check", "nothing.yaml").want(t, "check nothing", 2, "nothing.yaml")

	body := chatBody("gpt-5.4", `"max_tokens":1000`, `"stream":true`)
	explained := g.exec("meter", "prices", "explain", "POST", chatPath, "-d", body)
	explained.want(t, "explain", 0)
	hold := gjson.Get(explained.stdout, "hold").String()
	if a := g.post(g.account("acme", "50"), chatPath, body); a.Header.Get("Credits-Held") != hold {
		t.Errorf("explained %q, held %q", hold, a.Header.Get("Credits-Held"))
	}
	g.exec("meter", "prices", "explain", "POST", "/v1/images", "-d", `{"n":2,"quality":"hd"}`).want(t, "explain an image", 0, `"hold": "96"`)
	g.exec("meter", "prices", "explain", "POST", chatPath, "-d", chatBody("gpt-9")).want(t, "explain an unknown model", 2, "gpt-9")
	g.exec("meter", "prices", "explain", "POST", "/v1/images", "-d", `{"n":99}`).want(t, "explain too many", 2, "10")
	g.exec("meter", "prices", "explain", "POST", "/nowhere").want(t, "explain an unknown path", 2)
}

// Without a server: what only reads works on the data directory, the rest says what to do.
func TestCommandsWithoutAServer(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	g.post(key, "/v1/images", `{"prompt":"x"}`)
	g.has("acme", "26")
	offline := []string{"--data", g.path("data"), "--pricing", g.path("pricing.yaml")}
	g.cli(append([]string{"account", "show", "acme"}, offline...)...).want(t, "show, by the server", 0, `"26"`)
	g.stop()
	for _, args := range [][]string{{"account", "show", "acme"}, {"account", "list"}, {"journal", "acme"}, {"verify"}, {"key", "list", "acme"}} {
		what := strings.Join(args, " ")
		g.cli(args...).want(t, what, 3, g.admin, "farebox run")
		g.cli(append(args, offline...)...).want(t, what+" --data", 0)
	}
	g.cli(append([]string{"account", "show", "missing"}, offline...)...).want(t, "missing", 5, "account")
	g.cli(append([]string{"account", "show", "acme"}, offline...)...).want(t, "acme", 0, `"available": "26"`)
	g.cli("account", "show", "acme", "--data", g.path("nowhere"), "--pricing", g.path("pricing.yaml")).want(t, "no such directory", 5, "nowhere")
	g.cli("account", "show", "acme", "--data", g.path("data"), "--pricing", g.path("nothing.yaml")).want(t, "no price file", 2, "nothing.yaml")
	for _, args := range [][]string{{"grant", "acme", "5", "--reason", "x"}, {"account", "create", "beta"}, {"key", "create", "acme"}, {"prices", "reload"}} {
		g.cli(append(args, offline...)...).want(t, strings.Join(args, " "), 3, g.admin)
	}
	g.run()
	g.has("acme", "26")
}

// demo starts the demo, which needs nothing, and returns the key that it shows.
func demo(t *testing.T, flags ...string) (g *gateway, key string) {
	t.Helper()
	g = &gateway{t: t, dir: t.TempDir(), addr: freePort(t), admin: freePort(t), upstream: httptest.NewServer(http.NotFoundHandler())}
	t.Cleanup(g.upstream.Close) // no test uses it: the demo has its own
	g.launch(append([]string{"meter", "demo", "--listen", g.addr, "--address", g.admin, "--data", g.path("demo")}, flags...)...)
	t.Cleanup(g.kill)
	g.eventually("the demo shows a key", func() bool {
		_, rest, ok := strings.Cut(g.log.String(), "export KEY=")
		if ok {
			key, _, _ = strings.Cut(rest, "\n")
		}
		return ok
	})
	return g, key
}

func TestDemo(t *testing.T) {
	t.Parallel()
	g, key := demo(t)
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusOK || a.cost() != credits(price("demo", helloTokens, usualTokens)) {
		t.Errorf("%s %s", a.Status, a.body)
	}
	statuses := ""
	for range 5 {
		statuses += g.post(key, "/v1/images", `{"prompt":"a pier"}`).Status[:3] + " "
	}
	if statuses != "200 200 200 200 402 " {
		t.Errorf("five pictures: %s", statuses)
	}
	g.booksInOrder()
}

// With a clock of its own, the demo shows what comes later.
func TestDemoClock(t *testing.T) {
	t.Parallel()
	g, key := demo(t, "--clock")
	picture := func() int { return g.post(key, "/v1/images", `{"prompt":"a pier"}`).StatusCode }
	for picture() == http.StatusOK { // until the day's allowance is used up
	}
	out := g.cli("advance", "1", "day")
	if out.code != 0 || !strings.Contains(out.stdout, time.Now().Add(24*time.Hour).UTC().Format("2006-01-02")) {
		t.Errorf("advance 1 day: exit %d %s%s", out.code, out.stdout, out.stderr)
	}
	if got := picture(); got != http.StatusOK {
		t.Errorf("on the next day: %d", got)
	}
	if out := g.cli("advance", "14 months"); out.code != 0 {
		t.Errorf("advance 14 months: exit %d %s", out.code, out.stderr)
	}
	if got := picture(); got != http.StatusOK {
		t.Errorf("in the year after: %d", got)
	}
	if out := g.cli("advance", "a while"); out.code == 0 || !strings.Contains(out.stderr, `"90 days"`) {
		t.Errorf("advance a while: exit %d %s", out.code, out.stderr)
	}
	g.booksInOrder()

	usual, _ := demo(t)
	if out := usual.cli("advance", "1 day"); out.code == 0 || !strings.Contains(out.stderr, "demo --clock") {
		t.Errorf("advance without a clock: exit %d %s", out.code, out.stderr)
	}
}
