package caddymodule

import (
	"os"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/event"
)

// Every refusal and every event is explained under a heading of its own, which
// refusals link to.
func TestEveryReasonAndEventIsExplained(t *testing.T) {
	errors, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for reason := range statuses {
		if !strings.Contains(string(errors), "\n### "+reason+"\n") {
			t.Errorf("docs/errors.md does not explain %s", reason)
		}
	}
	events, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range event.Types {
		if !strings.Contains(string(events), "\n### "+kind+"\n") {
			t.Errorf("docs/events.md does not explain %s", kind)
		}
	}
}
