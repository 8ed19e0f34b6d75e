package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

var errNoServer = errors.New("no server answers")

// ask sends a request to the operator's API of the running server and decodes
// the answer. in and out may be nil.
func (c *cli) ask(method, uri, idempotency string, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	if c.dryRun && changes(method, uri) {
		return nil, c.wouldDo(method, uri, in)
	}
	defer c.patience()()
	if c.data != "" && !changes(method, uri) { // that directory, whatever ledger a server has open
		if err := c.offline(method, uri, in, out); !errors.Is(err, badger.ErrInUse) {
			return nil, err
		}
	}
	header := http.Header{}
	if idempotency != "" {
		header.Set("Idempotency-Key", idempotency)
	}
	res, err := c.send(method, uri, header, body)
	if err != nil {
		return nil, c.unreachable(method, uri, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	return res.Header, decodeAnswer(res, out)
}

// changes reports whether a request changes anything.
func changes(method, uri string) bool {
	path, _, _ := strings.Cut(uri, "?")
	return method != http.MethodGet && !strings.HasSuffix(uri, "dry_run=true") && !slices.Contains([]string{"/meter/prices/check", "/meter/prices/explain", "/meter/prices/replay", "/meter/portal/v1/estimate"}, path)
}

// wouldDo prints a change instead of making it, and ends the command well.
func (c *cli) wouldDo(method, uri string, in any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	fmt.Printf("dry run, nothing was changed; it would send\n%s %s\n%s\n", method, uri, body)
	return &exit{exitOK, errors.New("")}
}

// patience shows on a terminal that something takes its time.
func (c *cli) patience() (done func()) {
	stop := make(chan struct{})
	var under sync.WaitGroup
	under.Go(func() {
		for began, beat := time.Now(), time.NewTicker(time.Second); ; {
			select {
			case <-beat.C:
				c.progress("working… %s", time.Since(began).Round(time.Second))
			case <-stop:
				beat.Stop()
				if time.Since(began) > time.Second {
					c.progress("")
				}
				return
			}
		}
	})
	return func() { close(stop); under.Wait() }
}

// send makes a request to the admin endpoint, which may be a socket. Caddy's own
// AdminAPIRequest turns errors into text, so that callers cannot tell them apart.
func (c *cli) send(method, uri string, header http.Header, body io.Reader) (*http.Response, error) {
	addr, err := caddy.ParseNetworkAddress(c.address)
	if err != nil || addr.PortRangeSize() != 1 && !addr.IsUnixNetwork() {
		return nil, &exit{exitInvalid, fmt.Errorf("--address %q: write host:port, such as localhost:2019, or unix//path", c.address)}
	}
	target := addr.JoinHostPort(0)
	origin := "http://" + target
	if addr.IsUnixNetwork() {
		target, _, _ = strings.Cut(target, "|") // permissions may follow
		origin = "http://127.0.0.1"
	}
	req, err := http.NewRequestWithContext(context.Background(), method, origin+uri, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	if !addr.IsUnixNetwork() {
		req.Header.Set("Origin", origin) // the endpoint may enforce it
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, addr.Network, target)
	}}}
	return client.Do(req)
}

// unreachable says what to do when no server answers.
func (c *cli) unreachable(method, uri string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = fmt.Errorf("%w at %s: %w\nStart it with: farebox run   (or name another one: --address host:port)", errNoServer, c.address, err)
		if !changes(method, uri) {
			err = fmt.Errorf("%w\nTo read a data directory that no server uses: --data <dir>", err)
		}
		return &exit{exitNoServer, err}
	}
	return err
}

// offline answers a read from the data directory, in this process.
func (c *cli) offline(method, uri string, in, out any) error {
	text, err := os.ReadFile(c.prices)
	if err != nil {
		return &exit{exitInvalid, fmt.Errorf("the price file that belongs to the data is needed too: --pricing <file>: %w", err)}
	}
	book, err := loadForCommand(c.prices, text)
	if err != nil {
		return &exit{exitInvalid, err}
	}
	s, err := stores.OpenAny(context.Background(), c.data)
	if errors.Is(err, writer.ErrNoLedger) {
		return &exit{exitNotFound, fmt.Errorf("--data %s: %w", c.data, err)}
	}
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // only read from
	m, err := meter.Open(context.Background(), meter.Options{Store: &readOnly{Store: s, own: map[string][]byte{}}, Book: book})
	if err != nil {
		return err
	}
	defer m.Close()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	w := httptest.NewRecorder()
	r, err := http.NewRequestWithContext(context.Background(), method, uri, bytes.NewReader(body))
	if err != nil {
		return err
	}
	new(api.API).ServeTrusted(m, w, r)
	return decodeAnswer(w.Result(), out) //nolint:bodyclose // of a recorder
}

// decodeAnswer turns an answer into a value, or into an error with its exit code.
func decodeAnswer(res *http.Response, out any) error {
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		var e api.ErrorBody
		if json.Unmarshal(b, &e) != nil || e.Error == "" {
			e.Error = fmt.Sprintf("the server answered %s: %s", res.Status, bytes.TrimSpace(b))
		}
		return &exit{exitCode(res.StatusCode), errors.New(e.Error)}
	}
	if out == nil {
		return nil
	}
	if raw, ok := out.(*json.RawMessage); ok {
		*raw = b
		return nil
	}
	return json.Unmarshal(b, out)
}

func exitCode(status int) int {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return exitInvalid
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusForbidden, http.StatusConflict, http.StatusPaymentRequired:
		return exitRefused
	case http.StatusServiceUnavailable:
		return exitNoServer
	}
	return exitError
}

// readOnly lets a command look at a data directory that no server uses, up to
// date (due renewals, abandoned holds), without changing it: what would be
// written is seen by later reads of this process and never reaches the store.
type readOnly struct {
	store.Store
	own map[string][]byte // nil value: deleted
}

// Update implements store.Store.
func (r *readOnly) Update(ctx context.Context, _ []string, fn func(store.Tx) error) error {
	own := maps.Clone(r.own)
	err := r.Store.View(ctx, func(s store.Snapshot) error { return fn(&store.Overlay{Snapshot: s, Own: own}) })
	if err == nil {
		r.own = own
	}
	return err
}

// View implements store.Store.
func (r *readOnly) View(ctx context.Context, fn func(store.Snapshot) error) error {
	return r.Store.View(ctx, func(s store.Snapshot) error { return fn(&store.Overlay{Snapshot: s, Own: r.own}) })
}
