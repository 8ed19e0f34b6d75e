package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// A directory without a ledger is a mistake: a wrong path, or a volume that is not
// mounted. It must not become an empty ledger.
func TestAStartNeedsALedger(t *testing.T) {
	g := start(t, setup{})
	g.account("acme", "50")
	g.stop()
	for what, prepare := range map[string]func(dir string) error{
		"does not exist":           func(string) error { return nil },
		"is empty":                 func(dir string) error { return os.Mkdir(dir, 0o700) },
		"has files, but no ledger": func(dir string) error { return os.Mkdir(dir+"-x", 0o700) },
	} {
		dir := g.path(strings.ReplaceAll(what[:5], " ", "-"))
		if err := prepare(dir); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(what, "has") {
			if err := os.MkdirAll(filepath.Join(dir, "lost+found"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		before := listing(t, filepath.Dir(dir))
		g.also = []string{"FAREBOX_DATA=" + dir}
		out := g.exec("run", "--config", "Caddyfile", "--adapter", "caddyfile")
		for _, want := range []string{"there is no ledger here", dir + " " + what, "farebox meter init --data " + dir} {
			if out.code == 0 || !strings.Contains(out.stderr, want) {
				t.Errorf("%s: exit %d, no %q in %s", what, out.code, want, out.stderr)
			}
		}
		if out := g.exec("validate", "--config", "Caddyfile", "--adapter", "caddyfile"); out.code != 0 {
			t.Errorf("%s: validate: %s", what, out.stderr)
		}
		if after := listing(t, filepath.Dir(dir)); after != before {
			t.Errorf("%s: the start left files:\n%s\nbefore:\n%s", what, after, before)
		}
	}
	g.cli("init", "--data", g.path("does")).want(t, "init", 0, "created the ledger ld_")
	g.cli("init", "--data", g.path("does")).want(t, "init again", 4, "there is a ledger already")
	g.cli("account", "list", "--data", g.path("nowhere")).want(t, "reading a directory without a ledger", 5, "there is no ledger here")
	g.also = nil
	g.run()
	if got := g.log.String(); !strings.Contains(got, `"msg":"ledger.opened"`) || !strings.Contains(got, `"accounts":1`) {
		t.Errorf("the start does not say which ledger it is:\n%s", g.log.tail(10))
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && !strings.Contains(path, "/xdg") {
			fmt.Fprintln(&b, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A backup is a copy of the same ledger; a directory whose identity file belongs to
// another ledger is mixed up.
func TestALedgerKeepsItsID(t *testing.T) {
	g := start(t, setup{})
	g.account("acme", "50")
	id := g.ledgerID()
	if len(id) != len("ld_")+26 {
		t.Fatalf("the ledger's id is %q", id)
	}
	g.cli("backup", g.path("copy")).want(t, "backup", 0, id)
	g.stop()
	g.cli("restore", g.path("copy"), "--data", g.path("restored")).want(t, "restore", 0, "verified")
	g.also = []string{"FAREBOX_DATA=" + g.path("restored")}
	g.run()
	if got := g.ledgerID(); got != id {
		t.Errorf("the restored ledger is %s, its original %s", got, id)
	}
	g.stop()
	// A ledger of a version that knew no identity file gets one.
	if err := os.Remove(g.path("restored/LEDGER")); err != nil {
		t.Fatal(err)
	}
	g.run()
	if got := gjson.Get(read(t, g.path("restored/LEDGER")), "id").Str; got != id {
		t.Errorf("the identity file names %q", got)
	}
	g.stop()
	g.cli("init", "--data", g.path("other")).want(t, "init", 0, "created")
	if err := os.Rename(g.path("other/LEDGER"), g.path("restored/LEDGER")); err != nil {
		t.Fatal(err)
	}
	out := g.exec("run", "--config", "Caddyfile", "--adapter", "caddyfile")
	if out.code == 0 || !strings.Contains(out.stderr, "mixed up") {
		t.Errorf("a mixed-up directory: exit %d, %s", out.code, out.stderr)
	}
}

func (g *gateway) ledgerID() string {
	g.t.Helper()
	var h struct {
		Ledger struct{ ID string }
	}
	g.must(g.ask(http.MethodGet, "/meter/health", nil, &h))
	return h.Ledger.ID
}

// While a gateway runs, its directory may be deleted, unmounted (which looks like
// deleted) or replaced. From then on it gives no answer away.
func TestADirectoryThatVanishesStopsPaidRequests(t *testing.T) {
	for what, vanish := range map[string]func(dir string) error{
		"deleted": os.RemoveAll,
		"replaced": func(dir string) error {
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			return os.CopyFS(dir, os.DirFS(dir+".old"))
		},
	} {
		t.Run(what, func(t *testing.T) {
			g := start(t, setup{})
			key := g.account("acme", "50")
			if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusOK {
				t.Fatal(a.Status, a.body)
			}
			g.settled("acme")
			if err := vanish(g.path("data")); err != nil {
				t.Fatal(err)
			}
			vanished := listing(t, g.dir)
			time.Sleep(600 * time.Millisecond)
			served := g.mock.Requests()
			for range 20 {
				if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("%s %s", a.Status, a.body)
				}
			}
			if n := g.mock.Requests() - served; n != 0 {
				t.Errorf("%d requests went upstream", n)
			}
			res, err := http.Get("http://" + g.admin + "/meter/health")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("health: %s", res.Status)
			}
			if !strings.Contains(g.log.String(), "the data directory is gone") {
				t.Error("the log does not tell the operator")
			}
			time.Sleep(3 * time.Second) // a flush
			if now := listing(t, g.dir); now != vanished {
				t.Errorf("files were written after the directory had vanished:\n%s\nbefore:\n%s", now, vanished)
			}
			g.stop()
			g.log.forget() // it reported the problem, as it should
		})
	}
}

// A data directory that is moved and comes back is the same one.
func TestADirectoryThatComesBackIsUsedAgain(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	if err := os.Rename(g.path("data"), g.path("away")); err != nil {
		t.Fatal(err)
	}
	g.eventually("paid requests are refused", func() bool {
		return g.post(key, chatPath, chatBody("demo-small")).StatusCode == http.StatusServiceUnavailable
	})
	if err := os.Rename(g.path("away"), g.path("data")); err != nil {
		t.Fatal(err)
	}
	g.eventually("paid requests are served again", func() bool {
		return g.post(key, chatPath, chatBody("demo-small")).StatusCode == http.StatusOK
	})
	g.log.forget()
}

func TestAReloadCannotChangeTheLedger(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	g.cli("init", "--data", g.path("other")).want(t, "init", 0, "created")
	g.also = []string{"FAREBOX_DATA=" + g.path("other")}
	out := g.exec("reload", "--config", "Caddyfile", "--adapter", "caddyfile", "--address", g.admin)
	g.also = nil
	if out.code == 0 || !strings.Contains(out.stderr, "a reload cannot change the ledger") {
		t.Errorf("exit %d, %s", out.code, out.stderr)
	}
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusOK {
		t.Errorf("after the refused reload: %s %s", a.Status, a.body)
	}
}

// Listeners share their port. A second process, started by mistake, must not open
// its own before it has the ledger.
func TestASecondProcessTakesNoTraffic(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "100000")
	var refused, failed, served atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // each request opens a connection
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+chatPath, strings.NewReader(chatBody("demo-small")))
				if err != nil {
					failed.Add(1)
					continue
				}
				req.Header.Set("Authorization", "Bearer "+key)
				res, err := client.Do(req)
				switch {
				case err != nil:
					failed.Add(1)
				case res.StatusCode != http.StatusOK:
					refused.Add(1)
				default:
					served.Add(1)
				}
				if err == nil {
					_ = res.Body.Close()
				}
			}
		})
	}
	for range 8 {
		if out := g.exec("run", "--config", "Caddyfile", "--adapter", "caddyfile"); out.code == 0 || !strings.Contains(out.stderr, "the data directory is in use") {
			t.Errorf("the second process: exit %d, %s", out.code, out.stderr)
		}
	}
	close(stop)
	clients.Wait()
	if failed.Load()+refused.Load() > 0 || served.Load() < 100 {
		t.Errorf("%d connections failed, %d requests were refused, %d were served", failed.Load(), refused.Load(), served.Load())
	}
	if out := g.exec("validate", "--config", "Caddyfile", "--adapter", "caddyfile"); out.code != 0 {
		t.Errorf("validate next to a running gateway: exit %d, %s", out.code, out.stderr)
	}
	t.Logf("%d requests were served while 8 processes were started by mistake", served.Load())
}

// Probes need no key, on the admin endpoint, on a site of the operator's choice and
// where the portal is; and the version is that of the binary.
func TestHealthIsAProbe(t *testing.T) {
	g := start(t, setup{caddyfile: `{
	admin {$FAREBOX_ADMIN}
	meter {
		store badger {$FAREBOX_DATA}
		pricing {$FAREBOX_PRICING}
	}
}
:{$FAREBOX_PORT} {
	bind 127.0.0.1
	meter_health {
		path /healthz
	}
	meter_dashboard
	meter
	reverse_proxy {$FAREBOX_UPSTREAM}
}
`})
	get := func(url string) (int, string) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	admin, site := "http://"+g.admin+"/meter/health", "http://"+g.addr+"/healthz"
	for _, url := range []string{admin, site} {
		status, body := get(url)
		if status != http.StatusOK || !gjson.Get(body, "ok").Bool() || gjson.Get(body, "version").Str != testVersion {
			t.Errorf("%s: %d %s", url, status, body)
		}
		for _, part := range []string{"ledger", "directory", "clock", "prices", "events"} {
			if p := gjson.Get(body, `parts.#(name="`+part+`")`); p.Get("status").Str != "ok" || p.Get("text").Str == "" {
				t.Errorf("%s: the part %s is %s", url, part, p.Raw)
			}
		}
	}
	if out := g.exec("version"); !strings.Contains(out.stdout, "Farebox "+testVersion+", Caddy v") {
		t.Errorf("farebox version prints %q", out.stdout)
	}
	if out := g.cli("doctor"); out.code != 0 {
		t.Errorf("doctor: %s%s", out.stdout, out.stderr)
	}

	// A price file with an error, or none at all: requests go on, an operator is needed.
	prices := read(t, g.path("pricing.yaml"))
	g.write("pricing.yaml", strings.Replace(prices, "version: 1", "version: 1\nprise: 5", 1))
	unwell := func(part, want string) {
		t.Helper()
		g.eventually(part+" says: "+want, func() bool {
			status, body := get(admin)
			p := gjson.Get(body, `parts.#(name="`+part+`")`)
			return status == http.StatusOK && !gjson.Get(body, "ok").Bool() && p.Get("status").Str == "warning" && strings.Contains(p.Get("text").Str, want)
		})
		if out := g.cli("doctor", "--table"); out.code != 1 || !strings.Contains(out.stdout, want) {
			t.Errorf("doctor, with %s: exit %d\n%s", want, out.code, out.stdout)
		}
	}
	unwell("prices", "unknown key")
	if err := os.Remove(g.path("pricing.yaml")); err != nil {
		t.Fatal(err)
	}
	unwell("prices", "there is no price file")
	if !strings.Contains(g.log.String(), "there is no price file") {
		t.Error("the log does not say that the price file is gone")
	}
	g.write("pricing.yaml", prices)
	g.eventually("the price file is well again", func() bool { _, body := get(admin); return gjson.Get(body, "ok").Bool() })

	// A ledger that cannot be written: not ready, but alive.
	if err := os.Rename(g.path("data"), g.path("away")); err != nil {
		t.Fatal(err)
	}
	g.eventually("the gateway is not ready", func() bool { status, _ := get(site); return status == http.StatusServiceUnavailable })
	for url, want := range map[string]int{
		admin: 503, admin + "/live": 200, site + "/live": 200,
		"http://" + g.addr + "/_meter/healthz": 503, "http://" + g.addr + "/_meter/readyz": 503, "http://" + g.addr + "/_meter/livez": 200,
	} {
		if status, body := get(url); status != want || !strings.HasPrefix(body, "{") {
			t.Errorf("%s: %d %s, want %d", url, status, body, want)
		}
	}
	if _, body := get("http://" + g.addr + "/_meter/healthz"); strings.Contains(body, g.dir) {
		t.Errorf("the portal's probe tells everyone: %s", body)
	}
	if out := g.cli("doctor", "--table"); out.code != 1 || !strings.Contains(out.stdout, "the data directory is gone") {
		t.Errorf("doctor, without the data directory: exit %d\n%s", out.code, out.stdout)
	}
	if err := os.Rename(g.path("away"), g.path("data")); err != nil {
		t.Fatal(err)
	}
	g.eventually("the gateway is ready again", func() bool { status, _ := get(site); return status == http.StatusOK })
	g.log.forget()
}

// Without --data, init finds the directory that the Caddyfile next to it names.
func TestInitReadsTheConfiguration(t *testing.T) {
	g := start(t, setup{})
	g.stop()
	if err := os.RemoveAll(g.data); err != nil {
		t.Fatal(err)
	}
	g.exec("meter", "init").want(t, "init", 0, "created the ledger ld_", g.data)
	g.exec("meter", "init").want(t, "again", 4, "already", g.data)
	g.exec("meter", "init", "--config", "nothing").want(t, "no such file", 2, "nothing", "--data")
	g.run()
}
