//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// meters are what a process has used so far.
type meters struct {
	cpu     time.Duration
	mallocs float64
	booked  int
}

func (g *gateway) meters() (m meters, err error) {
	if m.cpu, err = g.cpu(); err != nil {
		return m, err
	}
	if g.admin != "" {
		m.mallocs, err = g.mallocs()
	}
	if g.booked != nil && err == nil {
		m.booked, err = g.booked()
	}
	return m, err
}

// cpu is the CPU time that the gateway has used.
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

// mallocs is how many objects the gateway has allocated.
func (g *gateway) mallocs() (float64, error) {
	res, err := adminClient.Get("http://" + g.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "go_memstats_mallocs_total "); ok {
			_, _ = io.Copy(io.Discard, res.Body)
			return strconv.ParseFloat(text, 64)
		}
	}
	return 0, fmt.Errorf("%s reports no go_memstats_mallocs_total", g.name)
}

// idle waits until the gateway has done what it left for later: until it has used
// next to no CPU time for a while.
func (g *gateway) idle(quiet time.Duration) error {
	const look, busy, atMost = 200 * time.Millisecond, 20 * time.Millisecond, time.Minute
	before, err := g.cpu()
	began, since := time.Now(), time.Now()
	for err == nil && time.Since(since) < quiet && time.Since(began) < atMost {
		time.Sleep(look)
		var now time.Duration
		if now, err = g.cpu(); now-before >= busy {
			since = time.Now()
		}
		before = now
	}
	return err
}

// resetPeak makes peak count from now.
func (g *gateway) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.cmd.Process.Pid), []byte("5"), 0o600)
}

// peak is the most memory that was resident, in MB.
func (g *gateway) peak() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(rest + " ?")[0])
	return float64(kb) / 1000, err
}

// profile writes where the gateway spends its CPU time in one turn.
func (g *gateway) profile(file string) {
	res, err := adminClient.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", g.admin, max(1, int(seconds.Seconds()))))
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // read to its end
		var raw []byte
		if raw, err = io.ReadAll(res.Body); err == nil {
			err = os.WriteFile(file, raw, 0o600)
		}
	}
	if err != nil {
		log.Printf("no profile: %v", err)
	}
}

// syncTime is how long the disk takes to make one small record durable, in a file
// that has its size already: the median of many.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // a temporary file
	defer f.Close()           //nolint:errcheck // nothing of it is kept
	const n, size = 500, 200
	if _, err = f.Write(make([]byte, n*size)); err != nil {
		return 0, err
	}
	if err = f.Sync(); err != nil {
		return 0, err
	}
	var took []time.Duration
	for i := range n {
		began := time.Now()
		if _, err = f.WriteAt(bytes.Repeat([]byte{byte(i)}, size), int64(i*size)); err != nil {
			return 0, err
		}
		if err = syscall.Fdatasync(int(f.Fd())); err != nil { //nolint:gosec // a file descriptor fits
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	return middle(took), nil
}
