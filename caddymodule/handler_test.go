package caddymodule

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

// running is a started app on a directory of its own, with an account on the
// plan free (100 credits) and a key of it.
func running(t *testing.T) (a *App, key string) {
	t.Helper()
	a = provisioned(t, t.TempDir())
	return a, started(t, a)
}

// started starts an app, and returns a key of its account acme.
func started(t *testing.T, a *App) (key string) {
	t.Helper()
	if err := begin(a); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(a.Stop(), a.Cleanup()); err != nil {
			t.Error(err)
		}
	})
	if _, err := a.engine.Accounts.Create(t.Context(), "acme", "", ""); err != nil {
		t.Fatal(err)
	}
	key, _, err := a.engine.Directory.Keys.Create(t.Context(), directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// begin does what Caddy does after prepare.
func begin(a *App) error {
	if err := a.openLedger(); err != nil {
		return err
	}
	return a.Start()
}

// provisioned is an app that has read its price file, and has not opened the ledger
// that is in dir.
func provisioned(t *testing.T, dir string) *App {
	t.Helper()
	return provisionedWith(t, dir, "../pricing.yaml")
}

func provisionedWith(t *testing.T, dir, prices string) *App {
	t.Helper()
	if !badger.Exists(dir) {
		if _, err := stores.Create(t.Context(), dir, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(map[string]string{"module": "badger", "dir": dir})
	if err != nil {
		t.Fatal(err)
	}
	a := &App{Store: raw, Pricing: prices, Watch: -1}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := a.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	return a
}

// serve puts the handler in front of next, behind a real server.
func serve(t *testing.T, h *Handler, next caddyhttp.HandlerFunc) *httptest.Server {
	t.Helper()
	h.MaxBody, h.DrainMax = defaultMaxBody, caddy.Duration(defaultDrainMax)
	if h.BodyTimeout == 0 {
		h.BodyTimeout = caddy.Duration(defaultBodyTimeout)
	}
	if h.RefusalFormat == "" {
		h.RefusalFormat = "auto"
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
		err := h.ServeHTTP(w, r, next)
		var status caddyhttp.HandlerError
		if errors.As(err, &status) {
			w.WriteHeader(status.StatusCode)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, s *httptest.Server, key, body string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// settled waits until nothing is held and returns the account.
func settled(t *testing.T, a *App) *ledger.Account {
	t.Helper()
	changed, stop := a.engine.Accounts.Watch("acme")
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		acc, err := a.engine.Accounts.Get(ctx, "acme")
		if err == nil && len(acc.Holds) == 0 {
			return acc
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("a hold stays open:", err)
		}
	}
}

func spent(t *testing.T, a *App) string {
	t.Helper()
	return settled(t, a).SpentNet().Text(3)
}

const (
	hello       = `{"model":"demo-small","messages":[{"role":"user","content":"hello"}]}`
	helloStream = `{"model":"demo-small","stream":true,"messages":[{"role":"user","content":"hello"}]}`
	reply       = `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":1000}}`
	replyCost   = "9"
	events      = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi there\"}}]}\n\n"
)

func answered(w http.ResponseWriter, kind, body string) error {
	w.Header().Set("Content-Type", kind)
	_, err := io.WriteString(w, body)
	return err
}

// reverse_proxy copies bodies with io.Copy, which takes ReadFrom where there is one.
func TestReadFromIsSeen(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, _ *http.Request) error {
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("the writer has no ReadFrom; io.Copy would still work, but this test proves nothing")
		}
		w.Header().Set("Content-Type", "application/json")
		_, err := io.Copy(w, strings.NewReader(reply))
		return err
	})
	res, body, err := ask(t, s, key, hello)
	if err != nil || body != reply || res.Header.Get("Credits-Cost") != replyCost {
		t.Errorf("%v %v %s", err, res.Header, body)
	}
	if got := spent(t, a); got != replyCost {
		t.Errorf("spent %s", got)
	}
}

// reverse_proxy panics when an answer breaks off: the charge settles, the panic goes on.
func TestPanicSettles(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, _ *http.Request) error {
		if err := answered(w, "text/event-stream", events); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		panic(http.ErrAbortHandler)
	})
	if _, body, err := ask(t, s, key, helloStream); err == nil || !strings.Contains(body, "hi there") {
		t.Errorf("%v %q: the client must see that the answer was torn", err, body)
	}
	if acc := settled(t, a); acc.SpentNet() == 0 {
		t.Error("what was delivered costs nothing")
	}
	// Before the first byte nothing was delivered.
	before := spent(t, a)
	s = serve(t, &Handler{app: a}, func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
	if _, _, err := ask(t, s, key, helloStream); err == nil {
		t.Error("no error")
	}
	if got := spent(t, a); got != before {
		t.Errorf("spent %s, before %s", got, before)
	}
}

func TestErrorsOfTheChain(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for name, tt := range map[string]struct {
		err    error
		status int
	}{
		"dial":        {caddyhttp.Error(http.StatusBadGateway, dial), 502},
		"timeout":     {caddyhttp.Error(http.StatusGatewayTimeout, context.DeadlineExceeded), 504},
		"broken":      {caddyhttp.Error(http.StatusBadGateway, io.ErrUnexpectedEOF), 502},
		"unavailable": {caddyhttp.Error(http.StatusServiceUnavailable, errors.New("no upstreams")), 503},
	} {
		t.Run(name, func(t *testing.T) {
			a, key := running(t)
			s := serve(t, &Handler{app: a}, func(http.ResponseWriter, *http.Request) error { return tt.err })
			res, _, err := ask(t, s, key, hello)
			if err != nil || res.StatusCode != tt.status || res.Header.Get("Credits-Cost") != "0" || res.Header.Get("Credits-Charge") == "" {
				t.Errorf("%v %+v", err, res)
			}
			if got := spent(t, a); got != "0" {
				t.Errorf("spent %s", got)
			}
		})
	}
}

func TestEarlyHintsPass(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		return answered(w, "application/json", reply)
	})
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		if code == http.StatusEarlyHints {
			hints++
		}
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close() //nolint:errcheck // only its header is wanted
	if hints != 1 || res.StatusCode != 200 || res.Header.Get("Credits-Cost") != replyCost {
		t.Errorf("%d hints, %s %v", hints, res.Status, res.Header)
	}
}

// A second meter in the same chain does not charge again.
func TestMeteredOnce(t *testing.T) {
	a, key := running(t)
	inner := &Handler{app: a, RefusalFormat: "auto", MaxBody: defaultMaxBody}
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, r *http.Request) error {
		return inner.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			return answered(w, "application/json", reply)
		}))
	})
	if res, body, err := ask(t, s, key, hello); err != nil || res.StatusCode != 200 {
		t.Errorf("%v %s", err, body)
	}
	if got := spent(t, a); got != replyCost {
		t.Errorf("spent %s", got)
	}
}

func TestStreamsPassUndelayed(t *testing.T) {
	a, key := running(t)
	next := make(chan struct{})
	s := serve(t, &Handler{app: a, StreamComment: true}, func(w http.ResponseWriter, _ *http.Request) error {
		for range 3 {
			if err := answered(w, "text/event-stream", events); err != nil {
				return err
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return err
			}
			<-next
		}
		return nil
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(helloStream))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	lines := bufio.NewScanner(res.Body)
	for range 3 { // each event arrives before the next one is written
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "data: ") || !lines.Scan() {
			t.Fatalf("%q %v", lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
	comment := ""
	for lines.Scan() {
		comment += lines.Text()
	}
	cost := res.Trailer.Get("Credits-Cost")
	if cost == "" || cost == "0" || !strings.HasPrefix(comment, ": credits cost="+cost+" remaining=") {
		t.Errorf("cost %q, comment %q", cost, comment)
	}
}

// A comment is a line of its own, or it is left out: behind compressed bytes or
// half a line it would break what the client reads.
func TestAStreamCommentIsALineOfItsOwn(t *testing.T) {
	_, zipped := encode(t, "gzip", events)
	a, key := running(t)
	for name, c := range map[string]struct {
		kind, encoding, body string
		want                 bool
	}{
		"whole events":           {"text/event-stream", "", events, true},
		"a type in capitals":     {"Text/Event-Stream; charset=utf-8", "", events, true},
		"without its blank line": {"text/event-stream", "", strings.TrimSuffix(events, "\n"), true},
		"carriage returns":       {"text/event-stream", "", strings.ReplaceAll(events, "\n", "\r"), true},
		"half a line":            {"text/event-stream", "", strings.TrimRight(events, "\n"), false},
		"compressed":             {"text/event-stream", "gzip", zipped, false},
		"identity":               {"text/event-stream", "identity", events, true},
	} {
		s := serve(t, &Handler{app: a, StreamComment: true}, func(w http.ResponseWriter, _ *http.Request) error {
			if c.encoding != "" {
				w.Header().Set("Content-Encoding", c.encoding)
			}
			return answered(w, c.kind, c.body)
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(helloStream))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", key)
		req.Header.Set("Accept-Encoding", "gzip") // or the client would unpack it itself
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = res.Body.Close()
		rest, ok := strings.CutPrefix(string(body), c.body)
		if !ok || res.Trailer.Get("Credits-Cost") == "" || strings.HasPrefix(rest, ": credits cost=") != c.want || !c.want && rest != "" {
			t.Errorf("%s: ends with %q, trailer %v", name, rest, res.Trailer)
		}
	}
}

// Every response carries its cost, at any length and of any kind: in front of a
// short one, behind a long one.
func TestTheCostIsToldAtAnyLength(t *testing.T) {
	a, key := running(t)
	reply := strings.Replace(reply, "{", `{"pad":"%s",`, 1)
	for name, size := range map[string]int{"short": 10, "long": maxBuffered} {
		for _, declared := range []bool{true, false} {
			body := strings.Replace(reply, "%s", strings.Repeat("a", size), 1)
			s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, _ *http.Request) error {
				if declared {
					w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				}
				return answered(w, "application/json", body)
			})
			res, got, err := ask(t, s, key, hello)
			if err != nil || got != body {
				t.Fatalf("%s: %d bytes of %d, %v", name, len(got), len(body), err)
			}
			if told := res.Header.Get("Credits-Cost") + res.Trailer.Get("Credits-Cost"); told != replyCost {
				t.Errorf("%s, declared %v: told %q, want %s", name, declared, told, replyCost)
			}
		}
	}
}

// With refusal_format none Caddy's own errors take over, for handle_errors.
func TestRefusalsAsErrors(t *testing.T) {
	a, _ := running(t)
	h := &Handler{app: a, RefusalFormat: "none", MaxBody: defaultMaxBody}
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(hello))
	w := httptest.NewRecorder()
	err := h.ServeHTTP(w, r, nil)
	var status caddyhttp.HandlerError
	if !errors.As(err, &status) || status.StatusCode != http.StatusUnauthorized || w.Body.Len() != 0 {
		t.Errorf("%v %s", err, w.Body)
	}
}

func TestRefusalFormats(t *testing.T) {
	a, _ := running(t)
	for format, want := range map[string]struct{ kind, text string }{
		"openai":    {"application/json", `"type":"authentication_error"`},
		"anthropic": {"application/json", `{"type":"error"`},
		"gemini":    {"application/json", `"status":"UNAUTHENTICATED"`},
		"problem":   {"application/problem+json", `"status":401`},
		"auto":      {"text/html; charset=utf-8", "<h1>Unauthorized</h1>"},
	} {
		h := &Handler{app: a, RefusalFormat: format, MaxBody: defaultMaxBody}
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(hello))
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		if err := h.ServeHTTP(w, r, nil); err != nil || w.Code != 401 || w.Header().Get("Content-Type") != want.kind || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %v %d %s %s", format, err, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}

// Memory is used again for the next request; what one client sends, or gets, must
// never reach another.
func TestClientsGetNothingOfEachOther(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, r *http.Request) error {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(string(sent), `{"model":"demo-small","max_tokens":1,"user":"`), `"`)
		if want := echoed(name); string(sent) != want {
			t.Errorf("upstream got %.200q, want %.200q", sent, want)
		}
		return answered(w, "application/json", `{"choices":[{"message":{"content":"`+strings.Repeat(name, 1+len(sent)%700)+`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	})
	var wg sync.WaitGroup
	for client := range 16 {
		wg.Go(func() {
			for i := range 25 {
				name := "c" + strconv.Itoa(client) + "n" + strconv.Itoa(i) + "z"
				body := echoed(name)
				res, got, err := ask(t, s, key, body)
				if err != nil {
					t.Error(err)
					return
				}
				if want := strings.Repeat(name, 1+len(body)%700); res.StatusCode != http.StatusOK || !strings.Contains(got, `"content":"`+want+`"`) {
					t.Errorf("%s got %s %.300q", name, res.Status, got)
				}
			}
		})
	}
	wg.Wait()
}

// echoed is a request whose length depends on its name.
func echoed(name string) string {
	n := 0
	for _, c := range name {
		n = (n*31 + int(c)) % 997
	}
	return `{"model":"demo-small","max_tokens":1,"user":"` + name + `","messages":[{"role":"user","content":"` + strings.Repeat(name+" ", n) + `"}]}`
}
