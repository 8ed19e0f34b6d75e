package account_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/account/intake"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

// BenchmarkImport imports accounts with a balance, an admin and a key into a ledger
// on disk; ns/op is for one of them.
func BenchmarkImport(b *testing.B) {
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	if book == nil {
		b.Fatal(problems)
	}
	s, err := badger.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // what was imported is counted
	if _, err := writer.Create(b.Context(), s, time.Now()); err != nil {
		b.Fatal(err)
	}
	m, err := meter.Open(b.Context(), meter.Options{Store: s, Book: book})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	var list bytes.Buffer
	for i := range b.N {
		fmt.Fprintf(&list, `{"id":"cus_%07d","name":"Customer %d","email":"a%d@example.com","balances":[{"amount":"%d","expires":"90 days"}],"keys":[{"secret":"sk-elsewhere-%07d-0123456789"}]}`+"\n", i, i, i, i+1, i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	r, err := m.Accounts.Import(b.Context(), intake.JSONLines(&list), false)
	if err != nil || r.Created != b.N {
		b.Fatalf("%v %+v", err, r)
	}
}
