package pricing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

func load(t testing.TB, text string) *pricing.Book {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte(text))
	if book == nil {
		t.Fatal(problems)
	}
	return book
}

var monday = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func jsonFacts(method, uri, body string) *pricing.Facts {
	f := &pricing.Facts{Method: method, URI: uri, At: monday}
	if body != "" {
		f.Body, f.ContentType = []byte(body), "application/json"
	}
	return f
}

// quote is the cost of a request that reports nothing, or the reason why it is
// refused.
func quote(t testing.TB, b *pricing.Book, method, uri, body string) string {
	t.Helper()
	return quoteFacts(t, b, jsonFacts(method, uri, body), pricing.Usage{})
}

func quoteFacts(t testing.TB, b *pricing.Book, f *pricing.Facts, u pricing.Usage) string {
	t.Helper()
	r, err := b.Read(f)
	var q pricing.Quote
	if err == nil {
		_, err = r.Estimate(u, nil, pricing.FreeLeft{}).Hold()
	}
	if err == nil {
		q, err = r.Cost(&pricing.Answer{Status: 200, Usage: &u}, nil, pricing.FreeLeft{})
	}
	var refusal *pricing.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	if err != nil {
		t.Fatal(err)
	}
	return q.Amount.Text(b.Credit.Decimals)
}

func dec(t testing.TB, s string) money.Decimal {
	t.Helper()
	d, err := money.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
