package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

const answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-5-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Nine metres."},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":20,"total_tokens":45}}`

// measurement is a gateway on the data directory, an upstream, and what was measured.
type measurement struct {
	home, config string
	keys         []string
	upstream     *http.Server
	addr, admin  string
	cmd          *exec.Cmd
	ended        <-chan struct{} // closed when it has ended
	log          bytes.Buffer
	client       *http.Client
	figures      []figure
}

type figure struct{ name, value, aim string }

func (m *measurement) note(name, value, aim string) {
	m.figures = append(m.figures, figure{name, value, aim})
}

func newMeasurement(home string, keys []string) (*measurement, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &measurement{home: home, keys: keys, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *clients, DisableCompression: true}}}
	m.upstream = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	})}
	go m.upstream.Serve(l) //nolint:errcheck // ends with stop
	if m.addr, err = freeAddress(); err != nil {
		return nil, err
	}
	if m.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	pricing := filepath.Join(home, "pricing.yaml")
	if err := os.WriteFile(pricing, []byte(prices), 0o600); err != nil {
		return nil, err
	}
	// An endpoint that hears of prices only: with it, the rules of events run as
	// they do for an operator who has set any up.
	config := fmt.Sprintf(`{
	admin %s
	auto_https off
	persist_config off
	log {
		level ERROR
	}
	meter {
		store badger %q
		pricing %q
		notify webhook http://%s/hook whsec_%s only prices.rejected
	}
}
http://%s {
	bind 127.0.0.1
	meter_dashboard
	meter
	reverse_proxy %s {
		transport http {
			keepalive_idle_conns_per_host 256
		}
	}
}
`, m.admin, filepath.Join(home, "ledger"), pricing, l.Addr(), strings.Repeat("QUJD", 8), m.addr, l.Addr())
	m.config = filepath.Join(home, "Caddyfile")
	return m, os.WriteFile(m.config, []byte(config), 0o600)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close() //nolint:errcheck // only its address is wanted
	return l.Addr().String(), nil
}

// start runs the gateway and returns how long it took until it was ready.
func (m *measurement) start() (time.Duration, error) {
	m.cmd = exec.Command(*binary, "run", "--config", m.config, "--adapter", "caddyfile") //nolint:gosec // our own binary
	m.cmd.Stderr, m.cmd.Stdout = &m.log, &m.log
	began := time.Now()
	if err := m.cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	m.ended = ended
	go func(c *exec.Cmd) {
		_ = c.Wait()
		close(ended)
	}(m.cmd)
	for time.Since(began) < 5*time.Minute {
		if res, err := m.client.Get("http://" + m.admin + "/meter/health"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(began), nil
			}
		}
		select {
		case <-ended:
			return 0, errors.New("the gateway ended while it started")
		case <-time.After(5 * time.Millisecond):
		}
	}
	return 0, errors.New("the gateway did not start")
}

// kill ends the gateway as a crash does.
func (m *measurement) kill() error {
	err := m.cmd.Process.Signal(syscall.SIGKILL)
	<-m.ended
	m.client.CloseIdleConnections()
	return err
}

func (m *measurement) stop() {
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
		<-m.ended
	}
	_ = m.upstream.Close()
}

// memory is what the gateway has in memory: all of it, and what is its own. The rest
// is pages of files, which the kernel takes back when it needs them.
func (m *measurement) memory() string {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	mb := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 {
			kb, _ := strconv.ParseFloat(f[1], 64)
			mb[f[0]] = kb / 1024
		}
	}
	return fmt.Sprintf("%.0f MB, of which %.0f are its own (peak of all %.0f)", mb["VmRSS:"], mb["RssAnon:"], mb["VmHWM:"])
}

// cpu is the CPU time of the gateway so far.
func (m *measurement) cpu() time.Duration {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// get reads a page of the gateway.
func (m *measurement) get(url, key string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", url, res.Status, body)
	}
	return body, err
}

// profile writes a heap profile of the gateway, or of kind "profile" one of its CPU.
func (m *measurement) profile(kind, name string) {
	if *profiles == "" {
		return
	}
	url := "http://" + m.admin + "/debug/pprof/" + kind
	if kind == "profile" {
		url += fmt.Sprintf("?seconds=%d", max(1, int(seconds.Seconds())-1))
	}
	if raw, err := m.get(url, ""); err == nil {
		_ = os.WriteFile(filepath.Join(*profiles, name+".pprof"), raw, 0o600)
	}
}

// diskOf is how many bytes the files of the ledger, or of a directory in it, take.
func diskOf(home, part string) (sum int64) {
	_ = filepath.WalkDir(filepath.Join(home, "ledger", part), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that compaction has just removed
		}
		if info, err := d.Info(); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				sum += s.Blocks * 512
			}
		}
		return nil
	})
	return sum
}

// tablesOf is how many bytes Badger's tables take. Its other files are as large in a
// small ledger as in a large one.
func tablesOf(home string) (sum int64) {
	names, _ := filepath.Glob(filepath.Join(home, "ledger", "*.sst"))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
