//go:build linux

package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// trace is a book and a client, and what both saw, in order.
type trace struct {
	*httptest.ResponseRecorder
	saw []string
}

func (t *trace) hold(string) error   { t.saw = append(t.saw, "hold"); return nil }
func (t *trace) settle(string) error { t.saw = append(t.saw, "settle"); return nil }
func (t *trace) close() error        { return nil }

func (t *trace) Write(p []byte) (int, error) {
	t.saw = append(t.saw, string(p))
	return len(p), nil
}

func TestTheLastByteWaitsForTheSettle(t *testing.T) {
	for length, want := range map[string]string{"4": "hold upstream ab settle cd", "": "hold upstream ab cd settle"} {
		c := &trace{ResponseRecorder: httptest.NewRecorder()}
		err := (&handler{book: c}).ServeHTTP(c, httptest.NewRequest(http.MethodPost, "/", nil), caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			c.saw = append(c.saw, "upstream")
			w.Header().Set("Content-Length", length)
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "ab")
			_, err := io.WriteString(w, "cd")
			return err
		}))
		if got := strings.Join(c.saw, " "); err != nil || got != want {
			t.Errorf("length %q: %s %v, want %s", length, got, err, want)
		}
	}
}

func TestRecordsAreInTheFileWhenAppendReturns(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l, err := openLog(name)
	if err != nil {
		t.Fatal(err)
	}
	const callers = 50
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if err := l.append(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(bytes.TrimRight(data, "\x00")); n != callers*recordSize {
		t.Errorf("%d bytes were written, not %d", n, callers*recordSize)
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

func TestBalancesSurvive(t *testing.T) {
	dir := t.TempDir()
	b, err := openBalances(dir)
	if err != nil {
		t.Fatal(err)
	}
	const callers = 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if err := b.hold("acme"); err != nil {
				t.Error(err)
			}
			if err := b.settle("acme"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	if b, err = openBalances(dir); err != nil {
		t.Fatal(err)
	}
	defer b.close() //nolint:errcheck // a test's store
	tx := b.db.NewTransaction(false)
	defer tx.Discard()
	if got, err := read(tx, "acme"); err != nil || got != start-callers*billed {
		t.Errorf("the balance is %d, not %d: %v", got, start-callers*billed, err)
	}
}
