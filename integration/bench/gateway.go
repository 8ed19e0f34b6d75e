//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const prices = `version: 1
credit: {name: credit, decimals: 6}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  speech: {match: POST /v1/audio/speech, model: none, price: 1}
  upload: {match: POST /v1/uploads, model: none, price: 1}
models:
  gpt-5-mini: {per_1k_tokens: {input: 1, output: 8}}
plans:
  big: {credits: [{type: free, amount: 1_000_000_000, every: year}]}
default_plan: big
`

// kind is a gateway that can be measured.
type kind struct {
	name     string
	binary   func(dir string) (string, error)
	global   string // options of the Caddyfile; {own} is a path of its own, {pricing} the price file
	handler  string // in front of reverse_proxy
	ledger   bool   // it has accounts, and charges them
	optional bool   // left out if the binary does not know its options

	// launch starts another gateway than Caddy. It has one account, answers chats only,
	// and has no admin endpoint.
	launch func(k kind, dir, upstream string) (*gateway, error)
}

// takes says if the gateway can be measured with a row.
func (k kind) takes(r row) bool { return k.launch == nil || !r.many && r.unit != "MB" }

const meterOptions = "meter {\n store badger {own}\n pricing {pricing}\n}"

var kinds = []kind{
	{name: "plain", binary: farebox},
	{name: "limit", binary: buildLimit, handler: "limit * {own}"},
	{name: "durable", binary: farebox, global: meterOptions, handler: "meter", ledger: true},
	{name: "before", binary: earlier, global: meterOptions, handler: "meter", ledger: true},
	{name: "transaction", binary: buildLimit, handler: "transaction * {own}"},
	{name: "one-api", launch: launchOneAPI},
	{name: "one-api-batch", launch: launchOneAPI},
	{name: "overlap", binary: farebox, global: meterOptions, handler: "meter {\n hold overlap\n}", ledger: true, optional: true},
}

func farebox(string) (string, error) { return *binary, nil }

// earlier is another binary, so that a change is compared with what was before it in
// one run.
func earlier(string) (string, error) {
	if *before == "" {
		return "", errors.New("-before does not say which binary to compare with")
	}
	return *before, nil
}

// buildLimit builds integration/bench/limit. Most of it is in the build cache.
func buildLimit(dir string) (string, error) {
	file := filepath.Join(dir, "limit.bin")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	out, err := exec.Command("go", "build", "-tags", "nobadger,nomysql,nopgx", "-o", file, "./integration/bench/limit").CombinedOutput() //nolint:gosec // fixed arguments
	if err != nil {
		return "", fmt.Errorf("building the limit: %w\n%s", err, out)
	}
	return file, nil
}

// gateway is a running one.
type gateway struct {
	kind
	cmd         *exec.Cmd
	addr, admin string
	keys        []string            // of its accounts
	booked      func() (int, error) // how many charges it has booked; nil if that is not asked
	log         bytes.Buffer
}

// start runs a gateway with its files in dir; nil if the binary does not know an
// optional kind.
func start(k kind, dir, upstream string) (*gateway, error) {
	if k.launch != nil {
		return k.launch(k, dir, upstream)
	}
	bin, err := k.binary(dir)
	if err != nil {
		return nil, err
	}
	ports := [2]string{}
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	paths := strings.NewReplacer("{own}", strconv.Quote(filepath.Join(dir, k.name)), "{pricing}", strconv.Quote(filepath.Join(dir, "pricing.yaml")))
	config := fmt.Sprintf("{\n admin 127.0.0.1:%s\n auto_https off\n persist_config off\n log {\n level ERROR\n }\n %s\n}\nhttp://:%s {\n bind 127.0.0.1\n %s\n reverse_proxy %s {\n transport http {\n keepalive_idle_conns_per_host 256\n }\n }\n}\n",
		ports[0], paths.Replace(k.global), ports[1], paths.Replace(k.handler), upstream)
	file := filepath.Join(dir, k.name+".Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if k.optional {
		if out, err := exec.Command(bin, "adapt", "--config", file, "--adapter", "caddyfile").CombinedOutput(); err != nil { //nolint:gosec // our own binary
			fmt.Printf("Without %s, which this binary does not know: %s\n", k.name, bytes.TrimSpace(out))
			return nil, nil //nolint:nilnil // documented
		}
	}
	if k.ledger { // a binary from before this command creates its ledger itself
		_ = exec.Command(bin, "meter", "init", "--data", filepath.Join(dir, k.name)).Run() //nolint:gosec // our own binary
	}
	g := &gateway{kind: k, cmd: exec.Command(bin, "run", "--config", file, "--adapter", "caddyfile"), addr: "127.0.0.1:" + ports[1], admin: "127.0.0.1:" + ports[0]} //nolint:gosec // our own binary
	g.cmd.Stderr, g.cmd.Stdout = &g.log, &g.log
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	return g, g.ready()
}

// ready waits until the gateway serves; it ends one that does not.
func (g *gateway) ready() error {
	path := "/config/"
	if g.ledger {
		path = "/meter/health"
	}
	for range 200 {
		if res, err := adminClient.Get("http://" + g.admin + path); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	g.stop()
	return fmt.Errorf("%s did not start:\n%s", g.name, g.log.String())
}

func (g *gateway) stop() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	_ = g.cmd.Wait()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close() //nolint:errcheck // only its number is wanted
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

var adminClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
