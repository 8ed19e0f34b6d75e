package pricefile_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// TestSchemaIsUpToDate: the schema that editors load says what the table says.
func TestSchemaIsUpToDate(t *testing.T) {
	text, err := os.ReadFile("../../../docs/pricing.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, pricefile.Schema()) {
		t.Error("docs/pricing.schema.json is older than the table of keys; run: go run ./docs/gen")
	}
}

// TestKindsAreKeys: every kind of token can be priced, and nothing else under
// per_token.
func TestKindsAreKeys(t *testing.T) {
	known := map[string]bool{}
	for _, name := range pricing.KindNames() {
		known[name] = true
	}
	for i := range pricefile.Sections {
		s := &pricefile.Sections[i]
		if s.Name != "tokenRates" {
			continue
		}
		for _, name := range s.Names() {
			if !known[name] {
				t.Errorf("%q is no kind of token", name)
			}
			delete(known, name)
		}
	}
	if len(known) > 0 {
		t.Errorf("no keys for the kinds %v", known)
	}
}
