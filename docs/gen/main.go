// Command gen writes the reference part of docs/pricing.md from the JSON Schema
// of the price file, which a test keeps in step with the loader:
//
//	go run ./docs/gen
package main

import (
	"fmt"
	"os"

	"github.com/farebox-dev/farebox"
)

func main() {
	if err := write("docs/pricing.md"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string) error {
	page, err := os.ReadFile(file) //nolint:gosec // the page of this repository
	if err != nil {
		return err
	}
	page, err = complete(page, farebox.Schema)
	if err != nil {
		return err
	}
	return os.WriteFile(file, page, 0o644) //nolint:gosec // it is public
}
