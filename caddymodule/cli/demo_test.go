package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

// played is the demo's history, with an operator's API over it.
func played(t *testing.T, now time.Time) (*meter.Gateway, func(method, path, body string, into any) int) {
	t.Helper()
	dir, text := filepath.Join(t.TempDir(), "ledger"), demoPricing()
	began := time.Now()
	if err := demoHistory(t.Context(), dir, text, now); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 15*time.Second { // a second, where nothing else runs
		t.Errorf("playing the history took %v", took)
	}
	s, err := badger.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	book, problems := pricefile.Load("pricing.yaml", text)
	if book == nil {
		t.Fatal(problems)
	}
	m, err := meter.Open(t.Context(), meter.Options{Store: s, Book: book, Text: text, Now: func() time.Time { return now }, Problem: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	file := written(t, "pricing.yaml", strings.Replace(string(text), "per_image: 24", "per_imag: 24", 1))
	operator := &api.API{PriceFile: onDisk(file)}
	return m, func(method, path, body string, into any) int {
		t.Helper()
		w := httptest.NewRecorder()
		operator.ServeTrusted(m, w, httptest.NewRequestWithContext(t.Context(), method, "/meter/"+path, strings.NewReader(body)))
		if into != nil {
			if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Code != http.StatusOK {
				t.Fatalf("%s %s: %d %v %s", method, path, w.Code, err, w.Body)
			}
		}
		return w.Code
	}
}

// onDisk is a price file that cannot be reloaded.
type onDisk string

func (f onDisk) Path() string { return string(f) }

func (onDisk) Reload(context.Context, bool) error { return nil }

func (onDisk) Replace(context.Context, []byte, bool) error { return nil }

// Whatever the weekday and the hour: the history verifies, the team runs low
// before its renewal, and the account of the README's first steps is fresh.
func TestTheDemosHistory(t *testing.T) {
	for _, now := range []time.Time{
		time.Date(2026, 3, 31, 0, 3, 0, 0, time.UTC), time.Date(2027, 3, 1, 23, 58, 0, 0, time.UTC),
	} {
		m, _ := played(t, now)
		r, err := m.Verify(t.Context())
		if err != nil || !r.Clean() || r.Holds != 0 || r.Charges < 500 {
			t.Errorf("%s: %+v %v", now, r, err)
		}
		for id, between := range map[string][2]int64{"acme": {20_000, 600_000}, "demo": {100_000, 100_000}} {
			a, err := m.Accounts.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			have, _ := a.Available(now)
			t.Logf("%s: %s has %s", now.Format(time.DateOnly), id, have.Text(3))
			if int64(have) < between[0] || int64(have) > between[1] {
				t.Errorf("%s: %s has %d thousandths, want %d to %d", now, id, have, between[0], between[1])
			}
		}
		b, ok, err := m.Reports.Burn(t.Context(), "acme")
		if err != nil || !ok || b.RunsOut.IsZero() || b.EnoughUntilRenewal {
			t.Errorf("%s: the burn rate is %+v %v %v", now, b, ok, err)
		}
		if err := demoHistory(context.Background(), t.TempDir(), []byte("credit: nonsense"), now); err == nil {
			t.Error("a wrong price file goes unnoticed")
		}
	}
}

func TestTheConsolesReports(t *testing.T) {
	_, ask := played(t, time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	var total string
	for _, by := range []string{"operation", "model", "feature", "account"} {
		var v api.MarginView
		ask(http.MethodGet, "margin?from=2026-10-01&to=2026-12-01&group_by="+by, "", &v)
		sum := map[string]int64{}
		for _, l := range v.Data {
			sum["requests"] += l.Requests
		}
		if v.Accounts != 2 || len(v.Data) < 2 || sum["requests"] != v.Total.Requests {
			t.Errorf("by %s: %d accounts, %d of %d requests", by, v.Accounts, sum["requests"], v.Total.Requests)
		}
		if total != "" && v.Total.Credits != total {
			t.Errorf("by %s: %s credits, by the others %s", by, v.Total.Credits, total)
		}
		if total = v.Total.Credits; v.Total.Worth == "" {
			t.Error("no worth")
		}
	}
	for _, path := range []string{"margin?group_by=member", "margin?tz=Mars", "margin?from=x"} {
		if status := ask(http.MethodGet, path, "", nil); status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, status)
		}
	}
	var plans api.PlansView
	if ask(http.MethodGet, "plans", "", &plans); len(plans.Plans) != 2 || *plans.Plans[0].Accounts != 1 || *plans.Plans[1].Accounts != 1 || len(plans.Packs) != 1 || plans.Packs[0].Credits != "1000" {
		t.Errorf("%+v", plans)
	}
	var file api.FileView
	if ask(http.MethodGet, "prices/file", "", &file); file.OK || file.Loaded || len(file.Problems) == 0 || !strings.Contains(file.Problems[0].Message, "per_imag") {
		t.Errorf("%+v", file.CheckView)
	}
	raw, err := json.Marshal(api.ReplayRequest{Text: strings.Replace(string(demoPricing()), "per_image: 24", "per_image: 30", 1), Days: 30})
	if err != nil {
		t.Fatal(err)
	}
	var diff api.DiffView
	if ask(http.MethodPost, "prices/diff", string(raw), &diff); len(diff.Changes) != 1 || diff.Replay == nil || !strings.HasPrefix(diff.Replay.Difference, "+") {
		t.Errorf("%+v", diff)
	}
	if status := ask(http.MethodPost, "prices/diff", `{"text":"nonsense"}`, nil); status != http.StatusBadRequest {
		t.Errorf("a wrong price file: %d", status)
	}
	for q, want := range map[string]int{"studio": 1, "ACME": 1, "pro": 1, "": 2, "missing": 0} {
		var l api.List[api.AccountView]
		if ask(http.MethodGet, "accounts?q="+q, "", &l); len(l.Data) != want {
			t.Errorf("q=%s finds %d accounts, want %d", q, len(l.Data), want)
		}
	}
}
