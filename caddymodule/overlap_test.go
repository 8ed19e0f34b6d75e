package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"go.uber.org/zap"
)

// slowDisk is a store whose commits wait for the test, once they have been applied.
type slowDisk struct {
	store.Store
	slow   atomic.Bool
	holds  bool       // only commits with a hold wait: others, of the background, would take their turn
	commit chan error // what becomes of the next commit
}

// holdTx sees whether an update writes a hold.
type holdTx struct {
	store.Tx
	holds bool
}

func (t *holdTx) Put(id store.ID, value []byte) error {
	t.holds = t.holds || id.Kind == store.Hold
	return t.Tx.Put(id, value)
}

func newSlowDisk() *slowDisk { return &slowDisk{Store: memory.New(), commit: make(chan error)} }

func (d *slowDisk) Address() string { return "slow:" }

func (d *slowDisk) Open(*zap.Logger) (store.Store, error) { return d, nil }

func (d *slowDisk) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	return d.Store.Update(ctx, accounts, func(tx store.Tx) error {
		seen := &holdTx{Tx: tx}
		err := fn(seen)
		if err == nil && d.slow.Load() && (seen.holds || !d.holds) {
			err = <-d.commit
		}
		return err
	})
}

func overlapping(t *testing.T) (a *App, disk *slowDisk, key string) {
	t.Helper()
	a = provisioned(t, t.TempDir())
	disk = newSlowDisk()
	a.store = disk
	return a, disk, started(t, a)
}

// With overlap the request runs while its hold is being written. Not a byte of the
// answer reaches the client before.
func TestAnAnswerWaitsForItsHold(t *testing.T) {
	a, disk, key := overlapping(t)
	disk.holds = true
	for name, body := range map[string]string{"document": hello, "stream": helloStream} {
		disk.slow.Store(true)
		upstream := make(chan struct{}, 1)
		s := serve(t, &Handler{app: a, Hold: "overlap"}, func(w http.ResponseWriter, _ *http.Request) error {
			upstream <- struct{}{}
			if body == hello {
				return answered(w, "application/json", reply)
			}
			err := answered(w, "text/event-stream", events)
			return errors.Join(err, http.NewResponseController(w).Flush())
		})
		got, begun := make(chan string, 1), make(chan struct{})
		go func() {
			defer close(begun)
			req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+key)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				got <- err.Error()
				return
			}
			begun <- struct{}{}    // the header is there
			defer res.Body.Close() //nolint:errcheck // read to its end
			b, _ := io.ReadAll(res.Body)
			got <- res.Status + string(b)
		}()
		<-upstream // although the hold is not on disk
		select {
		case <-begun:
			t.Fatalf("%s: the answer begins before the hold is on disk", name)
		case <-time.After(50 * time.Millisecond):
		}
		disk.slow.Store(false)
		disk.commit <- nil
		<-begun
		if all := <-got; !strings.HasPrefix(all, "200 OK") {
			t.Errorf("%s: %s", name, all)
		}
		settled(t, a)
	}
}

// A hold that could not be written ends the request to the upstream. The client gets
// a 503 without a word of the answer, nothing is held, and nothing is charged.
func TestAHoldThatIsLostEndsItsRequest(t *testing.T) {
	a, disk, key := overlapping(t)
	disk.holds = true
	for name, next := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"before the answer": func(_ http.ResponseWriter, r *http.Request) error {
			disk.commit <- errors.New("no space left")
			select {
			case <-r.Context().Done(): // it is cancelled
			case <-time.After(10 * time.Second):
				t.Error("the request goes on")
			}
			return r.Context().Err()
		},
		"with a document": func(w http.ResponseWriter, _ *http.Request) error {
			err := answered(w, "application/json", reply)
			disk.commit <- errors.New("no space left")
			return err
		},
		"with a stream": func(w http.ResponseWriter, _ *http.Request) error {
			go func() { disk.commit <- errors.New("no space left") }()
			_ = answered(w, "text/event-stream", events)
			panic(http.ErrAbortHandler) // as reverse_proxy does when copying fails
		},
	} {
		disk.slow.Store(true)
		s := serve(t, &Handler{app: a, Hold: "overlap"}, func(w http.ResponseWriter, r *http.Request) error {
			disk.slow.Store(false)
			return next(w, r)
		})
		res, body, err := ask(t, s, key, hello)
		if err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Credits-Charge") != "" || strings.Contains(body, "hi there") || strings.Contains(body, "choices") {
			t.Errorf("%s: %v %v %s", name, err, res, body)
		}
	}
	if got := spent(t, a); got != "0" {
		t.Errorf("%s was charged", got)
	}
}

// A refusal is final: it is sent when what it rests on is on disk.
func TestARefusalWaitsForTheDisk(t *testing.T) {
	a, disk, key := overlapping(t)
	s := serve(t, &Handler{app: a, Hold: "overlap"}, func(w http.ResponseWriter, _ *http.Request) error {
		return answered(w, "application/json", reply)
	})
	status := func() int {
		res, _, err := ask(t, s, key, hello)
		if err != nil {
			t.Error(err)
			return 0
		}
		return res.StatusCode
	}
	for range 15 { // 100 credits, 9 each
		status()
	}
	if acc := settled(t, a); acc.SpentNet() > acc.Issued {
		t.Errorf("spent %v of %v", acc.SpentNet(), acc.Issued)
	}
	disk.slow.Store(true)
	got := make(chan int, 1)
	go func() { got <- status() }()
	select {
	case early := <-got:
		t.Fatalf("%d before the disk has answered", early)
	case <-time.After(50 * time.Millisecond):
	}
	disk.slow.Store(false)
	disk.commit <- nil
	if code := <-got; code != http.StatusPaymentRequired {
		t.Errorf("%d, want 402", code)
	}
}
