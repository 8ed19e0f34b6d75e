package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
)

// disk is a small file system of its own.
type disk struct {
	t   testing.TB
	dir string
}

// mount makes a file system, or skips the test where that is not allowed.
func mount(t testing.TB, kind string, megabytes int) *disk {
	t.Helper()
	d, err := mounted(t, kind, megabytes)
	if err != nil {
		t.Skip(err)
	}
	return d
}

// mounted makes a file system, where that is allowed.
func mounted(t testing.TB, kind string, megabytes int) (*disk, error) {
	t.Helper()
	base := t.TempDir()
	d := &disk{t: t, dir: filepath.Join(base, "disk")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	steps := [][]string{{"mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", megabytes), "tmpfs", d.dir}}
	if kind == "ext4" {
		image := filepath.Join(base, "image")
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(image, int64(megabytes)<<20); err != nil {
			t.Fatal(err)
		}
		steps = [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, d.dir}}
	}
	for _, step := range steps {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("this machine cannot mount a small %s: %v: %w %s", kind, step, err, out)
		}
	}
	t.Cleanup(func() {
		d.thaw()
		if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v %s", d.dir, err, out)
		}
	})
	return d, nil
}

func (d *disk) filler(n int) string { return filepath.Join(d.dir, fmt.Sprintf("filler%d", n)) }

// fill takes the disk's last byte: at once, then whatever came free meanwhile.
func (d *disk) fill() {
	d.t.Helper()
	for n := range 50 {
		f, err := os.OpenFile(d.filler(n), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return // not even a directory entry is left
		}
		var s syscall.Statfs_t
		if err := syscall.Fstatfs(int(f.Fd()), &s); err == nil && s.Bavail > 0 {
			_ = syscall.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize)
		}
		_, err = f.Write(bytes.Repeat([]byte{1}, 64<<10))
		_ = f.Close()
		if err != nil {
			return
		}
	}
}

// free removes what fill wrote.
func (d *disk) free() {
	for n := range 50 {
		_ = os.Remove(d.filler(n))
	}
}

func (d *disk) thaw() { _ = exec.Command("fsfreeze", "-u", d.dir).Run() }

// paying sends paid requests until stop, and counts the answers by their status.
type paying struct {
	mu     sync.Mutex
	status map[int]int
	slow   atomic.Int64 // the longest answer
	done   sync.WaitGroup
	quit   chan struct{}
}

func (g *gateway) pay(key string, clients int) *paying {
	p := &paying{status: map[int]int{}, quit: make(chan struct{})}
	for range clients {
		p.done.Go(func() {
			for {
				select {
				case <-p.quit:
					return
				default:
				}
				began := time.Now()
				status := g.try(key)
				took := int64(time.Since(began))
				for old := p.slow.Load(); took > old && !p.slow.CompareAndSwap(old, took); old = p.slow.Load() {
				}
				p.mu.Lock()
				p.status[status]++
				p.mu.Unlock()
				if status != http.StatusOK {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	return p
}

func (p *paying) stop() { close(p.quit); p.done.Wait() }

func (p *paying) count(status int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status[status]
}

// try is a paid request; 0: there was no answer.
func (g *gateway) try(key string) int {
	req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+chatPath, bytes.NewReader([]byte(chatBody("demo-small"))))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func (g *gateway) dead() bool {
	select {
	case <-g.process.done:
		return true
	default:
		return false
	}
}

// A full disk stops paid requests, and nothing else: the process lives, whatever it
// was doing, also if it is restarted on the full disk. With room again, paid requests
// run by themselves, and no charge was lost.
func TestAFullDisk(t *testing.T) {
	random := rand.New(rand.NewPCG(seed.Of(t), 1)) //nolint:gosec // no secret
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			d := mount(t, kind, 512)
			g := start(t, setup{data: filepath.Join(d.dir, "meter")})
			key := g.account("acme", "100000000")
			for round := range diskRounds() {
				g.fullDisk(d, key, round, random)
			}
		})
	}
}

// diskRounds is how often each kind of disk is filled.
func diskRounds() int {
	if n, err := strconv.Atoi(os.Getenv("FAREBOX_DISK_ROUNDS")); err == nil {
		return n
	}
	return 2
}

func (g *gateway) fullDisk(d *disk, key string, round int, random *rand.Rand) {
	g.t.Helper()
	p := g.pay(key, 8)
	defer p.stop()
	g.eventually("paid requests run", func() bool { return p.count(http.StatusOK) > 50 })
	time.Sleep(time.Duration(random.Int64N(int64(2500 * time.Millisecond)))) // anywhere between two flushes
	d.fill()
	refused := func() bool {
		if g.dead() {
			g.t.Fatalf("round %d: the full disk has killed the gateway:\n%s", round, g.log.tail(60))
		}
		d.fill()
		return p.count(http.StatusServiceUnavailable) > 20
	}
	g.eventually("paid requests are refused", refused)
	g.worksWithoutLedger(key)
	if random.IntN(2) == 0 {
		for range 3 {
			if random.IntN(2) == 0 {
				g.kill()
			} else {
				g.stop()
			}
			d.fill()
			g.run()
		}
		g.worksWithoutLedger(key)
		if status := g.try(key); status != http.StatusServiceUnavailable {
			g.t.Errorf("after a restart on the full disk: %d", status)
		}
	}
	before := p.count(http.StatusOK)
	d.free()
	g.eventually("paid requests run again", func() bool { return g.dead() || p.count(http.StatusOK) > before+50 })
	if g.dead() {
		g.t.Fatalf("round %d: room on the disk has killed the gateway:\n%s", round, g.log.tail(60))
	}
}

// worksWithoutLedger asks for what needs no write.
func (g *gateway) worksWithoutLedger(key string) {
	g.t.Helper()
	for _, url := range []string{"http://" + g.admin + "/metrics", "http://" + g.admin + "/meter/accounts", "http://" + g.addr + "/_meter/", "http://" + g.addr + "/_meter/v1/balance"} {
		req, err := http.NewRequest(http.MethodGet, url, http.NoBody)
		if err != nil {
			g.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			g.t.Errorf("on a full disk: %v", err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			g.t.Errorf("on a full disk: %s: %s", url, res.Status)
		}
	}
}

// A disk that hangs does not hang requests: they are refused within ledger_timeout,
// the rest goes on, and afterwards no hold is left and no charge is lost.
func TestAHungDisk(t *testing.T) {
	d := mount(t, "ext4", 512)
	caddyfile := strings.Replace(read(t, "../Caddyfile"), "\tmeter {\n", "\tmeter {\n\t\tledger_timeout 2s\n", 1)
	if !strings.Contains(caddyfile, "ledger_timeout") {
		t.Fatal("the Caddyfile has another shape")
	}
	g := start(t, setup{caddyfile: caddyfile, data: filepath.Join(d.dir, "meter")})
	key := g.account("acme", "100000000")
	p := g.pay(key, 16)
	g.eventually("paid requests run", func() bool { return p.count(http.StatusOK) > 50 })
	if out, err := exec.Command("fsfreeze", "-f", d.dir).CombinedOutput(); err != nil {
		p.stop()
		t.Skipf("this machine cannot freeze a file system: %v %s", err, out)
	}
	until := time.Now().Add(8 * time.Second)
	g.eventually("paid requests are refused", func() bool { return p.count(http.StatusServiceUnavailable) > 100 })
	g.eventually("the gateway says so", func() bool { return strings.Contains(g.log.String(), "ledger.stopped") })
	g.lives()
	time.Sleep(time.Until(until))
	before := p.count(http.StatusOK)
	d.thaw()
	g.eventually("paid requests run again", func() bool { return p.count(http.StatusOK) > before+50 })
	g.eventually("the gateway says so", func() bool { return strings.Contains(g.log.String(), "ledger.resumed") })
	p.stop()
	if slow := time.Duration(p.slow.Load()); slow > 6*time.Second {
		t.Errorf("a request waited for %s", slow)
	}
	if n := p.count(0); n > 0 {
		t.Errorf("%d requests had no answer", n)
	}
}

// lives asks for what needs no disk.
func (g *gateway) lives() {
	g.t.Helper()
	client := &http.Client{Timeout: 2 * time.Second}
	for _, url := range []string{"http://" + g.admin + "/metrics", "http://" + g.admin + "/meter/health", "http://" + g.addr + "/_meter/"} {
		res, err := client.Get(url)
		if err != nil {
			g.t.Errorf("while the disk hangs: %v", err)
			continue
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(res.Body)
		_ = res.Body.Close()
		if strings.HasSuffix(url, "/health") && !strings.Contains(body.String(), `"ready":false`) {
			g.t.Errorf("the health of a gateway whose disk hangs: %s", body.String())
		}
	}
}
