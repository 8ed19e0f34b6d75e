package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/pgtest"
)

// A ledger moves from a data directory into a database and back. A copy that is killed
// goes on; nothing is copied over something else, or from under a gateway.
func TestALedgerMovesIntoADatabaseAndBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "fsync=off")
	g := start(t, setup{})
	key := g.account("acme", "500")
	for range 5 {
		g.post(key, chatPath, chatBody("demo-small"))
	}
	for i := range 300 { // enough to be killed in
		g.grant("acme", "1", fmt.Sprint("payment-", i))
	}
	left := g.settled("acme").Available
	dsn := server.DSN("moved")
	if out := g.exec("meter", "copy", "--from", g.data, "--to", dsn); out.code == 0 || !strings.Contains(out.stderr, "in use") {
		t.Errorf("a copy from under a gateway: %d, %s", out.code, out.stderr)
	}
	g.stop()
	cut := exec.Command(binary, "meter", "copy", "--from", g.data, "--to", dsn)
	if err := cut.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	_ = cut.Process.Kill()
	_ = cut.Wait()
	if out := g.exec("meter", "copy", "--from", "badger:"+g.data, "--to", dsn); out.code != 0 || !strings.Contains(out.stdout, "the same in both") {
		t.Fatalf("a copy after one that was killed: %d, %s%s", out.code, out.stdout, out.stderr)
	}
	if out := g.exec("meter", "copy", "--from", g.data, "--to", dsn); out.code == 0 || !strings.Contains(out.stderr, "there are records already") {
		t.Errorf("a copy over a ledger: %d, %s%s", out.code, out.stdout, out.stderr)
	}
	old := g.data
	g.data = dsn
	g.write("Caddyfile", strings.Replace(read(t, "../Caddyfile"), "store badger {$FAREBOX_DATA:./data/meter}", "store postgres {$FAREBOX_DATA}", 1))
	g.run()
	g.has("acme", left)
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != 200 {
		t.Errorf("a request after the move: %s", a.Status)
	}
	left = g.settled("acme").Available
	if out := g.exec("meter", "copy", "--from", dsn, "--to", g.path("back")); out.code == 0 || !strings.Contains(out.stderr, "stop them first") {
		t.Errorf("a copy from under gateways: %d, %s", out.code, out.stderr)
	}
	g.stop()
	if out := g.exec("meter", "verify", "--data", dsn, "--pricing", g.path("pricing.yaml")); out.code != 0 {
		t.Errorf("verify of a database without a gateway: %s", out.stderr)
	}
	if out := g.exec("meter", "copy", "--from", dsn, "--to", g.path("back")); out.code != 0 {
		t.Fatalf("back: %s", out.stderr)
	}
	g.data = g.path("back")
	g.write("Caddyfile", read(t, "../Caddyfile"))
	g.run()
	g.has("acme", left)
	if _, err := os.Stat(old); err != nil {
		t.Errorf("the first directory: %v", err)
	}
}
