package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// operatorAPI is the operator's API over an account acme.
func operatorAPI(t testing.TB) *operator {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte("version: 1\ncredit: {name: credit}\noperations: {image: {match: POST /v1/images, price: 10}}\n"))
	if book == nil {
		t.Fatal(problems)
	}
	m, err := meter.Open(t.Context(), meter.Options{Store: memory.New(), Book: book})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if _, err := m.Accounts.Create(t.Context(), "acme", "Acme", ""); err != nil {
		t.Fatal(err)
	}
	return &operator{m: m}
}

// BenchmarkOperatorAPI is one call: find the route, read an account, write JSON.
func BenchmarkOperatorAPI(b *testing.B) {
	o := operatorAPI(b)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		o.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/meter/accounts/acme", nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// The routes are built once, so a call must not cost what building them does.
func TestAnOperatorsCallDoesNotBuildTheRoutes(t *testing.T) {
	o := operatorAPI(t)
	n := testing.AllocsPerRun(100, func() {
		o.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/meter/accounts/acme", nil))
	})
	if n > 150 {
		t.Errorf("%v allocations; building the routes alone takes more than 500", n)
	}
}

// Each request reaches the ledger that it was sent to.
func TestOperatorsOfTwoLedgersShareTheRoutes(t *testing.T) {
	one, two := operatorAPI(t), operatorAPI(t)
	if _, err := two.m.Accounts.Create(t.Context(), "beta", "Beta", ""); err != nil {
		t.Fatal(err)
	}
	for o, want := range map[*operator]int{one: http.StatusNotFound, two: http.StatusOK} {
		w := httptest.NewRecorder()
		o.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/meter/accounts/beta", nil))
		if w.Code != want {
			t.Errorf("%d, want %d: %s", w.Code, want, w.Body)
		}
	}
}
