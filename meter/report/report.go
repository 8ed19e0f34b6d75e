// Package report reads what has happened on accounts: their usage, charges and
// journal, the balance over time, how fast credits are spent, and what a mix of
// requests would cost. It changes nothing.
package report

import (
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Reports reads a ledger. Its methods are safe for concurrent use.
type Reports struct {
	writer *writer.Writer
	books  *pricebook.Books
}

// New reads the ledger of a writer, with the prices of books.
func New(b *writer.Writer, books *pricebook.Books) *Reports { return &Reports{writer: b, books: books} }
