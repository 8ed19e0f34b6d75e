package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// ledgerOfAcme is a meter with the account acme.
func ledgerOfAcme(t testing.TB) *meter.Gateway {
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
	return m
}

// BenchmarkOperatorAPI is one call: find the route, read an account, write JSON.
func BenchmarkOperatorAPI(b *testing.B) {
	m := ledgerOfAcme(b)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		new(API).ServeTrusted(m, w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/meter/accounts/acme", nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// BenchmarkNewMux is what a request would cost more, if it built the routes anew.
func BenchmarkNewMux(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newMux()
	}
}

// The routes are built once, so a call must not cost what building them does.
func TestAnOperatorsCallDoesNotBuildTheRoutes(t *testing.T) {
	m := ledgerOfAcme(t)
	n := testing.AllocsPerRun(100, func() {
		new(API).ServeTrusted(m, httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/meter/accounts/acme", nil))
	})
	if n > 150 {
		t.Errorf("%v allocations; building the routes alone takes more than 500", n)
	}
}

// Each request reaches the ledger that it was sent to.
func TestOperatorsOfTwoLedgersShareTheRoutes(t *testing.T) {
	one, two := ledgerOfAcme(t), ledgerOfAcme(t)
	if _, err := two.Accounts.Create(t.Context(), "beta", "Beta", ""); err != nil {
		t.Fatal(err)
	}
	for m, want := range map[*meter.Gateway]int{one: http.StatusNotFound, two: http.StatusOK} {
		w := httptest.NewRecorder()
		new(API).ServeTrusted(m, w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/meter/accounts/beta", nil))
		if w.Code != want {
			t.Errorf("%d, want %d: %s", w.Code, want, w.Body)
		}
	}
}
