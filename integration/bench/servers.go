package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const prices = `version: 1
credit: {name: credit, decimals: 6}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
models:
  gpt-5-mini: {per_1k_tokens: {input: 1, output: 8}}
plans:
  big: {credits: [{type: free, amount: 1_000_000_000, every: year}]}
default_plan: big
`

const answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-5-mini","choices":[{"index":0,"message":{"role":"assistant","content":"The ferry left at dawn while fog lay over the harbour and nobody on the pier minded the delay."},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":20,"total_tokens":45}}`

// bench is an upstream and two gateways in front of it.
type bench struct {
	upstream       *http.Server
	plain, metered *gateway
	keys           []string
}

type gateway struct {
	cmd         *exec.Cmd
	addr, admin string
	log         bytes.Buffer
}

func newBench(dir string, latency time.Duration) (*bench, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &bench{upstream: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(latency)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	})}}
	go b.upstream.Serve(l) //nolint:errcheck // ends with stop
	dir = filepath.Join(dir, latency.String())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "pricing.yaml"), []byte(prices), 0o600); err != nil {
		return nil, err
	}
	if b.plain, err = start(dir, "plain", l.Addr().String(), "", ""); err != nil {
		return nil, err
	}
	global := fmt.Sprintf("meter {\n store badger %q\n pricing %q\n}", filepath.Join(dir, "ledger"), filepath.Join(dir, "pricing.yaml"))
	if b.metered, err = start(dir, "metered", l.Addr().String(), global, "meter"); err != nil {
		b.plain.stop()
		return nil, err
	}
	return b, nil
}

func (b *bench) stop() {
	b.plain.stop()
	b.metered.stop()
	_ = b.upstream.Close()
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

// start runs the binary with reverse_proxy to upstream, and handler before it.
func start(dir, name, upstream, global, handler string) (*gateway, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("{\n admin 127.0.0.1:%s\n auto_https off\n persist_config off\n log {\n level ERROR\n }\n %s\n}\nhttp://:%s {\n bind 127.0.0.1\n %s\n reverse_proxy %s {\n transport http {\n keepalive_idle_conns_per_host 256\n }\n }\n}\n",
		admin, global, port, handler, upstream)
	file := filepath.Join(dir, name+".Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	g := &gateway{cmd: exec.Command(*binary, "run", "--config", file, "--adapter", "caddyfile"), addr: "127.0.0.1:" + port} //nolint:gosec // our own binary
	g.cmd.Stderr, g.cmd.Stdout = &g.log, &g.log
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	g.admin = "127.0.0.1:" + admin
	ready := "/config/"
	if handler != "" {
		ready = "/meter/health"
	}
	for range 200 {
		if res, err := adminClient.Get("http://" + g.admin + ready); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return g, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	g.stop()
	return nil, fmt.Errorf("%s did not start:\n%s", name, g.log.String())
}

func (g *gateway) stop() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	_ = g.cmd.Wait()
}

// cpu is the CPU time that the gateway has used so far.
func (g *gateway) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err // USER_HZ is 100 everywhere
}

// needKeys makes sure that there are n accounts, each with a key.
func (b *bench) needKeys(n int) error {
	have := len(b.keys)
	if n <= have {
		return nil
	}
	keys := make([]string, n-have)
	errs := make(chan error, 32)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := w; i < len(keys); i += 32 {
				var err error
				if keys[i], err = b.newKey(have + i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	b.keys = append(b.keys, keys...)
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func (b *bench) newKey(i int) (string, error) {
	id := "account-" + strconv.Itoa(i)
	if err := b.post("/meter/accounts", map[string]string{"id": id}, nil); err != nil {
		return "", err
	}
	var k struct{ Secret string }
	err := b.post("/meter/accounts/"+id+"/keys", map[string]string{}, &k)
	return k.Secret, err
}

func (b *bench) post(path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+b.metered.admin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := adminClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s %w", path, res.Status, raw, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

var adminClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
