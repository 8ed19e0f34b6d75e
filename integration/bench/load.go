package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const question = `{"model":"gpt-5-mini","max_tokens":100,"messages":[{"role":"system","content":"You keep the logbook of a small port."},{"role":"user","content":"Summarise the harbour log in two sentences."}]}`

// figures are what one measurement says.
type figures struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
	cpu      float64 // µs of the gateway per request
}

// String is the cells of a table.
func (f figures) String() string {
	return fmt.Sprintf("%.0f\t%s\t%s\t%.0f", f.rate, short(f.p50), short(f.p99), f.cpu)
}

func short(d time.Duration) string { return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000) }

// compare measures both gateways in turns and takes the medians.
func (b *bench) compare(s scenario) (plain, metered figures, err error) {
	if err := b.needKeys(s.accounts); err != nil {
		return plain, metered, err
	}
	var p, m []figures
	var profiled sync.WaitGroup
	defer profiled.Wait()
	for round := range *rounds + 1 {
		fp, err := b.load(b.plain, s)
		if err != nil {
			return plain, metered, fmt.Errorf("plain: %w", err)
		}
		if *profiles != "" && round == *rounds {
			profiled.Go(func() { b.profile(fmt.Sprintf("%s/%s-%d-%d.pprof", *profiles, s.latency, s.clients, s.accounts)) })
		}
		fm, err := b.load(b.metered, s)
		if err != nil {
			return plain, metered, fmt.Errorf("metered: %w", err)
		}
		if round > 0 { // the first one warms up
			p, m = append(p, fp), append(m, fm)
		}
	}
	return median(p), median(m), nil
}

// profile writes where the metered gateway spends its CPU time in one measurement.
func (b *bench) profile(file string) {
	res, err := adminClient.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", b.metered.admin, max(1, int(seconds.Seconds()))))
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

func median(list []figures) (f figures) {
	mid := func(key func(figures) float64) float64 {
		var v []float64
		for _, x := range list {
			v = append(v, key(x))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	f.rate, f.cpu = mid(func(x figures) float64 { return x.rate }), mid(func(x figures) float64 { return x.cpu })
	f.p50 = time.Duration(mid(func(x figures) float64 { return float64(x.p50) }))
	f.p99 = time.Duration(mid(func(x figures) float64 { return float64(x.p99) }))
	return f
}

// load sends requests from s.clients connections for the measuring time.
func (b *bench) load(g *gateway, s scenario) (figures, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.clients, DisableCompression: true}}
	defer client.CloseIdleConnections()
	before, err := g.cpu()
	if err != nil {
		return figures{}, err
	}
	began := time.Now()
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	for range s.clients {
		wg.Go(func() {
			var mine []time.Duration
			var err error
			for time.Since(began) < *seconds && err == nil {
				var d time.Duration
				if d, err = ask(client, g.addr, b.keys[int(next.Add(1))%s.accounts]); err == nil {
					mine = append(mine, d)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	after, err := g.cpu()
	if failed != nil || err != nil || len(all) == 0 {
		return figures{}, fmt.Errorf("%w %w", failed, err)
	}
	slices.Sort(all)
	n := float64(len(all))
	return figures{
		rate: n / took.Seconds(), p50: all[len(all)/2], p99: all[len(all)*99/100],
		cpu: float64((after - before).Microseconds()) / n,
	}, nil
}

func ask(c *http.Client, addr, key string) (time.Duration, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/chat/completions", strings.NewReader(question))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	began := time.Now()
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != answer) {
		err = fmt.Errorf("%s: %.300s", res.Status, body)
	}
	return time.Since(began), err
}
