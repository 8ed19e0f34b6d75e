package api

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// Those that need less than admin; a new route that is not here needs admin.
var lesserScopes = map[string]string{
	"POST /admin/v1/prices/check": "read", "POST /admin/v1/prices/explain": "read", "POST /admin/v1/prices/replay": "read", "POST /admin/v1/prices/diff": "read",
	"POST /admin/v1/accounts/{id}/grants": "grant", "POST /admin/v1/accounts/{id}/grants/{grant}/void": "grant", "POST /admin/v1/grants/{grant}/void": "grant",
	"POST /admin/v1/grants":                                "grant",
	"POST /admin/v1/accounts/{id}/charges/{charge}/refund": "grant", "POST /admin/v1/charges/{charge}/refund": "grant",
	"POST /admin/v1/accounts/{id}/subscription/renew": "grant",
}

// adminReads are what only admins may read: what opens doors.
var adminReads = []string{"GET /admin/v1/operator-keys", "GET /admin/v1/backup", "GET /admin/v1/ledger/follow"}

var wildcard = regexp.MustCompile(`\{[a-z]+\}`)

func TestEachRouteOfTheOperatorsNeedsItsScope(t *testing.T) {
	book, problems := pricefile.Load("pricing.yaml", []byte("version: 1\ncredit: {name: credit}\noperations: {image: {match: POST /v1/images, price: 10}}\n"))
	if book == nil {
		t.Fatal(problems)
	}
	m, err := meter.Open(t.Context(), meter.Options{Store: memory.New(), Book: book})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := &API{Base: "/_meter", Console: true}
	keys := map[string]string{}
	for _, scope := range []string{"read", "grant", "admin"} {
		if keys[scope], _, err = m.Directory.Operators.Create(t.Context(), "", scope, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	rank := map[string]int{"read": 1, "grant": 2, "admin": 3}
	try := func(pattern, path, needs string) {
		t.Helper()
		method, _, _ := strings.Cut(pattern, " ")
		for scope, key := range keys {
			r := httptest.NewRequestWithContext(t.Context(), method, "/admin/v1/"+path, nil)
			r.Header.Set("Authorization", "Bearer "+key)
			w := httptest.NewRecorder()
			p.Serve(m, w, r)
			if may := rank[scope] >= rank[needs]; strings.Contains(w.Body.String(), `"reason":"admin_only"`) == may || w.Code == http.StatusUnauthorized {
				t.Errorf("%s with scope %s: %d %s", pattern, scope, w.Code, w.Body)
			}
		}
	}
	routes := map[string]bool{}
	for _, to := range operatorEndpoints() {
		pattern := to.pattern
		routes[pattern] = true
		method, path, _ := strings.Cut(pattern, " ")
		needs, ok := lesserScopes[pattern]
		switch {
		case ok:
		case method == http.MethodGet:
			needs = "read"
		default:
			needs = "admin"
		}
		for _, a := range adminReads {
			if a == pattern {
				needs = "admin"
			}
		}
		try(pattern, strings.TrimPrefix(wildcard.ReplaceAllString(path, "x"), "/admin/v1/"), needs)
	}
	for _, unknown := range []string{"POST nothing", "PUT prices/check", "DELETE accounts/x/grants", "PATCH charges/x/refund", "POST prices/check/more"} {
		method, path, _ := strings.Cut(unknown, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, "/admin/v1/"+path, nil)
		r.Header.Set("Authorization", "Bearer "+keys["admin"])
		w := httptest.NewRecorder()
		if p.Serve(m, w, r); w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", unknown, w.Code)
		}
	}
	for pattern := range lesserScopes {
		if !routes[pattern] {
			t.Errorf("there is no route %s any more", pattern)
		}
	}
}
