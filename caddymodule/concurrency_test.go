package caddymodule

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/concurrency"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// limited is an app whose account acme may have four requests under way, and each of
// its two keys two.
func limited(t *testing.T) (a *App, keys [2]string) {
	t.Helper()
	a = provisioned(t, t.TempDir())
	a.store = newFlaky()
	started(t, a)
	ctx, four := t.Context(), 4
	if _, err := a.engine.Directory.Profiles.Set(ctx, "acme", directory.ProfileChange{MaxConcurrent: &four}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.engine.Accounts.Do(ctx, "acme", ledger.Give{Grant: "gr_1", Type: "top_up", Amount: money.Amount(1_000_000_000)}); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		var err error
		if keys[i], _, err = a.engine.Directory.Keys.Create(ctx, directory.Key{Account: "acme", MaxConcurrent: 2}); err != nil {
			t.Fatal(err)
		}
	}
	return a, keys
}

// ways are how requests end. Each has a model or a path that the upstream knows.
var ways = []struct{ path, body string }{
	{"/v1/chat/completions", hello},
	{"/v1/chat/completions", helloStream},
	{"/v1/chat/completions", strings.Replace(hello, `"max_tokens"`, `"user":"502","max_tokens"`, 1)},
	{"/v1/chat/completions", strings.Replace(hello, `"max_tokens"`, `"user":"gone","max_tokens"`, 1)},
	{"/v1/chat/completions", strings.Replace(hello, `"max_tokens"`, `"user":"panic","max_tokens"`, 1)},
	{"/v1/chat/completions", strings.Replace(helloStream, `"max_tokens"`, `"user":"torn","max_tokens"`, 1)},
	{"/v1/chat/completions", `{"model":"not-for-sale","messages":[]}`}, // refused: no price
	{"/v1/chat/completions", `{"model":`},                              // refused: not JSON
	{"/v1/images", `{"prompt":"a pier","n":11}`},                       // refused: too many
	{"/v1/nothing", `{}`},                               // refused by its route
	{"/v1/videos", `{"prompt":"a pier","seconds":"5"}`}, // a job
	{"/v1/messages/count_tokens", `{}`},                 // free
}

// crowd is an upstream that counts who is there at the same time.
type crowd struct {
	t    *testing.T
	open atomic.Int64
	most atomic.Int64
	jobs atomic.Int64
}

func (c *crowd) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "count_tokens") { // free
		return answered(w, "application/json", `{"id":"`+r.PathValue("id")+`","status":"completed"}`)
	}
	now := c.open.Add(1)
	defer c.open.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	if r.URL.Path == "/v1/videos" {
		return answered(w, "application/json", `{"id":"video_`+itoa(c.jobs.Add(1))+`","status":"queued"}`)
	}
	switch gjson.GetBytes(body, "user").Str {
	case "502":
		return caddyhttp.Error(http.StatusBadGateway, io.ErrUnexpectedEOF)
	case "gone":
		<-r.Context().Done()
		return caddyhttp.Error(http.StatusBadGateway, r.Context().Err())
	case "panic":
		panic(http.ErrAbortHandler)
	case "torn":
		if err := answered(w, "text/event-stream", events); err != nil {
			return err
		}
		panic(http.ErrAbortHandler)
	}
	if gjson.GetBytes(body, "stream").Bool() {
		return answered(w, "text/event-stream", events+"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n")
	}
	return answered(w, "application/json", reply)
}

// TestSlotsOnEveryPath: however requests end, no more are under way at once than
// allowed, and none leaves its place taken.
func TestSlotsOnEveryPath(t *testing.T) {
	a, keys := limited(t)
	up := &crowd{t: t}
	s := serve(t, &Handler{app: a, OnDisconnect: "cancel"}, up.serve)
	var refused, reached atomic.Int64
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(n))) //nolint:gosec // a test
			for range 60 {
				way := ways[random.IntN(len(ways))]
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 || strings.Contains(way.body, "gone") { // the client leaves, at some time
					time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
				}
				switch status := send(ctx, s, keys[random.IntN(2)], way.path, way.body); status {
				case http.StatusTooManyRequests:
					refused.Add(1)
				case http.StatusOK:
					reached.Add(1)
				}
				cancel()
				if random.IntN(20) == 0 { // as a reload does
					a.limit(a.engine)
				}
				a.endJobs(t)
			}
		})
	}
	all.Wait()
	if most := up.most.Load(); most > 4 {
		t.Errorf("%d were under way at once, and 4 may be", most)
	}
	if refused.Load() == 0 || reached.Load() == 0 || up.jobs.Load() == 0 {
		t.Errorf("%d refused, %d answered, %d jobs: the test has shown nothing", refused.Load(), reached.Load(), up.jobs.Load())
	}
	eventually(t, "all places are left", func() bool {
		a.endJobs(t)
		return a.engine.Concurrency.UnderWay(&meter.Caller{Account: "acme"}) == concurrency.Limits{}
	})
	settled(t, a)
}

// endJobs answers for all open jobs that they have ended.
func (a *App) endJobs(t *testing.T) {
	a.engine.Jobs.AskFirst(time.Nanosecond)
	for _, q := range a.engine.Jobs.Due(t.Context(), 100) {
		q.Reader.Begin(http.StatusOK, http.Header{"Content-Type": {"application/json"}})
		q.Reader.Observe([]byte(`{"status":"completed"}`))
		q.Reader.End(true)
	}
}

func send(ctx context.Context, s *httptest.Server, key, path, body string) (status int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// TestTooManyAtOnce is what a client sees, before a byte of its body was read.
func TestTooManyAtOnce(t *testing.T) {
	a, keys := limited(t)
	at, done := make(chan struct{}, 4), make(chan struct{})
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodPost {
			at <- struct{}{}
			<-done
		}
		return answered(w, "application/json", reply)
	})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if status := send(t.Context(), s, keys[i%2], "/v1/chat/completions", hello); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		})
	}
	for range 4 {
		<-at
	}
	before, err := a.engine.Accounts.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, kind, word, facts string }{
		{"/v1/chat/completions", "error.code", meter.TooManyConcurrent, "error.credits.concurrent"},
		{"/v1/messages", "error.type", "rate_limit_error", "error.details.credits.concurrent"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, c.path, errorReader{t})
		r.Header.Set("X-Api-Key", keys[0])
		w := httptest.NewRecorder()
		h := &Handler{app: a, MaxBody: defaultMaxBody, RefusalFormat: "auto"}
		if err := h.ServeHTTP(w, r, nil); err != nil {
			t.Fatal(err)
		}
		body, header := w.Body.String(), w.Header()
		if w.Code != http.StatusTooManyRequests || header.Get("Retry-After") != "1" || header.Get("X-Should-Retry") != "true" || header.Get("Concurrency-Limit") != "2" || header.Get("Concurrency-Limit-Per") != "key" {
			t.Errorf("%d %v", w.Code, header)
		}
		if gjson.Get(body, c.kind).Str != c.word || gjson.Get(body, c.facts).Raw != `{"per":"key","limit":2,"open":2}` || !strings.Contains(body, "this key may have 2 under way, and has 2. Nothing was charged.") {
			t.Errorf("%s", body)
		}
	}
	after, err := a.engine.Accounts.Get(t.Context(), "acme")
	if err != nil || after.Seq != before.Seq {
		t.Errorf("a refusal left entry %d after %d: %v", after.Seq, before.Seq, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/models", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", keys[0])
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("a free request: %v %v", res, err)
	} else {
		res.Body.Close() //nolint:errcheck // only its status is wanted
	}
	close(done)
	all.Wait()
	if status := send(t.Context(), s, keys[0], "/v1/chat/completions", hello); status != http.StatusOK {
		t.Errorf("after all have ended: %d", status)
	}
}

// errorReader is a body that must not be read.
type errorReader struct{ t *testing.T }

func (e errorReader) Read([]byte) (int, error) {
	e.t.Error("the body was read")
	return 0, errors.New("no")
}
