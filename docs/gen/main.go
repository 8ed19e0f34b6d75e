// Command gen writes the reference part of docs/pricing.md from the JSON Schema
// of the price file, which a test keeps in step with the loader, and that of
// docs/api.md from the table of endpoints:
//
//	go run ./docs/gen
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/farebox-dev/farebox"
)

func main() {
	err := errors.Join(
		write("docs/pricing.md", func(page []byte) ([]byte, error) { return complete(page, farebox.Schema) }),
		write("docs/api.md", completeEndpoints),
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
