package caddymodule

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/caddyserver/caddy/v2"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// broken is a store that can't be opened.
type broken struct{}

func (broken) Address() string { return "broken:" }

func (broken) Open(*zap.Logger) (store.Store, error) { return nil, errors.New("the disk is gone") }

func TestStoreErrors(t *testing.T) {
	a := provisioned(t, t.TempDir())
	a.store = broken{}
	for mode, want := range map[string]int{"": 503, "reject": 503, "pass": 200} {
		passed := false
		s := serve(t, &Handler{app: a, OnStoreError: mode}, func(w http.ResponseWriter, _ *http.Request) error {
			passed = true
			return answered(w, "application/json", reply)
		})
		res, body, err := ask(t, s, "fb_live_x", hello)
		if err != nil || res.StatusCode != want || passed != (mode == "pass") {
			t.Errorf("%q: %v %s %s", mode, err, res.Status, body)
		}
		if want == 503 && (!strings.Contains(body, "meter_unavailable") || strings.Contains(body, "disk") || res.Header.Get("X-Should-Retry") != "true") {
			t.Errorf("%q: %s %v", mode, body, res.Header)
		}
	}
}

// Without a ledger it is not known whose anything is: what names something that
// an upstream keeps does not pass unmetered.
func TestWhatBelongsToAnAccountNeverPassesUnmetered(t *testing.T) {
	a := provisioned(t, t.TempDir())
	a.store = broken{}
	passed := 0
	s := serve(t, &Handler{app: a, OnStoreError: "pass"}, func(w http.ResponseWriter, r *http.Request) error {
		passed++
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Method == http.MethodPost && string(b) != `{"model":"m","input":"x"}` {
			t.Errorf("%q %v went upstream", b, err)
		}
		return answered(w, "application/json", reply)
	})
	for _, tt := range []struct {
		method, path, body string
		passes             bool
	}{
		{"GET", "/v1/responses/resp_1", "", false},
		{"DELETE", "/v1/files/f", "", false},
		{"GET", "/v1/videos/v%20", "", false},
		{"GET", "/v1/videos/v;x", "", false},
		{"GET", "/v1/files", "", false},
		{"POST", "/v1/responses", `{"model":"m","input":"x","previous_response_id":"resp_1"}`, false},
		{"POST", "/v1/responses", `{"model":"m","input":"x"}`, true},
		{"GET", "/v1/models", "", true},
	} {
		passed = 0
		req, err := http.NewRequestWithContext(t.Context(), tt.method, s.URL+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if (res.StatusCode == http.StatusOK) != tt.passes || (passed == 1) != tt.passes || !tt.passes && res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s %s %s: %s, passed %d", tt.method, tt.path, tt.body, res.Status, passed)
		}
	}
}

// On a reload the old configuration is cleaned up while its requests still run.
func TestRequestsKeepTheLedgerOpen(t *testing.T) {
	dir := t.TempDir()
	old := provisioned(t, dir)
	if _, err := old.acquire(); err != nil { // a request
		t.Fatal(err)
	}
	if err := begin(old); err != nil {
		t.Fatal(err)
	}
	e := old.engine
	next := provisioned(t, dir)
	if err := errors.Join(begin(next), old.Stop(), old.Cleanup()); err != nil {
		t.Fatal(err)
	}
	if next.engine != e {
		t.Error("two engines on one directory")
	}
	if err := errors.Join(next.Stop(), next.Cleanup()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Accounts.Create(t.Context(), "late", "", ""); err != nil {
		t.Errorf("the request's ledger was closed: %v", err)
	}
	old.release()
	if _, err := e.Accounts.Create(t.Context(), "later", "", ""); err == nil {
		t.Error("the last one out did not close the ledger")
	}
}

// A configuration that is only validated opens nothing and creates nothing, and
// does not need a ledger to be there.
func TestValidatingOpensNothing(t *testing.T) {
	dir := t.TempDir() + "/not-there"
	config := fmt.Sprintf(`{"store":{"module":"badger","dir":%q},"pricing":"../pricing.yaml"}`, dir)
	if err := caddy.Validate(&caddy.Config{AppsRaw: caddy.ModuleMap{"meter": json.RawMessage(config)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the data directory was made")
	}
}

// flaky is a store that can be made to fail while it is open.
type flaky struct {
	*memory.Store
	down   *atomic.Bool
	failed chan struct{} // receives a value after a failure
}

func newFlaky() flaky {
	f := flaky{memory.New(), new(atomic.Bool), make(chan struct{}, 1)}
	f.Fail = func() error {
		if f.down.Load() {
			select {
			case f.failed <- struct{}{}:
			default:
			}
			return errors.New("the disk is full")
		}
		return nil
	}
	return f
}

func (flaky) Address() string { return "flaky:" }

func (f flaky) Open(*zap.Logger) (store.Store, error) { return f.Store, nil }

func TestAStoreThatFailsWhileRunning(t *testing.T) {
	a := provisioned(t, t.TempDir())
	disk := newFlaky()
	a.store = disk
	key := started(t, a)
	breaks := false // while the answer is on its way
	next := func(w http.ResponseWriter, _ *http.Request) error {
		if breaks {
			disk.down.Store(true)
		}
		return answered(w, "application/json", reply)
	}
	servers := map[string]int{"reject": http.StatusServiceUnavailable, "pass": http.StatusOK}
	for mode, want := range servers {
		s := serve(t, &Handler{app: a, OnStoreError: mode}, next)
		if res, body, err := ask(t, s, key, hello); err != nil || res.StatusCode != 200 || res.Header.Get("Credits-Cost") != replyCost {
			t.Fatalf("%s: %v %s", mode, err, body)
		}
		settled(t, a)
		disk.down.Store(true)
		res, body, err := ask(t, s, key, hello)
		if err != nil || res.StatusCode != want || res.Header.Get("Credits-Charge") != "" {
			t.Errorf("%s: %v %v %s", mode, err, res, body)
		}
		disk.down.Store(false)
	}
	// One that was admitted gets its answer, and is charged when the disk is back: once. The client does not see the cost before it is
	// booked.
	breaks = true
	select { // of the requests before
	case <-disk.failed:
	default:
	}
	s := serve(t, &Handler{app: a}, next)
	if res, _, err := ask(t, s, key, hello); err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Credits-Cost") != "" {
		t.Errorf("%v %v", err, res)
	}
	<-disk.failed // the settle was tried
	disk.down.Store(false)
	if got := spent(t, a); got != "27" {
		t.Errorf("spent %s, want three times %s", got, replyCost)
	}
}

// Compressed responses are decoded, whatever encoding the request asked for; what no decoder
// can read costs what was held.
func TestEncodedAnswers(t *testing.T) {
	a, key := running(t)
	for _, encoding := range []string{"gzip", "zlib", "raw deflate", "br", "zstd", "gzip, br", "snappy"} {
		before := settled(t, a).SpentNet()
		name, body := encode(t, encoding, reply)
		s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Encoding", name)
			return answered(w, "application/json", body)
		})
		req, err := http.NewRequest(http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(hello[:len(hello)-1]+`,"max_tokens":500}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Accept-Encoding", "identity")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		cost := (settled(t, a).SpentNet() - before).Text(3)
		if unknown := encoding == "snappy"; !unknown && cost != replyCost || unknown && (cost < "4" || cost > "4.1") {
			t.Errorf("%s: cost %s", encoding, cost)
		}
	}
}

func encode(t *testing.T, encoding, body string) (name, encoded string) {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	name = encoding
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		name, w = "deflate", zlib.NewWriter(&b)
	case "raw deflate":
		name = "deflate"
		w, err = flate.NewWriter(&b, 5)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	case "gzip, br":
		_, once := encode(t, "gzip", body)
		_, twice := encode(t, "br", once)
		return name, twice
	default:
		return name, body
	}
	if err == nil {
		_, err = io.WriteString(w, body)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return name, b.String()
}
