package integration

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/farebox-dev/farebox/internal/mockai"
	"github.com/farebox-dev/farebox/internal/seed"
)

// soaking is a gateway to which everything happens at once.
type soaking struct {
	*gateway
	random *rand.Rand
	disk   *disk // nil: this machine may not mount one
	key    string
	did    map[string]int
	prices int
}

// TestSoak runs everything at once for FAREBOX_SOAK (by default 20 seconds): JSON
// requests, streams, grants, jobs, sockets, clients that misbehave and one that has
// hardly any credits; and meanwhile prices change, and the gateway is reloaded,
// restarted and killed, its disk filled and frozen, its ledger backed up, restored and
// compacted. At the end nothing is lost, overspent, held or in a log.
func TestSoak(t *testing.T) {
	lasts := 20 * time.Second
	if text := os.Getenv("FAREBOX_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	s := soak(t)
	p := &promised{grants: map[string]string{"setup": "1000"}, charges: map[string]string{}}
	stop := make(chan struct{})
	loads := []*sync.WaitGroup{s.load(p, s.key, stop), s.others(stop)}
	for began := time.Now(); time.Since(began) < lasts && !t.Failed(); {
		time.Sleep(time.Duration(200+s.random.IntN(1500)) * time.Millisecond)
		s.something()
	}
	close(stop)
	for _, load := range loads {
		load.Wait()
	}
	held := func() (n int) {
		for _, id := range []string{"acme", "poor", "jobs", "bad", "sockets"} {
			n += s.show(id).Holds
		}
		return n
	}
	for deadline := time.Now().Add(6 * time.Minute); held() > 0 && time.Now().Before(deadline); { // the pauses between two looks at a job grow to five
		time.Sleep(100 * time.Millisecond)
	}
	if n := held(); n > 0 {
		t.Errorf("%d holds are left", n)
	}
	s.keeps(p)
	if a := s.show("poor"); thousandths(t, a.Available) < 0 || a.Debt != "0" || a.Overage != "0" || thousandths(t, a.Spent) > 5_000+100_000 {
		t.Errorf("poor has overspent: %+v", a)
	}
	s.onlyExpected()
	t.Logf("%d answers without their cost, while the disk was full or frozen", p.untold)
	t.Logf("%s: %v; spent: poor %s, jobs %s, bad %s, sockets %s", lasts, s.did, s.show("poor").Spent, s.show("jobs").Spent, s.show("bad").Spent, s.show("sockets").Spent)
}

// onlyExpected looks through the log: that an event's delivery could not be noted on a
// full or frozen disk is right to be reported, nothing else is.
func (s *soaking) onlyExpected() {
	s.t.Helper()
	s.loggedNoSecret()
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "ledger.problem") && !(strings.Contains(line, "booking the delivery of") && strings.Contains(line, "the ledger cannot be written")) {
			s.t.Errorf("the gateway reports: %s", line)
		}
	}
	s.log.forget()
}

// soak starts the gateway, on a disk of its own if that can be.
func soak(t *testing.T) *soaking {
	caddyfile := strings.Replace(metering(t), "\tmeter {\n", "\tmeter {\n\t\tledger_timeout 2s\n\t\tpoll_jobs 1s\n\t\tretention 48h\n", 1)
	of := setup{caddyfile: caddyfile, prices: realtimePrices, mock: mockai.Options{Pace: 2 * time.Millisecond, JobPolls: 2}, upstream: realtime(make(chan *http.Request))}
	d, err := mounted(t, "ext4", 1024)
	if err != nil {
		t.Logf("no full and no frozen disk: %v", err)
	} else {
		of.data = filepath.Join(d.dir, "meter")
	}
	s := &soaking{gateway: start(t, of), disk: d, did: map[string]int{}, random: rand.New(rand.NewPCG(seed.Of(t), 1))} //nolint:gosec // a test's
	s.key = s.account("acme", "1000")
	return s
}

// others are the clients besides those of load, each with an account of its own.
func (s *soaking) others(stop chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	worker := func(pause time.Duration, work func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(pause):
					work()
				}
			}
		})
	}
	poor, jobs, bad, sockets := s.account("poor", "5"), s.account("jobs", "1000000"), s.account("bad", "1000000"), s.account("sockets", "1000000")
	for range 4 {
		worker(5*time.Millisecond, func() { s.try(poor) })
	}
	worker(time.Second, func() {
		model := []string{"motion", "job-failed"}[time.Now().UnixNano()%2]
		_, _ = s.trySend(http.MethodPost, "/v1/videos", fmt.Sprintf(`{"model":%q,"prompt":"a pier","seconds":"5"}`, model), "X-Api-Key", jobs)
	})
	worker(20*time.Millisecond, func() {
		_, _ = s.trySend(http.MethodPost, chatPath, `{"model":["not"`, "X-Api-Key", bad)
		_, _ = s.trySend(http.MethodPost, chatPath, chatBody("demo-fail-502"), "X-Api-Key", bad)
		_, _ = s.trySend(http.MethodPost, chatPath, chatBody("demo-small"), "X-Api-Key", bad+"x")
		_, _ = s.trySend(http.MethodPost, chatPath, chatBody("demo-cut-stream", `"stream":true`), "X-Api-Key", bad)
		s.leaves(bad)
	})
	worker(50*time.Millisecond, func() {
		header := http.Header{"Authorization": {"Bearer " + sockets}}
		c, _, err := websocket.Dial(s.t.Context(), "ws://"+s.addr+"/v1/realtime?model=demo-small", &websocket.DialOptions{HTTPHeader: header, Subprotocols: []string{"realtime"}})
		if err != nil {
			return
		}
		c.SetReadLimit(1 << 20)
		_ = c.Write(s.t.Context(), websocket.MessageText, []byte(`{"type":"response.create"}`))
		_, _, _ = c.Read(s.t.Context())
		_ = c.CloseNow()
	})
	return &wg
}

// leaves sends a request and hangs up before there is an answer.
func (s *soaking) leaves(key string) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return
	}
	body := chatBody("demo-stream", `"stream":true`)
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, s.addr, key, len(body), body)
	_ = c.Close()
}

// something happens to the gateway.
func (s *soaking) something() {
	s.t.Helper()
	things := []struct {
		name string
		do   func()
	}{
		{"prices", s.newPrices}, {"reload", s.reloads}, {"restart", func() { s.stop(); s.run() }},
		{"kill", func() { s.kill(); s.run() }},
		{"kill at start", func() { s.kill(); s.killAtStart(time.Duration(s.random.IntN(150)) * time.Millisecond); s.run() }},
		{"backup and restore", s.backsUp}, {"compact", func() { s.cli("compact").want(s.t, "compact", 0) }},
		{"verify", func() { s.cli("verify").want(s.t, "verify", 0) }},
	}
	if s.disk != nil {
		things = append(things, struct {
			name string
			do   func()
		}{"full disk", s.fullFor}, struct {
			name string
			do   func()
		}{"frozen disk", s.frozenFor})
	}
	x := things[s.random.IntN(len(things))]
	s.did[x.name]++
	x.do()
}

// newPrices puts another price book in force, at the same prices: every amount can be compared.
func (s *soaking) newPrices() {
	text := read(s.t, s.path("pricing.yaml"))
	old := fmt.Sprintf("\n# prices %d\n", s.prices)
	s.prices++
	s.write("pricing.yaml", strings.TrimSuffix(text, old)+fmt.Sprintf("\n# prices %d\n", s.prices))
	s.cli("prices", "reload").want(s.t, "prices reload", 0)
}

func (s *soaking) reloads() {
	if out := s.reload("--force"); out.code != 0 {
		s.t.Errorf("reload: %s", out.stderr)
	}
}

// backsUp makes a backup under load and restores it next to the gateway.
func (s *soaking) backsUp() {
	if err := os.MkdirAll(s.path("backups"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.cli("backup", s.path("backups")+"/", "--keep", "1d").want(s.t, "backup", 0)
	s.cli("restore", s.path("backups"), "--data", s.path("restored")).want(s.t, "restore", 0, "verified")
	if err := os.RemoveAll(s.path("restored")); err != nil {
		s.t.Fatal(err)
	}
}

// fullFor fills the disk, with a restart on it half of the time.
func (s *soaking) fullFor() {
	s.disk.fill()
	time.Sleep(time.Second)
	s.disk.fill()
	if s.random.IntN(2) == 0 {
		s.kill()
		s.run()
	}
	s.disk.free()
	s.paysAgain()
}

func (s *soaking) frozenFor() {
	if out, err := exec.Command("fsfreeze", "-f", s.disk.dir).CombinedOutput(); err != nil {
		s.t.Logf("this machine cannot freeze a file system: %v %s", err, out)
		return
	}
	time.Sleep(4 * time.Second)
	s.disk.thaw()
	s.paysAgain()
}

func (s *soaking) paysAgain() {
	s.t.Helper()
	s.eventually("paid requests run again", func() bool {
		if s.dead() {
			s.t.Fatalf("the gateway is dead:\n%s", s.log.tail(30))
		}
		a, err := s.trySend(http.MethodPost, chatPath, chatBody("demo-small"), "X-Api-Key", s.key)
		return err == nil && a.StatusCode == http.StatusOK
	})
}
