package caddymodule

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/farebox-dev/farebox/internal/payload"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// Prices of which some may be zero: by a free tier, by the model, by an adjustment.
const mixedPrices = `version: 1
credit: {name: credit, decimals: 3}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  import: {match: POST /imports, model: none, measure: {row: {from: body.rows}}, price: 2}
  gift: {match: POST /gifts, model: none, measure: {row: {from: body.rows}}, price: 2, free_tier: {request: 5, every: month}}
  sale: {match: POST /sales, model: none, measure: {row: {from: body.rows}}, price: 2, adjust: [{when: {body.old: true}, price: free}]}
models:
  big: {per_1k_tokens: {input: 1, output: 8}}
plans:
  none: {}
  some: {credits: [{type: free, amount: 1_000_000}]}
  later: {when_empty: overage}
default_plan: none
`

// unread is a large body. It notes how much of it is read.
type unread struct{ read int }

func (u *unread) Read(p []byte) (int, error) {
	u.read += len(p)
	return copy(p, strings.Repeat(" ", len(p))), nil
}

func mixed(t *testing.T) *App {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pricing.yaml")
	if err := os.WriteFile(file, []byte(mixedPrices), 0o600); err != nil {
		t.Fatal(err)
	}
	a := provisionedWith(t, t.TempDir(), file)
	started(t, a)
	return a
}

// A large body is not read if its request is refused whatever it says.
func TestLargeBodiesOfRefusedRequestsAreNotRead(t *testing.T) {
	a := mixed(t)
	key := func(account, plan string) string {
		if _, err := a.engine.Accounts.Create(t.Context(), account, "", plan); err != nil {
			t.Fatal(err)
		}
		key, _, err := a.engine.Directory.Keys.Create(t.Context(), directory.Key{Account: account})
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	poor, rich, late, suspended := key("poor", "none"), key("rich", "some"), key("late", "later"), key("suspended", "some")
	suspend := true
	if _, err := a.engine.Accounts.Do(t.Context(), "suspended", ledger.SetAttributes{Suspended: &suspend}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, key string
		header          string // Idempotency-Key
		reason          string // "": the body is read
	}{
		{"an unknown key", "/v1/chat/completions", "fb_live_0123456789", "", "unknown_key"},
		{"a suspended account", "/v1/chat/completions", suspended, "", "account_suspended"},
		{"a suspended account, and a price that may be zero", "/gifts", suspended, "", ""},
		{"no credits, by tokens", "/v1/chat/completions", poor, "", "insufficient_credits"},
		{"no credits, at a fixed price", "/imports", poor, "", "insufficient_credits"},
		{"no credits, but a request that may have run before", "/imports", poor, "order-1", ""},
		{"no credits, but a free tier", "/gifts", poor, "", ""},
		{"no credits, but an adjustment", "/sales", poor, "", ""},
		{"credits", "/v1/chat/completions", rich, "", ""},
		{"overage", "/imports", late, "", ""},
	} {
		for _, size := range []int64{20_000_000, -1} {
			var body unread
			r := httptest.NewRequest(http.MethodPost, tt.path, io.LimitReader(&body, 20_000_000))
			r.ContentLength = size
			r.Header.Set("Authorization", "Bearer "+tt.key)
			r.Header.Set("Content-Type", "application/json")
			if tt.header != "" {
				r.Header.Set("Idempotency-Key", tt.header)
			}
			ctx, done := context.WithCancel(context.WithValue(t.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
			r = r.WithContext(ctx)
			w := httptest.NewRecorder()
			h := &Handler{app: a, MaxBody: defaultMaxBody, RefusalFormat: "problem"}
			err := h.ServeHTTP(w, r, nil)
			if done(); err != nil {
				t.Fatal(err)
			}
			most := 0 // what may be read
			switch {
			case tt.reason == "":
				most = 1 << 30
			case size < 0 && tt.reason != "unknown_key":
				most = 2 * payload.Small
			}
			early := tt.reason != "" && strings.Contains(w.Body.String(), tt.reason)
			if body.read > most || (tt.reason != "") != early || tt.reason == "" && body.read < 20_000_000 {
				t.Errorf("%s, declared as %d: %d bytes were read: %d %s", tt.name, size, body.read, w.Code, w.Body)
			}
		}
	}
}

// A client that sends a byte now and then is refused in the end, and nothing is held.
func TestABodyMustArriveInTime(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a, BodyTimeout: caddy.Duration(300 * time.Millisecond)}, func(http.ResponseWriter, *http.Request) error {
		t.Error("the request went upstream")
		return nil
	})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // nothing is left to send
	fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100000\r\n\r\n", key)
	trickle := time.NewTicker(20 * time.Millisecond)
	defer trickle.Stop()
	answer := make(chan string, 1)
	go func() {
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			answer <- err.Error()
			return
		}
		text, _ := io.ReadAll(res.Body)
		answer <- res.Status + " " + string(text)
	}()
	for {
		select {
		case <-trickle.C:
			_, _ = c.Write([]byte(" "))
		case got := <-answer:
			if !strings.HasPrefix(got, "408") || !strings.Contains(got, bodyTimeout) {
				t.Error(got)
			}
			if acc := settled(t, a); len(acc.Holds) > 0 || acc.Spent != 0 {
				t.Errorf("%+v", acc)
			}
			return
		case <-time.After(10 * time.Second):
			t.Fatal("the client is waited for")
		}
	}
}

// A client that sends its body in time, but not at once, may take as long as it likes for the answer.
func TestTheBodyTimeoutEndsWithTheBody(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a, BodyTimeout: caddy.Duration(300 * time.Millisecond)}, func(w http.ResponseWriter, r *http.Request) error {
		time.Sleep(600 * time.Millisecond)
		if err := r.Context().Err(); err != nil {
			t.Error("the client seems to have left: ", err)
		}
		return answered(w, "application/json", reply)
	})
	pieces, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, hello[:10])
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(w, hello[10:])
		_ = w.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", pieces)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only its status counts
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}

// A large body takes its share of memory until the upstream is done with it, however early the client leaves.
func TestALargeBodyTakesMemoryUntilTheUpstreamIsDone(t *testing.T) {
	a := mixed(t)
	if _, err := a.engine.Accounts.Create(t.Context(), "rich", "", "some"); err != nil {
		t.Fatal(err)
	}
	key, _, err := a.engine.Directory.Keys.Create(t.Context(), directory.Key{Account: "rich"})
	if err != nil {
		t.Fatal(err)
	}
	free := func() bool {
		if !bodyRoom.TryAcquire(bodyBudget) {
			return false
		}
		bodyRoom.Release(bodyBudget)
		return true
	}
	arrived, done := make(chan struct{}), make(chan bool, 1)
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, r *http.Request) error {
		close(arrived)
		<-r.Context().Value(clientKey{}).(context.Context).Done() //nolint:forcetypeassert // set below
		time.Sleep(20 * time.Millisecond)                         // whatever waits for the client to leave has run
		done <- free()
		return answered(w, "application/json", "{}")
	})
	inner := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, r.Context())))
	})
	ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
	defer leave()
	body := `{"rows": 1, "pad": "` + strings.Repeat("x", 3*payload.Small) + `"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/imports", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	select {
	case <-arrived:
	case <-ctx.Done():
		t.Fatal("the request did not reach the upstream")
	}
	leave()
	if <-done {
		t.Error("the memory is free while the upstream reads the body")
	}
	for range 200 {
		if free() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the memory is not free after the request")
}

type clientKey struct{}
