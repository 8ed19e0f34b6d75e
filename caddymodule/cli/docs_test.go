package cli

import (
	"os"
	"strings"
	"testing"
)

// Every command and subcommand is in the documentation.
func TestEveryCommandIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range commandNames() {
		if !strings.Contains(string(text), "`"+name) && !strings.Contains(string(text), " · `"+name) {
			t.Errorf("docs/cli.md does not name %q", name)
		}
	}
}
