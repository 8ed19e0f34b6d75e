package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/event"
)

// receiver takes webhooks, as a customer of the library of Standard Webhooks would.
type receiver struct {
	t      testing.TB
	addr   string
	srv    *httptest.Server
	mu     sync.Mutex
	keys   []string // each request must verify with every one of these
	got    []received
	answer func(n int, x received) int // of the nth request, from 1; 0 hangs; nil: 200
}

type received struct {
	id, kind string
	body     string
}

// receive starts a receiver, at an address or, with "", at any.
func receive(t testing.TB, addr string, keys ...string) *receiver {
	t.Helper()
	r := &receiver{t: t, keys: keys}
	r.open(addr)
	t.Cleanup(func() { r.srv.CloseClientConnections(); r.srv.Close() })
	return r
}

func (r *receiver) open(addr string) {
	r.t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.srv = &httptest.Server{Listener: l, Config: &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}}
	r.srv.Start()
	r.addr = l.Addr().String()
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	x := received{req.Header.Get("webhook-id"), gjson.GetBytes(body, "type").String(), string(body)}
	r.mu.Lock()
	for _, key := range r.keys {
		hook, err := standardwebhooks.NewWebhook(key)
		if err == nil {
			err = hook.Verify(body, req.Header)
		}
		if err != nil {
			r.t.Errorf("%s does not verify: %v", x.id, err)
		}
	}
	r.got = append(r.got, x)
	status := http.StatusOK
	if r.answer != nil {
		status = r.answer(len(r.got), x)
	}
	r.mu.Unlock()
	if status == 0 {
		<-req.Context().Done()
		return
	}
	w.WriteHeader(status)
}

func (r *receiver) set(answer func(int, received) int, keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer, r.keys = answer, keys
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// of are the events of one type.
func (r *receiver) of(kind string) (list []received) {
	for _, x := range r.all() {
		if x.kind == kind {
			list = append(list, x)
		}
	}
	return list
}

// distinct counts events: one whose delivery a reload has cut short comes again,
// under the same id.
func distinct(list []received) int {
	ids := map[string]bool{}
	for _, x := range list {
		ids[x.id] = true
	}
	return len(ids)
}

// gets waits for the nth event of a type.
func (r *receiver) gets(g *gateway, kind string, n int) received {
	g.t.Helper()
	var list []received
	g.eventually(fmt.Sprintf("%s, number %d", kind, n), func() bool { list = r.of(kind); return len(list) >= n })
	return list[n-1]
}

// telling is the shipped Caddyfile with the operator's API and these lines in the global option.
func telling(t testing.TB, lines ...string) string {
	t.Helper()
	text := strings.Replace(read(t, "../Caddyfile"), "\tmeter {\n", "\tmeter {\n\t\t"+strings.Join(lines, "\n\t\t")+"\n", 1)
	return strings.Replace(text, "\n\tmeter_dashboard\n", "\n\tmeter_dashboard operator\n", 1)
}

func (g *gateway) reconfigure(caddyfile string) output {
	g.t.Helper()
	g.write("Caddyfile", caddyfile)
	return g.reload()
}

// deliveries are what the command line lists.
func (g *gateway) deliveries(args ...string) []event.Delivery {
	g.t.Helper()
	out := g.cli(append([]string{"webhook", "deliveries"}, args...)...)
	var l struct{ Data []event.Delivery }
	if err := json.Unmarshal([]byte(out.stdout), &l); err != nil {
		g.t.Fatalf("%v: %s%s", err, out.stdout, out.stderr)
	}
	return l.Data
}

// endpoint is the name of the one of a kind.
func (g *gateway) endpoint(kind string) string {
	g.t.Helper()
	return gjson.Get(g.cli("webhook", "list").stdout, `data.#(kind=="`+kind+`").name`).String()
}

// An event that a receiver could not take comes again under the same id; a new
// secret comes in without an event that cannot be verified.
func TestWebhookRetriesAndSecrets(t *testing.T) {
	t.Parallel()
	oldKey, newKey := event.NewSecret(), event.NewSecret()
	r := receive(t, "", oldKey)
	fails := 0
	r.set(func(_ int, x received) int {
		if x.kind == event.Granted && fails == 0 {
			fails++
			return 500
		}
		return 200
	}, oldKey)
	hook := "notify webhook http://" + r.addr + "/hooks "
	g := start(t, setup{caddyfile: telling(t, hook+oldKey)})
	began := time.Now()
	g.account("acme", "500")
	first := r.gets(g, event.Granted, 1)
	if data := gjson.Get(first.body, "data"); data.Get("account").String() != "acme" || data.Get("credits").String() != "500" || data.Get("unit").String() != "credits" || !gjson.Get(first.body, "timestamp").Exists() {
		t.Errorf("%s", first.body)
	}
	again := r.gets(g, event.Granted, 2)
	if took := time.Since(began); again != first || took < 3*time.Second || took > 12*time.Second {
		t.Errorf("after %s: %+v, first %+v", took, again, first)
	}
	var d event.Delivery
	g.eventually("the delivery is booked", func() bool {
		for _, d = range g.deliveries("--state", "delivered") {
			if d.Event == first.id {
				return true
			}
		}
		return false
	})
	if d.Attempts != 2 || d.Status != 200 || d.Error != "" || string(d.Body) != first.body {
		t.Errorf("%+v", d)
	}
	g.cli("webhook", "redeliver", d.ID).want(t, "redeliver", 0, first.id)
	if by := r.gets(g, event.Granted, 3); by != first {
		t.Errorf("redelivered %+v", by)
	}
	g.cli("webhook", "redeliver", "dlv_00").want(t, "no delivery has this id", 5, "7 days")

	r.set(nil, oldKey, newKey) // a receiver that knows only one of them takes it, too
	if out := g.reconfigure(telling(t, hook+newKey+" "+oldKey)); out.code != 0 {
		t.Fatal(out.stderr)
	}
	g.grant("acme", "1", "rotating")
	r.gets(g, event.Granted, 4)
	r.set(nil, newKey)
	if out := g.reconfigure(telling(t, hook+newKey)); out.code != 0 {
		t.Fatal(out.stderr)
	}
	g.cli("webhook", "test", g.endpoint("webhook")).want(t, "test", 0, "evt_test-")
	r.gets(g, event.Test, 1)
	if n := len(r.of(event.Granted)); n != 4 {
		t.Errorf("%d times granted", n)
	}
	g.cli("webhook", "test", "webhook-nowhere").want(t, "test nothing", 2, "webhook list")
	g.cli("webhook", "secret").want(t, "secret", 0, event.SecretPrefix)
}

// A receiver that hangs delays no other; a receiver that responds 410 gets
// nothing more, until it is enabled, or has another address.
func TestReceiversThatHangOrAreGone(t *testing.T) {
	t.Parallel()
	key := event.NewSecret()
	hangs, gone, well := receive(t, "", key), receive(t, "", key), receive(t, "", key)
	hangs.set(func(int, received) int { return 0 }, key)
	gone.set(func(int, received) int { return http.StatusGone }, key)
	only := " " + key + " only " + event.Granted
	lines := []string{"notify webhook http://" + hangs.addr + only, "notify webhook http://" + gone.addr + only, "notify webhook http://" + well.addr + only}
	g := start(t, setup{caddyfile: telling(t, lines...)})
	g.account("acme", "5")
	well.gets(g, event.Granted, 1)
	hangs.gets(g, event.Granted, 1)
	gone.gets(g, event.Granted, 1)
	name := ""
	g.eventually("it is off", func() bool {
		name = gjson.Get(g.cli("webhook", "list").stdout, "data.#(off==true).name").String()
		return name != ""
	})
	before := len(gone.all())
	for i := range 3 {
		g.grant("acme", "1", fmt.Sprint("more", i))
	}
	well.gets(g, event.Granted, 4)
	g.cli("webhook", "test", name).want(t, "test one that is off", 2, name)
	gone.set(nil, key)
	if n := len(gone.all()); n != before {
		t.Errorf("an endpoint that is off got %d events", n-before)
	}
	g.cli("webhook", "enable", "nothing").want(t, "enable nothing", 2, "webhook list")
	g.cli("webhook", "enable", name).want(t, "enable", 0, "!off")
	g.grant("acme", "1", "on again")
	g.eventually("it is on again", func() bool { return len(gone.all()) == before+1 })
	if n := len(hangs.all()); n != 1 { // within its 15 seconds
		t.Errorf("the hanging one was sent %d", n)
	}
	stopping := time.Now()
	g.booksInOrder()
	g.stop()
	if took := time.Since(stopping); took > 12*time.Second { // not the hanging one's 15
		t.Errorf("stopping took %s", took)
	}
}

// A committed event is delivered even if the process dies before the delivery.
func TestEventsSurviveAKill(t *testing.T) {
	t.Parallel()
	key := event.NewSecret()
	r := receive(t, "", key)
	r.srv.Close() // no server listens
	g := start(t, setup{caddyfile: telling(t, "notify webhook http://"+r.addr+" "+key+" only "+event.Granted)})
	g.account("acme", "5")
	for i := range 4 {
		g.grant("acme", "1", fmt.Sprint("pay", i))
	}
	g.kill()
	want := map[string]bool{}
	g.run()
	for _, d := range g.deliveries("--state", "pending") {
		want[d.Event] = true
	}
	if len(want) != 5 {
		t.Errorf("%d events wait after the kill", len(want))
	}
	r.open(r.addr)
	g.eventually("all have come", func() bool { return len(r.all()) >= len(want) })
	g.eventually("none waits", func() bool { return len(g.deliveries("--state", "pending")) == 0 })
	for _, x := range r.all() {
		if !want[x.id] {
			t.Errorf("%s was not to come, or came twice", x.id)
		}
		delete(want, x.id)
	}
	if len(want) > 0 {
		t.Errorf("lost: %v", want)
	}

	// In flight, and not answered when the process dies.
	r.set(func(int, received) int { return 0 }, key)
	g.grant("acme", "1", "in flight")
	torn := r.gets(g, event.Granted, 6)
	r.set(nil, key)
	g.kill()
	g.run()
	if again := r.gets(g, event.Granted, 7); again != torn {
		t.Errorf("%+v comes after %+v", again, torn)
	}
	if n := len(r.all()); n != 7 {
		t.Errorf("%d requests", n)
	}
}

// An account's own webhook: where it may lead is the operator's to say, and it
// gets that account's events.
func TestAccountsOwnWebhook(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: telling(t)})
	mine, theirs := g.account("acme", "50"), g.account("other", "50")
	put := func(key, url string) answer {
		return g.send(http.MethodPut, "/_meter/v1/webhook", `{"url":`+fmt.Sprintf("%q", url)+`}`, "X-Api-Key", key)
	}
	r := receive(t, "")
	for _, url := range []string{"http://" + r.addr, "https://" + r.addr, "https://localhost:1/", "https://[::1]/", "https://10.0.0.8/x", "http://example.com/"} {
		if a := put(mine, url); a.StatusCode != http.StatusBadRequest && !strings.Contains(url, "localhost") {
			t.Errorf("%s: %s %s", url, a.Status, a.body)
		}
	}
	g.cli("webhook", "list").want(t, "a name is looked at when it is connected to", 0, "localhost:1")
	g.grant("acme", "1", "to localhost")
	g.eventually("it leads nowhere", func() bool {
		d := g.deliveries("--state", "pending")
		return len(d) == 1 && strings.Contains(d[0].Error, "private network")
	})

	if out := g.reconfigure(telling(t, "account_webhooks private")); out.code != 0 {
		t.Fatal(out.stderr)
	}
	a := put(mine, "http://"+r.addr+"/mine")
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	r.set(nil, gjson.Get(a.body, "secret").String())
	g.grant("other", "1", "not mine")
	g.grant("acme", "7", "mine")
	if x := r.gets(g, event.Granted, 1); gjson.Get(x.body, "data.credits").String() != "7" || gjson.Get(x.body, "data.account").String() != "acme" {
		t.Errorf("%s", x.body)
	}
	shown := g.send(http.MethodGet, "/_meter/v1/webhook", "", "X-Api-Key", mine)
	if gjson.Get(shown.body, "deliveries.#").Int() != 1 || gjson.Get(shown.body, "deliveries.0.account").String() != "acme" {
		t.Errorf("%s", shown.body)
	}
	if a := g.send(http.MethodGet, "/_meter/v1/webhook", "", "X-Api-Key", theirs); gjson.Get(a.body, "url").String() != "" || gjson.Get(a.body, "deliveries.#").Int() != 0 {
		t.Errorf("the other account sees %s", a.body)
	}
	if a := g.send(http.MethodDelete, "/_meter/v1/webhook", "", "X-Api-Key", mine); a.StatusCode != http.StatusOK {
		t.Errorf("%s %s", a.Status, a.body)
	}
	g.grant("acme", "1", "after it")
	if out := g.reconfigure(telling(t, "account_webhooks off")); out.code != 0 {
		t.Fatal(out.stderr)
	}
	if a := put(mine, "https://example.com/hook"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("off: %s %s", a.Status, a.body)
	}
	if n := len(r.all()); n != 1 {
		t.Errorf("%d events", n)
	}
}
