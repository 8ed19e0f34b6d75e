//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// bench is an upstream and the gateways in front of it.
type bench struct {
	upstream *upstream
	gateways []*gateway
}

func newBench(dir string, wanted []string) (*bench, error) {
	if err := os.WriteFile(filepath.Join(dir, "pricing.yaml"), []byte(prices), 0o600); err != nil {
		return nil, err
	}
	u, err := newUpstream()
	if err != nil {
		return nil, err
	}
	b := &bench{upstream: u}
	for _, name := range wanted {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
		if i < 0 {
			b.stop()
			return nil, fmt.Errorf("no gateway is called %q", name)
		}
		g, err := start(kinds[i], dir, u.addr)
		if err != nil {
			b.stop()
			return nil, err
		}
		if g != nil {
			b.gateways = append(b.gateways, g)
		}
	}
	return b, nil
}

func (b *bench) stop() {
	for _, g := range b.gateways {
		g.stop()
	}
	_ = b.upstream.server.Close()
}

// figures are what the turns of one gateway say.
type figures struct {
	rate        float64 // units a second
	p50, p99    time.Duration
	cpu         float64 // µs of the gateway per unit
	allocations float64 // of the gateway per unit
	peak        float64 // MB of memory
	booked      float64 // charges per request that was answered
}

// results are the figures by row and gateway.
type results map[string]map[string]figures

// compare measures the gateways in turns and takes the medians. Another one
// begins in each round, so that none profits from its place.
func (b *bench) compare(r row) (map[string]figures, error) {
	b.upstream.delay.Store(int64(r.upstream))
	turns := map[string][]figures{}
	for round := range *rounds + 1 {
		for i := range b.gateways {
			g := b.gateways[(i+round)%len(b.gateways)]
			if !g.takes(r) {
				continue
			}
			if err := g.needKeys(r.accounts()); err != nil {
				return nil, err
			}
			var profiled sync.WaitGroup
			if *profiles != "" && round == *rounds {
				profiled.Go(func() { g.profile(filepath.Join(*profiles, r.name+"-"+g.name+".pprof")) })
			}
			f, err := g.turn(r)
			profiled.Wait()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.name, err)
			}
			if round > 0 { // the first one warms up
				turns[g.name] = append(turns[g.name], f)
			}
		}
	}
	found := map[string]figures{}
	for name, list := range turns {
		found[name] = medians(list)
	}
	return found, nil
}

// shortly is how long a gateway is quiet between turns.
const shortly = 200 * time.Millisecond

// turn loads one gateway for a while. What it leaves for later is on its bill, too.
func (g *gateway) turn(r row) (figures, error) {
	if err := errors.Join(g.idle(shortly), g.resetPeak()); err != nil {
		return figures{}, err
	}
	before, err := g.meters()
	if err != nil {
		return figures{}, err
	}
	began := time.Now()
	all, err := g.load(r)
	if err != nil {
		return figures{}, err
	}
	took := time.Since(began)
	if err = g.idle(shortly); err != nil {
		return figures{}, err
	}
	after, err := g.meters()
	if err != nil {
		return figures{}, err
	}
	peak, err := g.peak()
	if err != nil {
		return figures{}, err
	}
	units := 0.0
	for _, s := range all {
		units += s.units
	}
	slices.SortFunc(all, func(a, b sample) int { return cmp.Compare(a.took, b.took) })
	return figures{
		rate: units / took.Seconds(), p50: all[len(all)/2].took, p99: all[len(all)*99/100].took,
		cpu: float64((after.cpu - before.cpu).Microseconds()) / units, allocations: (after.mallocs - before.mallocs) / units, peak: peak,
		booked: float64(after.booked-before.booked) / float64(len(all)),
	}, nil
}

// load asks from all clients of the row at once, each at least once.
func (g *gateway) load(r row) ([]sample, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: r.clients, DisableCompression: true}}
	defer client.CloseIdleConnections()
	samples, failed := make([][]sample, r.clients), make([]error, r.clients)
	began := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range r.clients {
		wg.Go(func() {
			for {
				s, err := r.ask(client, g.addr, g.key(int(next.Add(1)), r.accounts()))
				if err != nil {
					failed[i] = err
					return
				}
				if samples[i] = append(samples[i], s); time.Since(began) >= *seconds {
					return
				}
			}
		})
	}
	wg.Wait()
	return slices.Concat(samples...), errors.Join(failed...)
}

func medians(list []figures) figures {
	of := func(key func(figures) float64) float64 {
		var v []float64
		for _, f := range list {
			v = append(v, key(f))
		}
		return middle(v)
	}
	return figures{
		rate:        of(func(f figures) float64 { return f.rate }),
		p50:         time.Duration(of(func(f figures) float64 { return float64(f.p50) })),
		p99:         time.Duration(of(func(f figures) float64 { return float64(f.p99) })),
		cpu:         of(func(f figures) float64 { return f.cpu }),
		allocations: of(func(f figures) float64 { return f.allocations }),
		peak:        of(func(f figures) float64 { return f.peak }),
		booked:      of(func(f figures) float64 { return f.booked }),
	}
}

func middle[T cmp.Ordered](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
