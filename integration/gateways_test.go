package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/mockai"
	"github.com/farebox-dev/farebox/internal/pgtest"
	"github.com/farebox-dev/farebox/meter/event"
)

// gateways starts several that share a ledger in a database of their own.
func gateways(t *testing.T, n int, mock mockai.Options, settings ...string) (all []*gateway, server *pgtest.Server) {
	t.Helper()
	return gatewaysWith(t, read(t, "../Caddyfile"), n, mock, settings...)
}

func gatewaysWith(t *testing.T, config string, n int, mock mockai.Options, settings ...string) (all []*gateway, server *pgtest.Server) {
	t.Helper()
	server = pgtest.Start(t, settings...)
	config = strings.Replace(config, "store badger {$FAREBOX_DATA:./data/meter}", "store postgres {$FAREBOX_DATA}", 1)
	if !strings.Contains(config, "store postgres") {
		t.Fatal("the Caddyfile has changed")
	}
	for i := range n {
		all = append(all, start(t, setup{caddyfile: config, data: server.DSN("farebox"), join: i > 0, mock: mock}))
	}
	return all, server
}

// Two gateways share one account: together they serve exactly what it can pay, and what
// one of them does is in force on the other within a second.
func TestGatewaysShareALedger(t *testing.T) {
	t.Parallel()
	all, _ := gateways(t, 2, mockai.Options{}, "fsync=off")
	a, b := all[0], all[1]
	cost := price("demo", helloTokens, usualTokens)
	key := a.account("acme", credits(60*cost)) // of 144
	var spent, refused atomic.Int64
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() {
			for range 12 {
				x, err := all[i%2].trySend(http.MethodPost, chatPath, chatBody("demo-small", `"max_tokens":24`), "X-Api-Key", key)
				switch {
				case err != nil:
					t.Error(err)
				case x.StatusCode == http.StatusOK:
					spent.Add(int64(thousandths(t, x.cost())))
				case x.StatusCode == http.StatusPaymentRequired:
					refused.Add(1)
				default:
					t.Errorf("%s: %s", x.Status, x.body)
				}
			}
		})
	}
	clients.Wait()
	state := b.settled("acme")
	if got := thousandths(t, state.Spent); got != int(spent.Load()) || got < 50*cost || got > 60*cost || refused.Load() == 0 {
		t.Errorf("the clients were charged %d, the ledger says %d, and %s is left", spent.Load(), got, state.Available)
	}
	t.Logf("%d thousandths spent, %d refused", spent.Load(), refused.Load())

	var k struct{ ID, Secret string }
	a.must(a.ask(http.MethodPost, "/meter/accounts/acme/keys", map[string]string{"name": "second"}, &k))
	if x := b.post(k.Secret, "/v1/models", ""); x.StatusCode == http.StatusUnauthorized {
		t.Errorf("a key that was made on the other gateway: %s", x.Status)
	}
	a.must(a.ask(http.MethodDelete, "/meter/accounts/acme/keys/"+k.ID, nil, nil))
	revoked := time.Now()
	b.eventually("the key that was revoked on the other gateway is refused", func() bool {
		return b.post(k.Secret, chatPath, chatBody("demo-small")).StatusCode == http.StatusUnauthorized
	})
	if took := time.Since(revoked); took > 2*time.Second { // a second, and the tests that run next to this one
		t.Errorf("it took %s until a revoked key was refused", took)
	}
}

// Events go out once, whichever gateway they come from; when the gateway that delivers
// them dies, another goes on.
func TestEventsOfGatewaysAreDeliveredOnce(t *testing.T) {
	t.Parallel()
	secret := event.NewSecret()
	r := receive(t, "", secret)
	all, _ := gatewaysWith(t, telling(t, "notify webhook http://"+r.addr+" "+secret+" only key.created"), 3, mockai.Options{}, "fsync=off")
	all[0].account("acme", "50") // and its first key
	const each = 10
	for range each {
		for _, g := range all {
			g.key("acme")
		}
	}
	r.gets(all[1], event.KeyCreated, 3*each+1)
	time.Sleep(3 * time.Second) // for one that would come twice
	if list := r.of(event.KeyCreated); len(list) != 3*each+1 || distinct(list) != 3*each+1 {
		t.Errorf("%d events were delivered, %d different ones; want %d, each once", len(list), distinct(list), 3*each+1)
	}
	all[0].kill() // it has been there longest: it was on duty
	all[1].key("acme")
	deadline := time.Now().Add(90 * time.Second)
	for distinct(r.of(event.KeyCreated)) < 3*each+2 {
		if time.Now().After(deadline) {
			t.Fatal("none of the other gateways has delivered the event")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if list := r.of(event.KeyCreated); len(list) != 3*each+2 {
		t.Errorf("%d events were delivered, want %d", len(list), 3*each+2)
	}
}

// A gateway dies with an open hold: another charges what was delivered. One that is only
// paused finds its hold resolved, and books the real end.
func TestADeadGatewaysHoldsAreResolved(t *testing.T) {
	t.Parallel()
	all, _ := gateways(t, 3, mockai.Options{Pace: 25 * time.Millisecond}, "fsync=off")
	dead, paused, living := all[0], all[1], all[2]
	key := dead.account("acme", "500")
	first, events := dead.openStream(key, chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 230) // 5.75 s; it is noted every 5 s
	second, more := paused.openStream(key, chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, more, 3)
	dead.kill()
	paused.signal(syscall.SIGSTOP)
	deadline := time.Now().Add(90 * time.Second)
	for living.show("acme").Holds > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the holds of the other gateways are still open")
		}
		time.Sleep(200 * time.Millisecond)
	}
	if c := living.charge("acme", first.Header.Get("Credits-Charge")); !c.Estimated || thousandths(t, c.Cost) < price("demo", 0, 150) {
		t.Errorf("the charge of the gateway that died: %+v", c)
	}
	before := living.charge("acme", second.Header.Get("Credits-Charge"))
	paused.signal(syscall.SIGCONT)
	_, _ = rest(more)
	living.eventually("the paused gateway has booked the real end", func() bool {
		return living.charge("acme", second.Header.Get("Credits-Charge")).Cost != before.Cost
	})
	dead.run() // its cleanup looks at the books, too
}

// The database goes away in several ways. What was acknowledged stays, once; paid
// requests are refused with 503 meanwhile, never with 402, and are served again after.
func TestTheDatabaseFails(t *testing.T) {
	t.Parallel()
	all, server := gateways(t, 2, mockai.Options{Pace: 2 * time.Millisecond})
	key := all[0].account("acme", "100000")
	p := &promised{grants: map[string]string{"setup": "100000"}, charges: map[string]string{}}
	cut := "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farebox'"
	readOnly := func(on string) {
		server.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = "+on)
		server.Exec(t, "SELECT pg_reload_conf()")
		server.Exec(t, cut)
	}
	again := func() {
		if err := server.Run(); err != nil {
			t.Error(err)
		}
	}
	for _, failure := range []struct {
		name      string
		fail, end func()
	}{
		{"connections cut", func() {
			for range 20 {
				server.Exec(t, cut)
				time.Sleep(20 * time.Millisecond)
			}
		}, func() {}},
		{"restarted", func() { server.Stop(); again() }, func() {}},
		{"crashed, and back after 4 seconds", func() { server.Kill(); time.Sleep(4 * time.Second) }, again},
		{"read only for 3 seconds", func() { readOnly("on"); time.Sleep(3 * time.Second) }, func() {
			server.Exec(t, "SET default_transaction_read_only = off; ")
			readOnlyOff(t, server, cut)
		}},
	} {
		stop := make(chan struct{})
		one, two := all[0].load(p, key, stop), all[1].load(p, key, stop)
		time.Sleep(500 * time.Millisecond)
		failure.fail()
		if x, err := all[0].trySend(http.MethodPost, chatPath, chatBody("demo-small"), "X-Api-Key", key); err == nil && x.StatusCode != http.StatusOK && x.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: a paid request got %s", failure.name, x.Status)
		}
		failure.end()
		for i, g := range all {
			g.eventually(fmt.Sprintf("%s: gateway %d serves again", failure.name, i), func() bool {
				x, err := g.trySend(http.MethodPost, chatPath, chatBody("demo-small"), "X-Api-Key", key)
				if err == nil && x.StatusCode == http.StatusOK {
					p.keep(p.charges, x.Header.Get("Credits-Charge"), x.cost())
				}
				return err == nil && x.StatusCode == http.StatusOK
			})
		}
		close(stop)
		one.Wait()
		two.Wait()
		waitForHolds(t, all[0])
		for _, g := range all {
			g.log.forget() // it may have errors in it
		}
		all[0].booksInOrder()
		if t.Failed() {
			t.Fatalf("after: %s", failure.name)
		}
	}
	p.forgetUntold(t)
	all[1].keeps(p)
}

// forgetUntold drops the answers that went out without a cost, because it could not be
// booked in time.
func (p *promised) forgetUntold(t *testing.T) {
	untold := 0
	for id, cost := range p.charges {
		if cost == "" {
			untold++
			delete(p.charges, id)
		}
	}
	t.Logf("%d answers went out without a cost", untold)
}

func readOnlyOff(t *testing.T, server *pgtest.Server, cut string) {
	t.Helper()
	server.Exec(t, "BEGIN READ WRITE; COMMIT")
	server.Exec(t, "ALTER SYSTEM RESET default_transaction_read_only")
	server.Exec(t, "SELECT pg_reload_conf()")
	server.Exec(t, cut)
}

// waitForHolds waits until settles that could not be written were tried again, and holds
// without a request any more were resolved.
func waitForHolds(t *testing.T, g *gateway) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); g.show("acme").Holds > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d holds are open", g.show("acme").Holds)
		}
	}
}
