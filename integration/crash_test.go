package integration

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/internal/mockai"
	"github.com/farebox-dev/farebox/internal/seed"
)

const killRounds = 50 // FAREBOX_KILL_ROUNDS asks for more

// promised is what a client saw before the gateway died.
type promised struct {
	mu      sync.Mutex
	grants  map[string]string // payment → amount
	charges map[string]string // charge → cost
	streams int               // broken off by a kill
	untold  int               // answers without a cost: the ledger could not be written in time
	n       int
}

func (p *promised) keep(m map[string]string, id, amount string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if amount == "" {
		p.untold++
		return
	}
	if m[id] != "" {
		panic("twice: " + id)
	}
	m[id] = amount
}

// next numbers payments. Their amounts differ, so that a double one shows.
func (p *promised) next() (payment, amount string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	return fmt.Sprintf("pay-%d", p.n), credits(100_000 + p.n)
}

// load keeps the gateway busy until stop is closed: JSON answers, streams and grants.
func (g *gateway) load(p *promised, key string, stop chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	worker := func(work func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					work()
				}
			}
		})
	}
	for range 3 {
		worker(func() {
			a, err := g.trySend(http.MethodPost, chatPath, chatBody("demo-small"), "X-Api-Key", key)
			if err == nil && a.StatusCode == http.StatusOK {
				p.keep(p.charges, a.Header.Get("Credits-Charge"), a.cost())
			}
		})
		worker(func() { g.loadStream(p, client, key) })
	}
	worker(func() {
		payment, amount := p.next()
		for { // a payment system repeats until it gets a response
			status, err := g.tryAsk(http.MethodPost, "/meter/accounts/acme/grants", payment, map[string]string{"amount": amount, "reason": payment}, nil)
			if err == nil && status == http.StatusOK {
				p.keep(p.grants, payment, amount)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	return &wg
}

func (g *gateway) loadStream(p *promised, client *http.Client, key string) {
	req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+chatPath, strings.NewReader(chatBody("demo-stream", `"stream":true`)))
	if err != nil {
		panic(err)
	}
	req.Header.Set("X-Api-Key", key)
	res, err := client.Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close() //nolint:errcheck // read to its end, or broken
	if res.StatusCode != http.StatusOK {
		return
	}
	events := bufio.NewScanner(res.Body)
	for events.Scan() {
	}
	if events.Err() == nil {
		p.keep(p.charges, res.Header.Get("Credits-Charge"), res.Trailer.Get("Credits-Cost"))
		return
	}
	p.mu.Lock()
	p.streams++
	p.mu.Unlock()
}

// killsEach is how often one ledger is killed before the next one begins: each
// kill is followed by a check of the whole ledger, which grows.
const killsEach = 100

// A power cut at any time: what was acknowledged stays, once; nothing stays held.
func TestKill(t *testing.T) {
	rounds := killRounds
	if n, err := strconv.Atoi(os.Getenv("FAREBOX_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	seed := seed.Of(t)
	t.Logf("%d rounds, seed %d", rounds, seed)
	for first := 0; first < rounds; first += killsEach {
		t.Run(fmt.Sprint("from ", first), func(t *testing.T) {
			t.Parallel()
			n := min(killsEach, rounds-first)
			killed(t, "durable", n-n/2, rand.New(rand.NewPCG(seed, uint64(first)))) //nolint:gosec // chosen times, not secrets
			killed(t, "overlap", n/2, rand.New(rand.NewPCG(seed, uint64(first)+1))) //nolint:gosec // likewise
		})
	}
}

// killed kills one gateway under load, again and again. It holds credits as hold
// says. Some of its lives are long enough for a flush of the store.
func killed(t *testing.T, hold string, rounds int, random *rand.Rand) {
	config := strings.Replace(read(t, "../Caddyfile"), "\n\tmeter\n", "\n\tmeter {\n\t\thold "+hold+"\n\t}\n", 1)
	if !strings.Contains(config, "hold "+hold) {
		t.Fatal("the Caddyfile has changed")
	}
	g := start(t, setup{mock: mockai.Options{Pace: 2 * time.Millisecond}, caddyfile: config})
	key := g.account("acme", "1000")
	p := &promised{grants: map[string]string{}, charges: map[string]string{}}
	p.grants["setup"] = "1000"
	for round := range rounds {
		stop := make(chan struct{})
		wg := g.load(p, key, stop)
		life := 20 + random.IntN(400)
		if random.IntN(8) == 0 {
			life = 1900 + random.IntN(400)
		}
		time.Sleep(time.Duration(life) * time.Millisecond)
		g.kill()
		close(stop)
		wg.Wait()
		if random.IntN(4) == 0 { // dies while it starts, too
			g.killAtStart(time.Duration(random.IntN(150)) * time.Millisecond)
		}
		g.run()
		if a := g.show("acme"); a.Holds != 0 || a.Held != "0" {
			t.Fatalf("round %d: %d holds of %s are open after the start", round, a.Holds, a.Held)
		}
		g.booksInOrder()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	g.keeps(p)
	if p.untold > 0 {
		t.Errorf("%d answers came without their cost", p.untold)
	}
}

// killAtStart starts the gateway and kills it before it may be ready.
func (g *gateway) killAtStart(after time.Duration) {
	g.t.Helper()
	cmd := g.command("run", "--config", "Caddyfile", "--adapter", "caddyfile")
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// keeps compares the journal with what clients saw.
func (g *gateway) keeps(p *promised) {
	g.t.Helper()
	entries := g.wholeJournal("acme")
	granted, charged, unacknowledged := 0, map[string]int{}, 0
	seen, revoked := map[string]int{}, map[string]bool{}
	for _, e := range entries {
		amount := thousandths(g.t, e.Amount)
		switch e.Kind {
		case "grant":
			if e.Plan == "" && e.Reason != "" {
				seen[e.Reason]++
			}
			granted += amount
		case "void":
			granted -= amount
		case "settle":
			charged[e.Charge] += amount
		case "refund", "release":
			revoked[e.Charge] = true
		}
	}
	for payment := range p.grants {
		want := payment
		if payment == "setup" {
			want = "test"
		}
		if seen[want] != 1 {
			g.t.Errorf("payment %s: %d grants", payment, seen[want])
		}
	}
	lost, sum := 0, 0
	for id, cost := range p.charges {
		got, settled := charged[id]
		switch {
		case settled && got == thousandths(g.t, cost):
		case revoked[id]: // the answer went out before its settlement was on the disk
			lost++
		default:
			g.t.Errorf("charge %s: told %s, in the journal %d (there: %v)", id, cost, got, settled)
		}
	}
	for id, got := range charged {
		sum += got
		if p.charges[id] == "" {
			unacknowledged++
		}
	}
	a := g.show("acme")
	if have := thousandths(g.t, a.Available); have != granted-sum || thousandths(g.t, a.Spent) != sum {
		g.t.Errorf("available %s, spent %s; granted %s, charged %s", a.Available, a.Spent, credits(granted), credits(sum))
	}
	g.t.Logf("%d entries, %d grants and %d answers acknowledged, %d streams torn by a kill, %d charges of torn answers, %d answers given away",
		len(entries), len(p.grants), len(p.charges), p.streams, unacknowledged, lost)
	if lost > 0 {
		g.t.Errorf("%d of %d answers were given away", lost, len(p.charges))
	}
}

// wholeJournal reads the journal page by page.
func (g *gateway) wholeJournal(id string) (all []api.EntryView) {
	g.t.Helper()
	after := uint64(0)
	for {
		var l struct{ Data []api.EntryView }
		g.must(g.ask(http.MethodGet, fmt.Sprintf("/meter/accounts/%s/journal?limit=5000&after=%d", id, after), nil, &l))
		if len(l.Data) == 0 {
			return all
		}
		all = append(all, l.Data...)
		after = l.Data[len(l.Data)-1].Seq
	}
}
