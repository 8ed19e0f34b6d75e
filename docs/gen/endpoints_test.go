package main

import (
	"bytes"
	"os"
	"testing"
)

// The page lists the endpoints that the table has.
func TestEndpointsAreUpToDate(t *testing.T) {
	page, err := os.ReadFile("../api.md")
	if err != nil {
		t.Fatal(err)
	}
	again, err := completeEndpoints(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, again) {
		t.Error("docs/api.md is older than the table of endpoints; run: go run ./docs/gen")
	}
}
