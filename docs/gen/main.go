// Command gen writes the JSON Schema of the price file and the reference part of
// docs/pricing.md from the table of its keys, the reference part of docs/api.md
// from the table of endpoints, and the mutants of docs/guarantees.md from their list:
//
//	go run ./docs/gen
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

func main() {
	err := errors.Join(
		write("docs/pricing.schema.json", func([]byte) ([]byte, error) { return pricefile.Schema(), nil }),
		write("docs/pricing.md", complete),
		write("docs/api.md", completeEndpoints),
		write("docs/guarantees.md", completeMutants),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string, complete func([]byte) ([]byte, error)) error {
	page, err := os.ReadFile(file) //nolint:gosec // the page of this repository
	if err != nil {
		return err
	}
	page, err = complete(page)
	if err != nil {
		return err
	}
	return os.WriteFile(file, page, 0o644) //nolint:gosec // it is public
}
