package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

const prices = `version: 1
credit: {name: credit, decimals: 6}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
models:
  gpt-5-mini: {per_1k_tokens: {input: 1, output: 8}}
  gpt-5:      {per_1k_tokens: {input: 5, output: 40}}
plans:
  big: {credits: [{type: free, amount: 1_000_000_000, every: year}]}
default_plan: big
`

// A year is played in groups of accounts: each has a clock and a store in memory
// of its own, so that groups run side by side and accounts stay in the cache.
const groupSize = 400

// group is some accounts and what became of them.
type group struct {
	first, size int
	keys        []string
	records     []record
}

// chargesOf is how many charges an account has. The first one is busy.
func chargesOf(account int) int {
	busy := *charges / 100
	if account == 0 {
		return busy
	}
	rest, others := *charges-busy, *accounts-1
	return account*rest/others - (account-1)*rest/others
}

func accountID(n int) string { return fmt.Sprintf("account-%07d", n) }

// generate plays all groups and writes them into home/ledger and home/keys.
func generate(ctx context.Context, home string) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	if book == nil {
		return errors.New(problems.Summary())
	}
	to, err := badger.Open(filepath.Join(home, "ledger"), log.Printf)
	if err != nil {
		return err
	}
	played := make(chan *group, 2)
	failed := make(chan error, 1)
	go func() {
		defer close(played)
		failed <- playAll(ctx, book, played)
	}()
	err = write(ctx, to, filepath.Join(home, "keys"), played)
	for range played { // after an error: let the players end
	}
	return errors.Join(err, <-failed, to.Close())
}

// playAll plays groups on all processors.
func playAll(ctx context.Context, book *pricing.Book, out chan<- *group) error {
	todo := make(chan *group)
	errs := make(chan error, runtime.GOMAXPROCS(0))
	var players sync.WaitGroup
	end := time.Now().UTC().Add(-time.Minute).Truncate(time.Second)
	for range runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for g := range todo {
				if err := g.play(ctx, book, end); err != nil {
					errs <- err
					return
				}
				out <- g
			}
		})
	}
	var err error
	for first := 0; first < *accounts && err == nil; first += groupSize {
		select {
		case todo <- &group{first: first, size: min(groupSize, *accounts-first)}:
		case err = <-errs:
		}
	}
	close(todo)
	players.Wait()
	return err
}

// request is one charge to be made.
type request struct {
	at      time.Time
	account int // in the group
}

// requests are those of the group's year, in order.
func (g *group) requests(random *rand.Rand, end time.Time) (list []request) {
	begin := end.AddDate(-1, 0, 0)
	year := end.Sub(begin)
	for n := range g.size {
		for range chargesOf(g.first + n) {
			list = append(list, request{begin.Add(time.Hour + rand.N(year-2*time.Hour)), n}) //nolint:gosec // no secret
		}
	}
	slices.SortFunc(list, func(a, b request) int { return cmp.Or(a.at.Compare(b.at), a.account-b.account) })
	for i := range list { // an answer takes some seconds: the next request comes after it
		list[i].at = list[i].at.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
	}
	return list
}

// play is the year of a group.
func (g *group) play(ctx context.Context, book *pricing.Book, end time.Time) error {
	random := rand.New(rand.NewPCG(1, uint64(g.first))) //nolint:gosec // the same accounts every time
	s, now := newGroupStore(), end.AddDate(-1, 0, 0)
	m, err := meter.Open(ctx, meter.Options{
		LedgerTimeout: -1, // a machine that is busy otherwise is no reason to give up
		Store:         s, Book: book, Text: []byte(prices), Now: func() time.Time { return now },
		Problem: func(err error) { log.Print(err) },
	})
	if err != nil {
		return err
	}
	callers := make([]meter.Caller, g.size)
	for n := range g.size {
		id := accountID(g.first + n)
		if _, err := m.Accounts.Create(ctx, id, fmt.Sprintf("Customer %d of %s", g.first+n, town(g.first+n)), ""); err != nil {
			return err
		}
		secret, key, err := m.Directory.Keys.Create(ctx, directory.Key{Account: id, Name: "production"})
		if err != nil {
			return err
		}
		g.keys, callers[n] = append(g.keys, secret), meter.Caller{Account: id, Key: key.ID}
	}
	for _, r := range g.requests(random, end) {
		if r.at.After(now) {
			now = r.at
		}
		if err := ask(ctx, m, callers[r.account], random); err != nil {
			return err
		}
		now = now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
	}
	m.Close()
	g.records = s.sorted()
	return nil
}

func town(n int) string {
	return [...]string{"Aarhus", "Bergen", "Coimbra", "Dundee", "Eger", "Faro", "Ghent"}[n%7]
}

// ask makes one request that is answered.
func ask(ctx context.Context, m *meter.Gateway, who meter.Caller, random *rand.Rand) error {
	model := "gpt-5-mini"
	if random.IntN(4) == 0 {
		model = "gpt-5"
	}
	c, err := m.Admit(ctx, &meter.Request{
		Method: "POST", URI: "/v1/chat/completions", ContentType: "application/json", Caller: who,
		Body: fmt.Appendf(nil, `{"model":%q,"max_tokens":1000,"messages":[{"role":"user","content":"How deep is the harbour?"}]}`, model),
	})
	if err != nil {
		return err
	}
	c.Begin(200, map[string][]string{"Content-Type": {"application/json"}})
	answer := fmt.Sprintf(`{"object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":"Nine metres."},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`,
		model, 10+random.IntN(5000), 1+random.IntN(999))
	if _, err := c.Observe(ctx, []byte(answer)); err != nil {
		return err
	}
	c.End()
	c.Settle(ctx, meter.Answered, nil)
	return nil
}

func readKeys(home string) ([]string, error) {
	f, err := os.Open(filepath.Join(home, "keys")) //nolint:gosec // our own file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	keys := make([]string, *accounts)
	lines := bufio.NewScanner(f)
	for lines.Scan() { // groups end in any order
		n, key, ok := strings.Cut(lines.Text(), " ")
		i := 0
		if _, err := fmt.Sscan(n, &i); err != nil || !ok || i >= len(keys) {
			return nil, fmt.Errorf("%s: %q is no key", f.Name(), lines.Text())
		}
		keys[i] = key
	}
	return keys, lines.Err()
}
