package integration

import (
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// Every command of the operator's page, in its order, with the shipped configuration.
func TestOperatorsPage(t *testing.T) {
	t.Parallel()
	g := bare(t)
	g.data = g.path("data/meter")
	g.upstream = httptest.NewServer(mockai.New(mockai.Options{Pace: -1}))
	t.Cleanup(g.upstream.Close)
	g.bin()
	g.write("Caddyfile", read(t, "../Caddyfile"))
	g.write("pricing.yaml", read(t, "../pricing.yaml"))
	t.Cleanup(func() {
		_ = g.exec("stop", "--address", g.admin)
		g.eventually("all gateways of the page have ended", func() bool { return !g.anyProcess() })
	})
	blocks := shell(samples(t, "../docs/operate.md"))
	if len(blocks) < 9 {
		t.Errorf("the page has %d blocks", len(blocks))
	}
	_, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	serves := "farebox.log 2>&1 &\nfor i in $(seq 200); do farebox meter account list > /dev/null 2>&1 && break; sleep 0.05; done"
	g.runSamples("docs/operate.md", blocks, strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:"+port, "127.0.0.1:2019", g.admin, "farebox.log 2>&1 &", serves, "farebox stop", "farebox stop --address "+g.admin),
		"CADDY_ADMIN="+g.admin, g.pathEnv())
}

// anyProcess reports whether a process works in the gateway's directory: an upgrade
// leaves one that this test did not start.
func (g *gateway) anyProcess() bool {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, l := range links {
		if dir, err := os.Readlink(l); err == nil && dir == g.dir { // others may have ended
			return true
		}
	}
	return false
}
