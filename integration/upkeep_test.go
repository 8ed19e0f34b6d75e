package integration

import (
	"archive/zip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/writer"
)

// aYear replaces the ledger of a gateway with one that has a year behind it: accounts
// acme0 to acme4, each with so many charges of 0.007 credits, one every few hours. It
// returns the id of the first charge of acme0.
func (g *gateway) aYear(charges int) (first string) {
	g.t.Helper()
	g.stop()
	if err := os.RemoveAll(g.data); err != nil {
		g.t.Fatal(err)
	}
	end := time.Now().UTC().Truncate(time.Second)
	now := end.AddDate(-1, 0, 0)
	if _, err := stores.Create(g.t.Context(), g.data, now); err != nil {
		g.t.Fatal(err)
	}
	s, err := badger.Open(g.data, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	book, problems := pricefile.Load("pricing.yaml", []byte(read(g.t, g.path("pricing.yaml"))))
	if book == nil {
		g.t.Fatal(problems.Summary())
	}
	w, err := writer.Open(g.t.Context(), s, writer.Options{Now: func() time.Time { return now }, Terms: pricebook.Terms(book), Lease: -1, Timeout: -1})
	if err != nil {
		g.t.Fatal(err)
	}
	do := func(account ledger.AccountID, c ledger.Command) {
		g.t.Helper()
		if _, err := w.Do(g.t.Context(), account, c); err != nil {
			g.t.Fatalf("%T: %v", c, err)
		}
	}
	step := end.Sub(now) / time.Duration(charges+1)
	for i := range charges {
		for n := range 5 {
			id := ledger.AccountID(fmt.Sprint("acme", n))
			if i == 0 {
				do(id, ledger.Open{ID: id})
				do(id, ledger.Give{Grant: ledger.GrantID(ulid.New("gr_", now)), Type: "top_up", Amount: 1_000_000_000, Paid: true})
			}
			c := &ledger.Charge{ID: ledger.ChargeID(ulid.New(ledger.ChargePrefix, now)), Operation: "chat", Model: "demo-small", Member: "ann"}
			if first == "" {
				first = string(c.ID)
			}
			w.Go(id, ledger.Reserve{Charge: c, Amount: 10, Plan: ledger.AnyPlan}, nil)
			w.Go(id, ledger.Settle{Charge: c.ID, Cost: 7, Outcome: ledger.Outcome{Text: "answered", Status: 200}}, nil)
		}
		do("acme0", ledger.Touch{}) // after all of this hour
		now = now.Add(step)
	}
	w.Close()
	if err := s.Close(); err != nil {
		g.t.Fatal(err)
	}
	return first
}

// spent is what the accounts of aYear have spent, and what their usage sums come to.
func (g *gateway) spent() (list []string) {
	g.t.Helper()
	for n := range 5 {
		var u struct {
			Total struct{ Credits string } `json:"total"`
		}
		account := fmt.Sprint("acme", n)
		g.must(g.ask(http.MethodGet, "/meter/portal/v1/usage?from=2020-01-01&account="+account, nil, &u))
		list = append(list, g.show(account).Spent+" "+u.Total.Credits)
	}
	return list
}

// A year of charges: those of the last 100 days stay. The gateway is killed again and
// again while they leave; at the end all have left, are in the exports, and nothing
// that people look at is another than before.
func TestRetention(t *testing.T) {
	t.Parallel()
	const charges = 1500
	g := start(t, setup{})
	first := g.aYear(charges)
	caddyfile := read(t, g.path("Caddyfile"))
	g.write("Caddyfile", strings.Replace(caddyfile, "\tmeter {\n", "\tmeter {\n\t\tretention 100d export left\n\t\tcompact 03:30\n", 1))
	g.run()
	was := strings.Join(g.spent(), "\n")
	random := rand.New(rand.NewPCG(seed.Of(t), 1)) //nolint:gosec // a test's
	for range 4 {
		compaction := g.command("meter", "--address", g.admin, "compact")
		if err := compaction.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.After(time.Duration(100+random.IntN(1500)) * time.Millisecond)
		<-wait
		g.kill()
		_ = compaction.Wait()
		g.run()
		if out := g.cli("verify"); out.code != 0 {
			t.Fatalf("verify: %s%s", out.stdout, out.stderr)
		}
	}
	out := g.cli("compact", "--table")
	if out.code != 0 {
		t.Fatal(out.stderr)
	}
	if now := strings.Join(g.spent(), "\n"); now != was {
		t.Errorf("spent and usage before:\n%s\nafter:\n%s", was, now)
	}
	g.onlyTheLast(100*24*time.Hour, charges)
	if status, err := g.tryAsk(http.MethodPost, "/meter/charges/"+first+"/refund", "k1", map[string]string{"reason": "late"}, nil); status != http.StatusNotFound {
		t.Errorf("a refund by the id alone of a charge that left: %d, %v", status, err)
	}
	if status, _ := g.tryAsk(http.MethodPost, "/meter/accounts/acme0/charges/"+first+"/refund", "k3", map[string]string{"reason": "late"}, nil); status != http.StatusGone {
		t.Errorf("a refund of a charge that left: %d", status)
	}
	files, err := filepath.Glob(g.path("left/*.jsonl.gz"))
	if err != nil || len(files) == 0 {
		t.Errorf("exports: %v, %v", files, err)
	}
	if again := g.cli("compact"); again.code != 0 || !strings.Contains(again.stdout, `"entries":0`) && !strings.Contains(again.stdout, `"entries": 0`) {
		t.Errorf("a second compaction: %s%s", again.stdout, again.stderr)
	}
	t.Log(out.stdout)
}

// onlyTheLast looks at what is left of the charges of acme0.
func (g *gateway) onlyTheLast(keep time.Duration, all int) {
	g.t.Helper()
	var list api.List[api.ChargeView]
	n, cursor := 0, ""
	oldest := time.Now()
	for more := true; more; more = list.NextCursor != "" {
		list = api.List[api.ChargeView]{}
		g.must(g.ask(http.MethodGet, "/meter/portal/v1/charges?limit=500&account=acme0&cursor="+cursor, nil, &list))
		n, cursor = n+len(list.Data), list.NextCursor
		oldest = list.Data[len(list.Data)-1].At
	}
	want := all * int(keep/time.Hour) / (365 * 24)
	if age := time.Since(oldest); n < want-5 || n > want*11/10 || age < keep-24*time.Hour || age > keep*11/10 || list.DetailsSince == nil {
		g.t.Errorf("%d charges are left, about %d are to stay; the oldest is of %s, details since %v", n, want, oldest, list.DetailsSince)
	}
}

// A customer's data goes into an archive that people can read, and then out of the
// ledger; its key is dead.
func TestErasureAsDocumented(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	key := g.account("acme", "0.5")
	g.cli("member", "add", "acme", "mira@acme.example", "--name", "Mira Zanzibar", "--role", "admin").want(t, "a member", 0)
	g.cli("member", "erase", "acme", "mira@acme.example").want(t, "the last admin", 4)
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusOK {
		t.Fatal(a.Status)
	}
	g.settled("acme")
	g.cli("account", "erase", "acme").want(t, "erasing without a terminal", 2, "--yes")
	spent := g.show("acme").Spent
	page := read(t, "../docs/cli.md")
	if !strings.Contains(page, "spent 0 credits in all") {
		t.Fatal("docs/cli.md shows another account")
	}
	g.cli("account", "export", "acme", "-o", g.path("acme.zip")).want(t, "the export", 0)
	z, err := zip.OpenReader(g.path("acme.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close() //nolint:errcheck // only read from
	all := ""
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || len(text) == 0 {
			t.Errorf("%s: %d bytes, %v", f.Name, len(text), err)
		}
		all += f.Name + "\n" + string(text)
	}
	for _, want := range []string{"README.txt", "Mira Zanzibar", "journal.jsonl", `"kind":"settle"`, "charges.csv", "demo-small"} {
		if !strings.Contains(all, want) {
			t.Errorf("the archive lacks %s", want)
		}
	}
	if strings.Contains(all, key) {
		t.Error("the archive has the key")
	}
	g.cli("account", "export", "acme", "-o", g.path("acme.zip")).want(t, "over a file that is there", 2, "exists")
	g.cli("account", "erase", "acme", "--by", "data protection", "--yes", "--table").want(t, "erased", 0, "spent "+spent)
	g.cli("member", "list", "acme").want(t, "members", 0)
	if a := g.post(key, chatPath, chatBody("demo-small")); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the key of an erased account: %s", a.Status)
	}
	journal := g.journal("acme")
	if len(journal) == 0 || journal[0].Kind != "erased" || journal[0].Reason != "erased by data protection" {
		t.Errorf("%+v", journal)
	}
}

func TestErasureSamples(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.account("acme", "1")
	g.documented("../docs/cli.md", "A customer asks for their data")
}
