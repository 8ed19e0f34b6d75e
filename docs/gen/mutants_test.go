package main

import (
	"bytes"
	"os"
	"testing"
)

// The page lists the mutants that the runner makes.
func TestMutantsAreUpToDate(t *testing.T) {
	page, err := os.ReadFile("../guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	again, err := completeMutants(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, again) {
		t.Error("docs/guarantees.md has other mutants than internal/mutants; run: go run ./docs/gen")
	}
}
