package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

func (m *measurement) run(ctx context.Context) error {
	steps := []func(context.Context) error{m.idle, m.reads, m.load, m.verify, m.kills, m.disk}
	switch *only {
	case "":
	case "disk":
		steps = []func(context.Context) error{m.disk}
	default:
		return fmt.Errorf("-only %s: write disk", *only)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settled is how long an idle gateway may work off what its start left to do.
const settled = 20 * time.Second

func (m *measurement) idle(context.Context) error {
	took, err := m.start()
	if err != nil {
		return err
	}
	m.note("start after a stop", short(took), "")
	time.Sleep(settled)
	m.note("memory, idle", m.memory(), "≤ 400 MB")
	m.profile("heap", "idle-heap")
	return nil
}

// reads measures pages, one after the other, on an idle gateway.
func (m *measurement) reads(context.Context) error {
	portal, operator := "http://"+m.addr+"/_meter/v1", "http://"+m.admin+"/meter"
	to := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	year := "from=" + time.Now().UTC().AddDate(-1, 0, 1).Format(time.DateOnly) + "&to=" + to
	last := accountID(*accounts - 1)
	for _, x := range []struct {
		name, aim string
		times     int
		url       func() (string, string)
	}{
		{"balance, any account", "p99 ≤ 5 ms", 2000, func() (string, string) { return portal + "/balance", m.keys[rand.N(len(m.keys))] }}, //nolint:gosec // no secret
		{"balance, the busy account", "p99 ≤ 5 ms", 200, func() (string, string) { return portal + "/balance", m.keys[0] }},
		{"usage of a year by day", "≤ 200 ms", 20, func() (string, string) { return portal + "/usage?interval=day&" + year, m.keys[0] }},
		{"usage of a year by month and model", "≤ 200 ms", 20, func() (string, string) {
			return portal + "/usage?interval=month&group_by=model&" + year, m.keys[0]
		}},
		{"charges, newest 50", "", 20, func() (string, string) { return portal + "/charges", m.keys[0] }},
		{"accounts, first page", "≤ 100 ms", 20, func() (string, string) { return operator + "/accounts", "" }},
		{"accounts, page from the middle", "≤ 100 ms", 20, func() (string, string) {
			return operator + "/accounts?cursor=" + accountID(*accounts/2), ""
		}},
		{"accounts, search of an id", "≤ 100 ms", 20, func() (string, string) { return operator + "/accounts?q=" + last[3:], "" }},
		{"accounts, search of a name", "≤ 100 ms", 20, func() (string, string) { return operator + "/accounts?q=of+bergen", "" }},
		{"accounts, search that finds none", "≤ 100 ms", 20, func() (string, string) {
			return operator + "/accounts?q=" + url.QueryEscape("no such customer"), ""
		}},
		{"keys of an account", "≤ 100 ms", 20, func() (string, string) { return operator + "/accounts/" + last + "/keys", "" }},
		{"plans with their accounts", "≤ 100 ms", 5, func() (string, string) { return operator + "/plans", "" }},
	} {
		var all []time.Duration
		for range x.times {
			u, key := x.url()
			began := time.Now()
			if _, err := m.get(u, key); err != nil {
				return err
			}
			all = append(all, time.Since(began))
		}
		slices.Sort(all)
		m.note(x.name, fmt.Sprintf("p50 %s, p99 %s", short(all[len(all)/2]), short(all[len(all)*99/100])), x.aim)
	}
	return nil
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// load sends requests of all accounts through the proxy, with balances between them.
func (m *measurement) load(ctx context.Context) error {
	go m.profile("profile", "load-cpu")
	limited, cancel := context.WithTimeout(ctx, *seconds)
	defer cancel()
	requests, balances, err := m.requests(limited)
	if err != nil {
		return err
	}
	memory := m.memory()
	m.profile("heap", "load-heap")
	slices.Sort(requests)
	slices.Sort(balances)
	m.note(fmt.Sprintf("requests of all accounts, %d clients", *clients), fmt.Sprintf("%.0f/s, p50 %s, p99 %s",
		float64(len(requests))/seconds.Seconds(), short(requests[len(requests)/2]), short(requests[len(requests)*99/100])), "")
	m.note("balance under that load", fmt.Sprintf("p50 %s, p99 %s", short(balances[len(balances)/2]), short(balances[len(balances)*99/100])), "")
	m.note("memory under that load", memory, "≤ 600 MB")
	return nil
}

// requests sends them until ctx ends; a gateway that is killed meanwhile is no error.
func (m *measurement) requests(ctx context.Context) (requests, balances []time.Duration, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range *clients {
		all.Go(func() {
			var mine []time.Duration
			var failed error
			for ctx.Err() == nil && failed == nil {
				began := time.Now()
				key := m.keys[rand.N(len(m.keys))] //nolint:gosec // no secret
				if n == 0 {
					_, failed = m.get("http://"+m.addr+"/_meter/v1/balance", key)
				} else {
					failed = m.ask(ctx, key)
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			if n == 0 {
				balances = mine
			} else {
				requests = append(requests, mine...)
			}
			if failed != nil && ctx.Err() == nil {
				err = failed
			}
		})
	}
	all.Wait()
	return requests, balances, err
}

func (m *measurement) ask(ctx context.Context, key string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.addr+"/v1/chat/completions",
		strings.NewReader(`{"model":"gpt-5-mini","max_tokens":100,"messages":[{"role":"user","content":"How deep is the harbour?"}]}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := m.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != answer) {
		err = fmt.Errorf("%s: %.300s", res.Status, body)
	}
	return err
}

// verify recomputes everything, in the running gateway.
func (m *measurement) verify(context.Context) error {
	go m.profile("profile", "verify-cpu")
	cpu, began := m.cpu(), time.Now()
	raw, err := m.get("http://"+m.admin+"/meter/ledger/verify", "")
	if err != nil {
		return err
	}
	took := time.Since(began)
	var v struct {
		OK                         bool
		Accounts, Entries, Charges int
		Problems                   []string
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	if !v.OK {
		return fmt.Errorf("the ledger does not verify: %d problems, the first of them %s", len(v.Problems), v.Problems[0])
	}
	m.note("verify", fmt.Sprintf("%.0f entries/s (%d in %.1f s, %.1f s of CPU time)",
		float64(v.Entries)/took.Seconds(), v.Entries, took.Seconds(), (m.cpu()-cpu).Seconds()), "≥ 500000/s")
	return nil
}

// kills kills the gateway under load and starts it again.
func (m *measurement) kills(ctx context.Context) error {
	var slowest time.Duration
	for range *rounds {
		loading, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() {
			_, _, err := m.requests(loading)
			ended <- err
		}()
		time.Sleep(3 * time.Second)
		cancel()
		if err := m.kill(); err != nil {
			return err
		}
		if err := <-ended; err != nil {
			return err
		}
		took, err := m.start()
		if err != nil {
			return err
		}
		slowest = max(slowest, took)
	}
	m.note(fmt.Sprintf("start after a kill, slowest of %d", *rounds), short(slowest), "≤ 2000 ms")
	return nil
}

// disk stops the gateway, compacts its directory, and says what of it is accounts and
// what is charges.
func (m *measurement) disk(ctx context.Context) error {
	m.stop()
	before := diskOf(m.home, "")
	s, err := badger.Open(filepath.Join(m.home, "ledger"), log.Printf)
	if err != nil {
		return err
	}
	err = s.Compact(ctx, store.Compaction{Whole: true})
	bytes, perAccount := map[store.Kind]int64{}, int64(0)
	if err == nil {
		bytes, perAccount, err = contents(ctx, s)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	whole, logs, archive := diskOf(m.home, ""), diskOf(m.home, "log"), diskOf(m.home, "archive")
	tables := tablesOf(m.home)
	var inTables, inArchive int64
	for kind, n := range bytes {
		if kind == store.Charge || kind == store.Entry {
			inArchive += n
		} else {
			inTables += n
		}
	}
	// What compression leaves is shared out by what went in.
	share := func(disk, part, of int64) float64 { return float64(disk) * float64(part) / float64(max(1, of)) }
	opening := share(archive, perAccount, inArchive)
	charge := float64(archive) - opening + share(tables, bytes[store.Usage], inTables)
	account := opening + share(tables, inTables-bytes[store.Usage], inTables)
	m.note("disk per charge", fmt.Sprintf("%.0f bytes", charge/float64(*charges)), "≤ 250 bytes")
	m.note("disk per account", fmt.Sprintf("%.0f bytes", account/float64(*accounts)), "")
	m.note("disk", fmt.Sprintf("%.2f GB: archive %.2f, tables %.2f, log %.2f, the rest is reserved (before compaction %.2f GB)", float64(whole)/1e9, float64(archive)/1e9, float64(tables)/1e9, float64(logs)/1e9, float64(before)/1e9), "")
	return nil
}

// contents is how many bytes the records of each kind have, and how many of those of
// the journal belong to no charge: accounts have them, charges or not.
func contents(ctx context.Context, s *badger.Store) (bytes map[store.Kind]int64, perAccount int64, err error) {
	bytes = map[store.Kind]int64{}
	err = s.View(ctx, func(v store.Snapshot) error {
		for kind := store.Kind('a'); kind <= 'z'; kind++ {
			err := v.Scan(store.ID{Kind: kind}, false, func(id store.ID, value []byte) error {
				n := int64(id.Len() + len(value))
				bytes[kind] += n
				if kind != store.Entry {
					return nil
				}
				e, err := ledger.DecodeEntry(value)
				if err == nil && e.Charge == "" {
					perAccount += n
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return bytes, perAccount, err
}
