package pricefile_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// TestSchemaVocabulary keeps the editors' schema and the loader in step: the
// loader takes exactly the words of the schema.
func TestSchemaVocabulary(t *testing.T) {
	text, err := os.ReadFile("../../../docs/pricing.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type definition struct {
		Properties map[string]any `json:"properties"`
		OneOf      []struct {
			Properties map[string]any `json:"properties"`
		} `json:"oneOf"`
	}
	var schema struct {
		definition
		Defs map[string]definition `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for name, words := range pricefile.Vocabulary {
		d := schema.Defs[name]
		if name == "" {
			d = schema.definition
		}
		known := map[string]bool{}
		for word := range d.Properties {
			known[word] = true
		}
		for _, one := range d.OneOf {
			for word := range one.Properties {
				known[word] = true
			}
		}
		if len(known) == 0 {
			t.Errorf("the schema defines no %q", name)
		}
		for word := range known {
			if !slices.Contains(words, word) {
				t.Errorf("%s: the schema has %q, the loader not", name, word)
			}
		}
		for _, word := range words {
			if !known[word] {
				t.Errorf("%s: the loader has %q, the schema not", name, word)
			}
		}
	}
}
