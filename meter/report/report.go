// Package report reads what has happened on accounts: their usage, charges and
// journal, the balance over time, how fast credits are spent, and what a mix of
// requests would cost. It changes nothing.
package report

import (
	"github.com/farebox-dev/farebox/meter/bank"
	"github.com/farebox-dev/farebox/meter/pricebook"
)

// Reports reads a ledger. Its methods are safe for concurrent use.
type Reports struct {
	bank  *bank.Bank
	books *pricebook.Books
}

// New reads the ledger of a bank, with the prices of books.
func New(b *bank.Bank, books *pricebook.Books) *Reports { return &Reports{bank: b, books: books} }
