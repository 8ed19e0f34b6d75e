package integration

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// TestStandby: a copy follows a gateway under load. The gateway's machine is lost, and a
// gateway starts on the copy: its books are in order, and all that was acknowledged
// until a moment before is there.
func TestStandby(t *testing.T) {
	t.Parallel()
	g := start(t, setup{mock: mockai.Options{Pace: 2 * time.Millisecond}})
	key := g.account("acme", "1000")
	dir := g.path("copy")
	follower := g.command("meter", "--address", g.admin, "follow", "--data", dir)
	var said logBuffer
	follower.Stdout, follower.Stderr = &said, &said
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	stopFollower := func() {
		_ = follower.Process.Signal(syscall.SIGTERM)
		_ = follower.Wait()
	}
	defer stopFollower()
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	g.eventually("the copy is whole", func() bool { return exists(dir + "/STANDBY") })

	p := &promised{grants: map[string]string{"setup": "1000"}, charges: map[string]string{}}
	load := func(d time.Duration) {
		stop := make(chan struct{})
		clients := g.load(p, key, stop)
		time.Sleep(d)
		close(stop)
		clients.Wait()
	}
	load(2 * time.Second)
	time.Sleep(time.Second) // what came until here must be there
	acknowledged := len(p.charges)
	late := &promised{grants: map[string]string{}, charges: map[string]string{}}
	stop := make(chan struct{})
	clients := g.load(late, key, stop)
	time.Sleep(500 * time.Millisecond)
	g.kill()
	close(stop)
	clients.Wait()
	stopFollower()
	if out := g.exec("meter", "verify", "--data", dir, "--pricing", "pricing.yaml"); out.code != 0 {
		t.Errorf("the copy: exit %d %s%s\n%s", out.code, out.stdout, out.stderr, said.String())
	}

	g.data = dir
	g.run()
	if exists(dir + "/STANDBY") {
		t.Error("the copy of which a gateway made a ledger may still be overwritten")
	}
	if out := g.cli("follow", "--data", dir); out.code == 0 {
		t.Error("a copy was made over a ledger")
	}
	g.eventually("no hold is open", func() bool { return g.show("acme").Holds == 0 })
	here := map[string]bool{}
	for _, e := range g.wholeJournal("acme") {
		here[e.Charge] = true
	}
	lost, lostLate := 0, 0
	for id := range p.charges {
		if !here[id] {
			lost++
		}
	}
	for id := range late.charges {
		if !here[id] {
			lostLate++
		}
	}
	if lost > 0 || acknowledged == 0 {
		t.Errorf("of %d charges that were acknowledged a second before the end, the copy lacks %d", acknowledged, lost)
	}
	t.Logf("%d charges acknowledged before; of %d in the last half second, the copy lacks %d", acknowledged, len(late.charges), lostLate)
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != 200 {
		t.Errorf("the copy as a ledger: %s %s", a.Status, a.body)
	}
}
