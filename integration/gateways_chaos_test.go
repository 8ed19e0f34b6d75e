package integration

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/farebox-dev/farebox/internal/mockai"
	"github.com/farebox-dev/farebox/internal/pgtest"
	"github.com/farebox-dev/farebox/internal/seed"
)

// chaosFor is how long the chaos lasts; FAREBOX_CHAOS asks for more, such as 20m.
const chaosFor = 20 * time.Second

// Three gateways and their database fail at random, in every way that a test can make
// them, under load of clients that retry. At the end, every balance is what the records of
// the clients come to.
func TestChaos(t *testing.T) {
	t.Parallel()
	within := chaosFor
	if d, err := time.ParseDuration(os.Getenv("FAREBOX_CHAOS")); err == nil {
		within = d
	}
	random := rand.New(rand.NewPCG(seed.Of(t), 1)) //nolint:gosec // chosen failures, not secrets
	all, server := gateways(t, 3, mockai.Options{Pace: 2 * time.Millisecond})
	key := all[0].account("acme", "100000")
	p := &promised{grants: map[string]string{"setup": "100000"}, charges: map[string]string{}}
	stop := make(chan struct{})
	var clients []*sync.WaitGroup
	for _, g := range all {
		clients = append(clients, g.load(p, key, stop), g.retrying(p, key, stop))
	}
	failures := 0
	for end := time.Now().Add(within); time.Now().Before(end); failures++ {
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
		fail(t, all, server, random, within > time.Minute)
		if t.Failed() {
			break
		}
	}
	close(stop)
	for _, c := range clients {
		c.Wait()
	}
	for _, g := range all {
		g.log.forget() // it has errors in it
	}
	waitForHolds(t, all[0])
	for _, g := range all {
		g.booksInOrder()
	}
	p.forgetUntold(t)
	all[2].keeps(p)
	t.Logf("%d failures in %s", failures, within)
}

// fail makes one thing fail, and lets it go on.
func fail(t *testing.T, all []*gateway, server *pgtest.Server, random *rand.Rand, long bool) {
	t.Helper()
	g := all[random.IntN(len(all))]
	again := func() {
		if err := server.Run(); err != nil {
			t.Error(err)
		}
	}
	short := time.Duration(random.IntN(3000)) * time.Millisecond
	switch random.IntN(8) {
	case 0, 1:
		g.kill()
		time.Sleep(short)
		g.run()
	case 2:
		g.stop()
		g.run()
	case 3:
		g.signal(syscall.SIGSTOP)
		if long && random.IntN(3) == 0 {
			short += 40 * time.Second // beyond its lease
		}
		time.Sleep(short)
		g.signal(syscall.SIGCONT)
	case 4:
		server.Stop()
		time.Sleep(short)
		again()
	case 5:
		server.Kill()
		again()
	default:
		for range 1 + random.IntN(10) {
			server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farebox'")
			time.Sleep(short / 20)
		}
	}
}

// retrying are clients of the official SDK, which send a request again that failed.
func (g *gateway) retrying(p *promised, key string, stop chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	client := openai.NewClient(option.WithBaseURL("http://"+g.addr+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(4))
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var res *http.Response
			_, err := client.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
				Model: "demo-small", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello there")},
			}, option.WithResponseInto(&res))
			if err == nil {
				p.keep(p.charges, res.Header.Get("Credits-Charge"), answer{Response: res}.cost())
			}
		}
	})
	return &wg
}
