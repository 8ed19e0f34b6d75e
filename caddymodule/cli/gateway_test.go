package cli

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
)

const (
	shippedPrices = "../../pricing.yaml"

	hello = `{"model":"demo-small","messages":[{"role":"user","content":"hello"}]}`
	reply = `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":1000}}`
)

func shipped(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(shippedPrices)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// gateway is a meter by the shipped price file, with an account acme of 100
// credits, behind the API that commands use.
type gateway struct {
	*testing.T
	m *meter.Gateway
}

func newGateway(t *testing.T, s store.Store) *gateway {
	t.Helper()
	text := shipped(t)
	book, problems := pricefile.Load("pricing.yaml", text)
	if book == nil {
		t.Fatal(problems)
	}
	m, err := meter.Open(t.Context(), meter.Options{Store: s, Book: book, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if _, err := m.Accounts.Create(t.Context(), "acme", "", ""); err != nil {
		t.Fatal(err)
	}
	return &gateway{t, m}
}

// cli is a command line that talks to the gateway.
func (g *gateway) cli() *cli {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { new(api.API).ServeTrusted(g.m, w, r) }))
	g.Cleanup(s.Close)
	return &cli{address: strings.TrimPrefix(s.URL, "http://"), table: true, prices: shippedPrices}
}

func (g *gateway) admit(path, body string) (meter.Call, error) {
	return g.m.Admit(g.Context(), &meter.Request{
		Method: "POST", URI: path, Body: []byte(body), ContentType: "application/json", Caller: meter.Caller{Account: "acme"},
	})
}

// charged makes a request that is answered with reply.
func (g *gateway) charged(path, body string) {
	g.Helper()
	charge, err := g.admit(path, body)
	if err != nil {
		g.Fatal(err)
	}
	charge.Begin(http.StatusOK, http.Header{"Content-Type": {"application/json"}})
	if _, err := charge.Observe(g.Context(), []byte(reply)); err != nil {
		g.Fatal(err)
	}
	charge.End()
	charge.Settle(g.Context(), meter.Answered, nil)
}

func (g *gateway) refused(path, body string) {
	g.Helper()
	if g.m.Route(http.MethodPost, path).Refusal != nil {
		return
	}
	var denied *meter.Refusal
	if _, err := g.admit(path, body); !errors.As(err, &denied) {
		g.Fatalf("%s: %v, want a refusal", path, err)
	}
}
