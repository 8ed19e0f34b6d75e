package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

func written(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMaxChange(t *testing.T) {
	a, _ := running(t)
	text, err := os.ReadFile("../pricing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a.file, a.MaxChange = written(t, "pricing.yaml", strings.Replace(string(text), "{input: 25, ", "{input: 2.5, ", 1)), "50%"
	before, _ := a.engine.Book()
	diagnostics := reloadError(t, a)
	if after, _ := a.engine.Book(); after != before {
		t.Error("the price file is in force")
	}
	for _, want := range []string{"changes 1 price by more than max_change 50%", "models gpt-5-mini  input per 1M: 25 → 2.5 (−90%)", "farebox meter prices reload --force"} {
		if !strings.Contains(diagnostics, want) {
			t.Errorf("no %q in %s", want, diagnostics)
		}
	}
	if w := reload(a, `{"force":true}`); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	if after, _ := a.engine.Book(); after == before {
		t.Error("--force does not reload")
	}
	// A configuration that comes with such a file is refused, too.
	next := provisioned(t, t.TempDir())
	next.store, next.MaxChange = a.store, "50%"
	if err := next.openLedger(); err != nil {
		t.Fatal(err)
	}
	if err := next.Start(); err == nil || !strings.Contains(err.Error(), "max_change") {
		t.Errorf("a reload of the configuration: %v", err)
	}
	if err := next.Cleanup(); err != nil {
		t.Error(err)
	}
}

// What accounts have is not taken away by a price file.
func TestAPlanWithAccountsAndTheCreditStay(t *testing.T) {
	a, _ := running(t)
	text, err := os.ReadFile("../pricing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a1", "a2", "a3", "a4"} {
		if _, err := a.engine.Accounts.Create(t.Context(), id, "", "pro"); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := a.engine.Book()
	renamed := strings.Replace(string(text), "\n  pro:", "\n  gold:", 1)
	for _, tt := range []struct {
		text string
		want []string
	}{
		{renamed, []string{"removes the plan pro, which 4 accounts are on: a1, a2, a3 and 1 more", "set-plan", "--force"}},
		{strings.Replace(string(text), "name: credit", "name: token", 1), []string{"credit.name: credit → token", "--force"}},
		{strings.Replace(string(text), "USD", "EUR", 1), []string{"credit.worth: ", " USD → ", " EUR"}},
		{strings.Replace(string(text), "{input: 25, ", "{input: 250, ", 1), []string{"max_change 80%"}},
	} {
		if tt.text == string(text) {
			t.Fatalf("the file for %v is unchanged", tt.want)
		}
		a.file = written(t, "pricing.yaml", tt.text)
		got := reloadError(t, a)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	}
	if after, _ := a.engine.Book(); after != before {
		t.Error("a refused file is in force")
	}
	a.MaxChange = "off"
	if w := reload(a, ""); w.Code != http.StatusOK {
		t.Errorf("max_change off: %d %s", w.Code, w.Body)
	}
	a.file = written(t, "pricing.yaml", renamed)
	if w := reload(a, `{"force":true}`); w.Code != http.StatusOK {
		t.Errorf("--force: %d %s", w.Code, w.Body)
	}
}

// reload asks the operator's API to reload the price file.
func reload(a *App, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	(&api.API{PriceFile: priceFile{a}}).ServeTrusted(a.engine.Gateway, w, httptest.NewRequest(http.MethodPost, "/meter/prices/reload", strings.NewReader(body)))
	return w
}

// reloadError is what the operator's API says to a reload without force.
func reloadError(t *testing.T, a *App) string {
	t.Helper()
	w := reload(a, "")
	var e api.ErrorBody
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return e.Error
}

// The last line of the message catalogue: which book goes on.
func TestRefusedReload(t *testing.T) {
	a, _ := running(t)
	b, since := a.engine.Book()
	a.file = written(t, "pricing.yaml", "version: 1\ncredit: {name: credit}\noperations:\n  a: {match: /a, prise: 1, price: 1}\nmarkup: 5\n")
	want := "pricing.yaml: 2 errors, 0 warnings – not loaded, still using the book of " + since.UTC().Format("2 Jan 15:04") + " (" + b.Digest[:4] + "…)"
	if got := reloadError(t, a); !strings.HasSuffix(got, want) || !strings.Contains(got, `pricing.yaml:4:18: operations.a: unknown key "prise"; did you mean "price"?`) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
	if after, _ := a.engine.Book(); after != b {
		t.Error("it is in force")
	}
}
