package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// Every price file that was in force is listed, with who put it in force and what it
// changed, and comes back whole.
func TestPricesComeBack(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	first := read(t, g.path("pricing.yaml"))
	digest := func(i int) string {
		return gjson.Get(g.cli("prices", "history").stdout, "data."+string(rune('0'+i))+".digest").Str
	}
	shipped := digest(0)
	g.edit("pricing.yaml", "per_image: 24", "per_image: 30")
	g.eventually("the new price is in force", func() bool { return digest(0) != shipped })
	history := g.cli("prices", "history").stdout
	if by := gjson.Get(history, "data.0.by").Str; by != "price file" || !gjson.Get(history, "data.0.in_force").Bool() || gjson.Get(history, "data.1.in_force").Bool() {
		t.Errorf("%s", history)
	}
	change := gjson.Get(history, "data.0.changes.0")
	if change.Get("id").Str != "image" || !strings.Contains(change.Get("old").Str, "24") || !strings.Contains(change.Get("new").Str, "30") {
		t.Errorf("the change: %s", change)
	}
	if out := g.cli("prices", "show", shipped[:8], "--table"); out.stdout != first {
		t.Errorf("the first file is not printed as it was: %s", out.stderr)
	}
	g.cli("prices", "diff", digest(0)[:12], "--against", shipped[:12]).want(t, "two that were in force", 0, `"id": "image"`)
	g.cli("prices", "restore", shipped[:8]).want(t, "the first comes back", 0, shipped)
	if read(t, g.path("pricing.yaml")) != first {
		t.Error("the file on disk is not the first one")
	}
	g.kill()
	g.run()
	if after := g.cli("prices", "history").stdout; len(gjson.Get(after, "data").Array()) != 3 || gjson.Get(after, "data.0.by").Str != "command line" || gjson.Get(after, "data.0.digest").Str != shipped {
		t.Errorf("after a restart: %s", after)
	}
	g.cli("prices", "restore", "abcdef0123").want(t, "one that never was", 5, "no price book that was in force here begins with")
	g.cli("prices", "show", shipped[:4]).want(t, "too short", 5, "at least 6 digits")

	second := digest(1)
	if err := os.Rename(g.path("pricing.yaml"), g.path("mounted.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("mounted.yaml", g.path("pricing.yaml")); err != nil {
		t.Fatal(err)
	}
	g.cli("prices", "restore", second).want(t, "a file that is mounted", 2, "is not a plain file", "farebox meter prices show")
	if read(t, g.path("mounted.yaml")) != first {
		t.Error("what is behind the link was changed")
	}
}
