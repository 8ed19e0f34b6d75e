package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// upgrades is how often TestUpgrade replaces each gateway; FAREBOX_UPGRADES asks for more.
const upgrades = 1

// TestUpgrade replaces a gateway under load: 200 requests a second, on connections that
// are kept and on new ones, and 20 streams that are open all the time. No request is
// refused, no stream is cut, and what answers said is what was booked.
func TestUpgrade(t *testing.T) {
	rounds := upgrades
	if s := os.Getenv("FAREBOX_UPGRADES"); s != "" {
		rounds, _ = strconv.Atoi(s)
	}
	for _, hold := range []string{"durable", "overlap"} {
		t.Run(hold, func(t *testing.T) {
			config := strings.Replace(read(t, "../Caddyfile"), "\tmeter\n", "\tmeter {\n\t\thold "+hold+"\n\t}\n", 1)
			upgraded(t, start(t, setup{caddyfile: config, mock: mockai.Options{Pace: 5 * time.Millisecond}}), rounds)
		})
	}
}

// TestUpgradeOnADatabase: the same, with a ledger that processes share anyway.
func TestUpgradeOnADatabase(t *testing.T) {
	t.Parallel()
	all, _ := gateways(t, 1, mockai.Options{Pace: 5 * time.Millisecond}, "fsync=off")
	upgraded(t, all[0], 1)
}

// upgraded replaces a gateway under load, again and again.
func upgraded(t *testing.T, g *gateway, rounds int) {
	t.Helper()
	l := g.upgradeLoad(g.account("acme", "1000000"))
	var gaps []time.Duration
	for i := range rounds {
		old := g.process
		gaps = append(gaps, g.upgrade())
		l.through(i)
		select {
		case <-old.done:
		case <-time.After(30 * time.Second):
			t.Fatal("the old process does not end")
		}
	}
	close(l.stop)
	l.all.Wait()
	slices.Sort(gaps)
	t.Logf("%d upgrades: %d answers, %d of them streams; the ledger changed hands in %s (median), %s (longest)",
		rounds, len(l.charges), l.streams.Load(), gaps[len(gaps)/2], gaps[len(gaps)-1])
	left := 1_000_000_000
	for _, cost := range l.charges {
		left -= thousandths(t, cost)
	}
	if a := g.settled("acme"); a.Available != credits(left) {
		t.Errorf("the account has %s, the clients' receipts say %s", a.Available, credits(left))
	}
	g.keeps(&l.promised)
}

// An upgrade that fails changes nothing: the process that runs goes on, with the ledger.
func TestAnUpgradeThatFails(t *testing.T) {
	t.Parallel()
	g := start(t, setup{mock: mockai.Options{Pace: 5 * time.Millisecond}})
	key := g.account("acme", "1000")
	config := read(t, g.path("Caddyfile"))
	g.write("Caddyfile", config+"\nnonsense {\n")
	out := g.cli("upgrade")
	if out.code == 0 || !strings.Contains(out.stderr, "this process goes on") {
		t.Errorf("with a wrong Caddyfile: exit %d, %s", out.code, out.stderr)
	}
	g.write("Caddyfile", strings.Replace(config, "{$FAREBOX_DATA:./data/meter}", g.path("other"), 1))
	if out := g.cli("upgrade"); out.code == 0 || !strings.Contains(out.stderr, "cannot change the ledger") {
		t.Errorf("with another ledger: exit %d, %s", out.code, out.stderr)
	}
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusOK {
		t.Errorf("after that: %s %s", a.Status, a.body)
	}
	g.write("Caddyfile", config)

	old := g.process
	res, events := g.openStream(key, chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 10)
	g.upgrade()
	if out := g.cli("upgrade"); out.code == 0 || !strings.Contains(out.stderr, "has not ended") {
		t.Errorf("while a request of the process before runs: exit %d, %s", out.code, out.stderr)
	}
	fresh := g.process
	g.signal(syscall.SIGKILL) // now only the old process is left, with its stream
	<-fresh.done
	g.process = old
	for events.Scan() {
	}
	if cost := res.Trailer.Get("Credits-Cost"); events.Err() != nil || cost == "" {
		t.Errorf("the stream: cost %q, %v", cost, events.Err())
	}
	http.DefaultClient.CloseIdleConnections()
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusOK {
		t.Errorf("the process that took the ledger back: %s %s", a.Status, a.body)
	}
	if c := g.chargeOf("acme", res); c.Cost != res.Trailer.Get("Credits-Cost") {
		t.Errorf("the stream was charged %s, the client read %s", c.Cost, res.Trailer.Get("Credits-Cost"))
	}
}

// A gateway that is stopped right after an upgrade is stopped: the process before it ends
// as soon as its requests have, and leaves the ledger.
func TestAStopAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	g := start(t, setup{mock: mockai.Options{Pace: 5 * time.Millisecond}})
	key := g.account("acme", "1000")
	old := g.process
	res, events := g.openStream(key, chatPath, chatBody("demo-long-stream", `"stream":true`))
	next(t, events, 10)
	g.upgrade()
	g.stop()
	for events.Scan() {
	}
	cost := res.Trailer.Get("Credits-Cost")
	if events.Err() != nil || cost == "" {
		t.Errorf("the stream: cost %q, %v", cost, events.Err())
	}
	select {
	case <-old.done:
	case <-time.After(10 * time.Second):
		_ = old.Kill()
		t.Fatal("the process before does not end")
	}
	g.run()
	if c := g.chargeOf("acme", res); c.Cost != cost {
		t.Errorf("the stream was charged %s, the client read %s", c.Cost, cost)
	}
}

// upgradeLoad is clients that use the gateway while it is replaced.
type upgradeLoad struct {
	promised
	g       *gateway
	key     string
	stop    chan struct{}
	all     sync.WaitGroup
	streams atomic.Int64 // that ended
}

func (g *gateway) upgradeLoad(key string) *upgradeLoad {
	l := &upgradeLoad{g: g, key: key, stop: make(chan struct{}), promised: promised{charges: map[string]string{}, grants: map[string]string{}}}
	for i := range 20 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		l.every(100*time.Millisecond, func() { l.request(client, chatBody("demo-small")) })
	}
	for range 20 {
		client := &http.Client{Transport: &http.Transport{}}
		l.every(time.Millisecond, func() {
			if l.request(client, chatBody("demo-long-stream", `"stream":true`)) {
				l.streams.Add(1)
			}
		})
	}
	return l
}

func (l *upgradeLoad) every(pause time.Duration, do func()) {
	l.all.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			case <-time.After(pause):
				do()
			}
		}
	})
}

// request reports whether an answer was there, and whole.
func (l *upgradeLoad) request(client *http.Client, body string) bool {
	req, err := http.NewRequest(http.MethodPost, "http://"+l.g.addr+chatPath, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.GetBody = nil // so that the client cannot send it again by itself
	req.Header.Set("X-Api-Key", l.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		l.g.t.Errorf("a request was refused: %v", err)
		return false
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	a := answer{res, string(text)}
	if err != nil || res.StatusCode != http.StatusOK || strings.Contains(body, "stream") && !strings.Contains(a.body, "[DONE]") {
		l.g.t.Errorf("an answer is not whole: %s, %v, %.200s", res.Status, err, text)
		return false
	}
	if a.cost() == "" {
		l.g.t.Errorf("an answer does not say what it cost: %v %v %.300s", res.Header, res.Trailer, text)
		return false
	}
	l.keep(l.charges, res.Header.Get("Credits-Charge"), a.cost())
	return true
}

// through waits until streams that began before an upgrade have ended after it.
func (l *upgradeLoad) through(round int) {
	l.g.t.Helper()
	n := l.streams.Load()
	l.g.eventually(fmt.Sprintf("streams go on after upgrade %d", round+1), func() bool { return l.streams.Load() >= n+20 })
}

// upgrade replaces the gateway by the command, and reports how long the ledger was
// closed.
func (g *gateway) upgrade() time.Duration {
	g.t.Helper()
	out := g.cli("upgrade", "--json")
	var v struct {
		Process int   `json:"process"`
		Ms      int64 `json:"ledger_closed_ms"`
	}
	if err := json.Unmarshal([]byte(out.stdout), &v); err != nil || out.code != 0 || v.Process == 0 {
		g.t.Fatalf("farebox meter upgrade: exit %d, %s%s\n%s", out.code, out.stdout, out.stderr, g.log.tail(20))
	}
	g.process = adopted(g.t, v.Process)
	http.DefaultClient.CloseIdleConnections() // to the old process's admin endpoint
	return time.Duration(v.Ms) * time.Millisecond
}

// adopted is a process that this one did not start.
func adopted(t testing.TB, pid int) *process {
	found, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Process: found, done: make(chan struct{})}
	go func() {
		for running(pid) {
			time.Sleep(20 * time.Millisecond)
		}
		close(p.done)
	}()
	return p
}

// running reports whether a process is there and has not ended.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}
