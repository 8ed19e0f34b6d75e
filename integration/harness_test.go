// Package integration runs the built binary as a process, between the official
// SDKs and an upstream that counts what reached it.
package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	builds "github.com/farebox-dev/farebox/internal/binary"
	"github.com/farebox-dev/farebox/internal/mockai"
)

// binary is the program under test, built once.
var binary string

// testVersion is the version that the binary is stamped with.
const testVersion = "v0.0.0-test"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "farebox-integration-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "farebox")
	build := builds.Build(context.Background(), "..", binary, testVersion, builds.Target{})
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// setup says what is not as shipped. The zero value is the repository's own
// Caddyfile and pricing.yaml in front of a mock without pauses.
type setup struct {
	caddyfile string                               // default: the one at the root; the same environment is set for it
	prices    func(string) string                  // edits pricing.yaml
	mock      mockai.Options                       // default: no pauses
	upstream  func(mock http.Handler) http.Handler // default: the mock itself
	data      string                               // the ledger's directory, if it is not to be in dir, or its database
	join      bool                                 // the ledger is there
}

// gateway is a running farebox with its upstream. Files are in dir: Caddyfile,
// pricing.yaml and the data directory.
type gateway struct {
	t           testing.TB
	dir, data   string
	addr, admin string
	mock        *mockai.Mock
	upstream    *httptest.Server
	log         logBuffer
	process     *process
	also        []string // added to the environment
	prints      bool     // it prints keys, on purpose
}

// process is one life of the gateway.
type process struct {
	*os.Process
	done chan struct{} // closed when it has ended
}

// logBuffer collects what the process prints.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// forget drops what was printed so far: a test has looked at it.
func (l *logBuffer) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// start brings up a gateway. When the test ends its books must be in order.
func start(t testing.TB, s setup) *gateway {
	t.Helper()
	if s.mock.Pace == 0 {
		s.mock.Pace = -1
	}
	g := &gateway{t: t, dir: t.TempDir(), data: s.data, addr: freePort(t), admin: freePort(t), mock: mockai.New(s.mock)}
	if g.data == "" {
		g.data = g.path("data")
	}
	var handler http.Handler = g.mock
	if s.upstream != nil {
		handler = s.upstream(handler)
	}
	g.upstream = httptest.NewServer(handler)
	t.Cleanup(g.upstream.Close)
	if s.caddyfile == "" {
		s.caddyfile = read(t, "../Caddyfile")
	}
	prices := read(t, "../pricing.yaml")
	if s.prices != nil {
		edited := s.prices(prices)
		if edited == prices {
			t.Fatal("the edit of pricing.yaml changes nothing")
		}
		prices = edited
	}
	g.write("Caddyfile", s.caddyfile)
	g.write("pricing.yaml", prices)
	if s.join {
	} else if out := g.cli("init", "--data", g.data); out.code != 0 {
		t.Fatalf("farebox meter init: %s", out.stderr)
	}
	g.run()
	t.Cleanup(func() {
		if g.process != nil {
			g.booksInOrder()
			g.stop()
		}
		g.loggedNoSecret()
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", g.log.tail(30))
		}
	})
	return g
}

// secrets are what no log may hold: keys, links and sessions that Farebox made, what
// webhooks are signed with, and the keys of the operator and of a client's own.
var secrets = regexp.MustCompile(`(fb_live_|fb_op_|fb_link_|fb_sess_|whsec_)[A-Za-z0-9+/_-]{12,}|sk-of-the-provider|sk-ant-of-the-provider`)

// loggedNoSecret searches every byte that the gateway wrote in all its lives.
func (g *gateway) loggedNoSecret() {
	g.t.Helper()
	if g.prints {
		return
	}
	files, err := filepath.Glob(g.path("*.log"))
	if err != nil {
		g.t.Fatal(err)
	}
	logs := []string{g.log.String()}
	for _, f := range files {
		logs = append(logs, read(g.t, f))
	}
	for _, text := range logs {
		for line := range strings.Lines(text) {
			if secrets.MatchString(line) {
				g.t.Errorf("the gateway logged a secret: %s", line)
				return
			}
		}
	}
}

// tail is the last lines, without those about requests to the admin endpoint.
func (l *logBuffer) tail(lines int) string {
	var kept []string
	for line := range strings.Lines(l.String()) {
		if !strings.Contains(line, `"msg":"received request"`) && !strings.Contains(line, `no meter; add`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-lines):], "")
}

func read(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (g *gateway) path(name string) string { return filepath.Join(g.dir, name) }

func (g *gateway) write(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(g.path(name), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// usedPorts are all that this run has given out.
var usedPorts sync.Map

func freePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(17_000)) //nolint:gosec // below the ports that outgoing connections get, which could take it before the gateway does
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		_ = l.Close()                                            // only its number is wanted
		if _, used := usedPorts.LoadOrStore(addr, true); !used { // Caddy shares ports: two gateways would answer for each other
			return addr
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// env is what the shipped Caddyfile takes from the environment.
func (g *gateway) env() []string {
	_, port, _ := net.SplitHostPort(g.addr)
	env := append(os.Environ(),
		"FAREBOX_ADMIN="+g.admin, "FAREBOX_PORT="+port, "FAREBOX_DATA="+g.data, "FAREBOX_PRICING="+g.path("pricing.yaml"),
		"FAREBOX_UPSTREAM="+g.upstream.URL, "OPENAI_API_KEY=sk-of-the-provider", "ANTHROPIC_API_KEY=sk-ant-of-the-provider",
		"HOME="+g.dir, "XDG_DATA_HOME="+g.path("xdg"), "XDG_CONFIG_HOME="+g.path("xdg"))
	return append(env, g.also...)
}

func (g *gateway) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = g.dir, g.env()
	return cmd
}

// launch starts a process that is to be the gateway.
func (g *gateway) launch(args ...string) *process {
	g.t.Helper()
	cmd := g.command(args...)
	out, in, err := os.Pipe()
	if err != nil {
		g.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	g.prints = g.prints || slices.Contains(args, "demo")
	if err := errors.Join(cmd.Start(), in.Close()); err != nil {
		g.t.Fatal(err)
	}
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(&g.log, out)
		close(copied)
	}()
	p := &process{Process: cmd.Process, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		select {
		case <-copied:
		case <-time.After(300 * time.Millisecond): // its successor has the output, too
		}
		close(p.done)
	}()
	g.process = p
	return p
}

// run starts the process and waits until it serves.
func (g *gateway) run() {
	g.t.Helper()
	p := g.launch("run", "--config", "Caddyfile", "--adapter", "caddyfile")
	g.eventually("the gateway serves", func() bool {
		select {
		case <-p.done:
			g.process = nil
			g.t.Fatalf("the gateway ended:\n%s", g.log.tail(10))
		default:
		}
		res, err := http.Get("http://" + g.admin + "/meter/health/live")
		if err != nil {
			return false
		}
		defer res.Body.Close() //nolint:errcheck // only its status is wanted
		return res.StatusCode == http.StatusOK
	})
}

// stop ends the process as an operator does.
func (g *gateway) stop() {
	g.t.Helper()
	g.signal(syscall.SIGTERM)
	g.ended()
}

// kill ends it as a power cut does.
func (g *gateway) kill() {
	g.t.Helper()
	g.signal(syscall.SIGKILL)
	g.ended()
}

func (g *gateway) signal(s os.Signal) { _ = g.process.Signal(s) }

// ended waits for the end of the process.
func (g *gateway) ended() {
	g.t.Helper()
	p := g.process
	g.process = nil
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.Kill()
		g.t.Error("the gateway does not end")
	}
}

// eventually polls: the ledger settles after the response.
func (g *gateway) eventually(what string, ok func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	g.t.Fatalf("timed out waiting for: %s", what)
}

// booksInOrder is the end of every test: no open holds, and `verify` is clean.
func (g *gateway) booksInOrder() {
	g.t.Helper()
	var v struct {
		OK       bool     `json:"ok"`
		Holds    int      `json:"open_holds"`
		Problems []string `json:"problems"`
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if g.ask(http.MethodGet, "/meter/ledger/verify", nil, &v); v.Holds == 0 {
			break
		}
	}
	if v.Holds != 0 || !v.OK {
		g.t.Errorf("the books are not in order: %+v", v)
	}
	if out := g.cli("verify"); out.code != 0 {
		g.t.Errorf("farebox meter verify: exit %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	for line := range strings.Lines(g.log.String()) {
		if strings.Contains(line, "ledger.problem") {
			g.t.Errorf("the gateway reports: %s", line)
		}
	}
}

// output is what a command printed and how it ended.
type output struct {
	stdout, stderr string
	code           int
}

// cli runs farebox meter … against the gateway.
func (g *gateway) cli(args ...string) output {
	g.t.Helper()
	return g.exec(append([]string{"meter", "--address", g.admin}, args...)...)
}

func (g *gateway) exec(args ...string) output {
	g.t.Helper()
	cmd := g.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		g.t.Fatal(err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
