package farebox_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/farebox-dev/farebox"
	_ "github.com/farebox-dev/farebox/caddymodule"
	"github.com/farebox-dev/farebox/meter/pricing"
)

var block = regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```")

// Every price file and every Caddyfile in the documentation is a whole one and
// loads without an error or a warning of ours.
func TestSamples(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	samples := 0
	for _, file := range append(docs, "README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllStringSubmatch(string(text), -1) {
			switch b[1] {
			case "yaml":
				samples++
				if book, problems := pricing.Load(file, []byte(b[2])); book == nil {
					t.Errorf("%s: a price file does not load:\n%s\n%s", file, problems, b[2])
				}
			case "caddyfile":
				samples++
				adapts(t, file, b[2])
			}
		}
	}
	if samples < 9 {
		t.Errorf("only %d samples were found", samples)
	}
}

func adapts(t *testing.T, file, text string) {
	t.Helper()
	_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": file})
	if err != nil {
		t.Errorf("%s: a Caddyfile does not adapt: %v\n%s", file, err, text)
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("%s: %s\n%s", file, w.Message, text)
		}
	}
}

func TestShippedFiles(t *testing.T) {
	if book, problems := pricing.Load("pricing.yaml", farebox.Pricing); book == nil || len(problems) > 0 {
		t.Errorf("pricing.yaml: %s", problems)
	}
	text, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	adapts(t, "Caddyfile", string(text))
}
