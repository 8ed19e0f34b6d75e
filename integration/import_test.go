package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// documented runs the commands of a section of a page, and compares what they print.
// Blocks of CSV are written to accounts.csv first.
func (g *gateway) documented(page, section string) {
	g.t.Helper()
	_, text, ok := strings.Cut(read(g.t, page), "\n## "+section+"\n")
	if !ok {
		g.t.Fatalf("%s has no section %q", page, section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	ran := 0
	for i, block := range strings.Split(text, "```") {
		kind, body, _ := strings.Cut(block, "\n")
		switch {
		case i%2 == 0: // between blocks
		case kind == "csv":
			g.write("accounts.csv", body)
		case strings.HasPrefix(body, "$ farebox meter "):
			for _, run := range strings.Split(body, "$ farebox meter ")[1:] {
				line, want, _ := strings.Cut(run, "\n")
				ran++
				if got := g.cli(append(words(line), "--table")...); tidy(got.stdout) != tidy(want) {
					g.t.Errorf("%s, farebox meter %s prints\n%s\n%s\nthe page says\n%s", page, line, got.stdout, got.stderr, want)
				}
			}
		}
	}
	if ran == 0 {
		g.t.Errorf("%s, %s: no command", page, section)
	}
}

// words splits a command line; words with spaces are "quoted".
func words(line string) (list []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

// tidy leaves out spaces at the ends of lines.
func tidy(text string) string {
	var s strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text)) {
		s.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return s.String()
}

func TestImportAsDocumented(t *testing.T) {
	g := start(t, setup{})
	g.documented("../docs/cli.md", "Importing accounts")
	g.has("acme", "4200")
	if a := g.post("sk-acme-5f0c2d7e81b94a36", "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusOK {
		t.Errorf("a key from elsewhere: %s", a.Status)
	}
	if a := g.post("sk-acme-5f0c2d7e81b94a37", "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unknown key: %s", a.Status)
	}
	if text := g.log.String(); strings.Contains(text, "sk-acme-5f0c") {
		t.Error("the gateway logged an imported key")
	}
	g.stop()
	g.run()
	if a := g.post("sk-acme-5f0c2d7e81b94a36", "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusOK {
		t.Errorf("a key from elsewhere after a restart: %s", a.Status)
	}
}

func TestGrantToManyAsDocumented(t *testing.T) {
	g := start(t, setup{})
	g.documented("../docs/cli.md", "Granting to many accounts")
	g.cli("grant", "--all", "5", "--reason", "x").want(t, "without a key", 2, "--idempotency-key")
	g.cli("grant", "--plan", "pro", "5", "--reason", "x", "--idempotency-key", "k").want(t, "without --all", 2, "--all")
	g.cli("grant", "--all", "--state", "rich", "5", "--reason", "x", "--idempotency-key", "k").want(t, "an unknown state", 2, "low, overage, suspended")
	g.cli("account", "list", "--sort", "wealth").want(t, "an unknown order", 2, "id, balance, changed, created")
}

// The gateway is killed at random moments of an import. Afterwards each account is
// there with all that its line says, or not at all, and another run imports the rest.
func TestKillDuringImport(t *testing.T) {
	const accounts = 6000
	g := start(t, setup{})
	var list strings.Builder
	for i := range accounts {
		fmt.Fprintf(&list, `{"id":"cus-%04d","email":"a%d@example.com","plan":"pro","balances":[{"amount":"%d"},{"type":"courtesy","amount":"7","expires":"90 days"}],"keys":[{"secret":"sk-elsewhere-%04d-0123456789"}]}`+"\n", i, i, 1000+i, i)
	}
	g.write("accounts.jsonl", list.String())
	killed := 0
	for round := range 6 {
		server := g.process
		importing := g.launch("meter", "--address", g.admin, "import", g.path("accounts.jsonl"))
		g.process = server
		select {
		case <-importing.done:
		case <-time.After(time.Duration(60+90*round) * time.Millisecond):
			g.kill()
			<-importing.done
			killed++
			g.run()
		}
		there := g.imported()
		t.Logf("kill %d: %d accounts are there", killed, there)
	}
	g.cli("import", g.path("accounts.jsonl")).want(t, "the last run", 0, `"failed": 0`)
	if there := g.imported(); there != accounts {
		t.Errorf("%d accounts, want %d", there, accounts)
	}
	again := g.cli("import", g.path("accounts.jsonl"))
	again.want(t, "once more", 0, `"created": 0`, fmt.Sprintf(`"unchanged": %d`, accounts))
	if killed < 3 {
		t.Errorf("killed %d times in the middle of an import", killed)
	}
	g.cli("verify").want(t, "verify", 0)
}

// imported counts the accounts, and looks whether each is whole.
func (g *gateway) imported() (n int) {
	g.t.Helper()
	for _, a := range gjson.Get(g.cli("account", "list").stdout, "data").Array() {
		n++
		id := a.Get("id").Str
		number := strings.TrimLeft(strings.TrimPrefix(id, "cus-"), "0")
		if number == "" {
			number = "0"
		}
		sum := 0
		if _, err := fmt.Sscan(number, &sum); err != nil {
			g.t.Fatal(err)
		}
		if want := fmt.Sprint(3000 + 1000 + sum + 7); a.Get("available").Str != want || a.Get("plan").Str != "pro" {
			g.t.Fatalf("%s is half there: %s, want %s credits on pro", id, a.Raw, want)
		}
		if n%500 == 1 { // one command per look
			var keys, members struct{ Data []any }
			g.ask(http.MethodGet, "/meter/accounts/"+id+"/keys", nil, &keys)
			g.ask(http.MethodGet, "/meter/accounts/"+id+"/members", nil, &members)
			if len(keys.Data) != 1 || len(members.Data) != 1 {
				g.t.Fatalf("%s is half there: %d keys, %d members", id, len(keys.Data), len(members.Data))
			}
		}
	}
	return n
}
