package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

// An operator's day: plan changes, suspension, refunds, voids, a backup.
func TestOperatorCommands(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	g.cli("account", "set-plan", "acme", "gold").want(t, "no such plan", 2, "gold")
	g.cli("account", "set-plan", "acme", "pro", "--when", "tomorrow").want(t, "a wrong word", 2, "now or renewal")
	g.cli("account", "set-plan", "acme", "pro").want(t, "set-plan", 0, `"plan": "pro"`)
	g.cli("account", "renew", "acme").want(t, "nothing to pay", 4, "payment")
	g.cli("account", "end", "acme").want(t, "end", 0, `"at_renewal": "ends"`)

	g.cli("account", "suspend", "acme", "--reason", "chargeback").want(t, "suspend", 0, `"suspended": true`)
	if a := g.post(key, "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusForbidden {
		t.Errorf("a suspended account: %s", a.Status)
	}
	g.cli("account", "resume", "acme").want(t, "resume", 0)

	before := g.settled("acme").Available
	a := g.post(key, "/v1/images", `{"prompt":"x"}`)
	charge := a.Header.Get("Credits-Charge")
	g.settled("acme")
	g.cli("refund", charge).want(t, "refund without a reason", 2, "--reason")
	g.cli("refund", "ch_nothing", "--reason", "x").want(t, "no such charge", 5)
	g.cli("refund", charge, "--reason", "blurred", "--amount", "4", "--idempotency-key", "r1").want(t, "part", 0, `"amount": "4"`)
	g.cli("refund", charge, "--reason", "blurred", "--amount", "4", "--idempotency-key", "r1").want(t, "the same again", 0, `"amount": "4"`)
	g.cli("refund", charge, "--reason", "blurred", "--amount", "99").want(t, "too much", 4)
	g.cli("refund", charge, "--reason", "blurred").want(t, "the rest", 0, `"amount": "20"`)
	g.has("acme", before)

	grant := gjson.Get(g.cli("grant", "acme", "7", "--reason", "sorry").stdout, "grant.id").String()
	g.cli("void", grant).want(t, "void without a reason", 2, "--reason")
	g.cli("void", grant, "--reason", "mistake").want(t, "void", 0, `"amount": "7"`)
	g.cli("void", grant, "--reason", "mistake").want(t, "void again", 5)
	g.has("acme", before)
}

func TestCloseAccount(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	key := g.account("acme", "50")
	g.cli("account", "set-plan", "acme", "pro").want(t, "set-plan", 0)
	g.cli("account", "close", "missing").want(t, "no such account", 5)
	g.cli("account", "close", "acme", "--dry-run").want(t, "dry run", 0)
	if a := g.post(key, "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusOK {
		t.Errorf("after a dry run: %s", a.Status)
	}
	spent := g.settled("acme").Spent
	for range 2 {
		g.cli("account", "close", "acme", "--reason", "left us").want(t, "close", 0, `"suspended": true`, `"plan": "free"`)
	}
	if a := g.post(key, "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.body, "key_revoked") {
		t.Errorf("a key of a closed account: %s %s", a.Status, a.body)
	}
	if a := g.show("acme"); a.Spent != spent || len(a.Grants) == 0 {
		t.Errorf("credits and journal stay: %+v", a)
	}
	g.cli("account", "resume", "acme").want(t, "resume", 0)
	if a := g.post(g.key("acme"), "/v1/images", `{"prompt":"x"}`); a.StatusCode != http.StatusOK {
		t.Errorf("resumed, with a new key: %s", a.Status)
	}
	g.settled("acme")
}

func TestRepairReport(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	key := g.account("acme", "50")
	g.account("other", "50")
	g.post(key, "/v1/images", `{"prompt":"x"}`)
	g.settled("acme")
	g.stop()
	s, err := badger.Open(g.path("data"), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), nil, func(tx store.Tx) error {
		return tx.Delete(store.ID{Kind: store.Entry, Account: "acme", Name: store.Sequence(4)})
	})
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	offline := []string{"meter", "verify", "--repair-report", "--data", g.path("data"), "--pricing", g.path("pricing.yaml"), "--address", "127.0.0.1:1"}
	g.exec(append(offline, "--table")...).want(t, "table", 6, "acme: entry 4 is missing", "sound up to entry 3", "AVAILABLE", "farebox meter restore FILE --data DIR")
	out := g.exec(offline...)
	out.want(t, "JSON", 6, `"sound_entry": 3`)
	if n := gjson.Get(out.stdout, "findings.#").Int(); n != 1 {
		t.Errorf("%d findings, want 1: %s", n, out.stdout)
	}
}

func TestBackupAndRestore(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	g.post(key, "/v1/images", `{"prompt":"x"}`)
	left := g.settled("acme").Available
	file, dir := g.path("ledger.backup"), g.path("restored")
	g.cli("backup", file, "--table").want(t, "backup", 0, "restore")
	g.post(key, "/v1/images", `{"prompt":"x"}`) // after the backup
	g.settled("acme")
	g.cli("restore", file).want(t, "restore without a directory", 2, "--data")
	g.cli("restore", file, "--data", dir).want(t, "restore", 0, "verified", "end mark", "accounts 1 · API keys 1 ·")
	g.cli("restore", file, "--data", dir).want(t, "into the same directory", 2, "not empty")
	shown := g.exec("meter", "account", "show", "acme", "--data", dir, "--pricing", g.path("pricing.yaml"), "--address", "127.0.0.1:1")
	shown.want(t, "the restored ledger", 0)
	if got := gjson.Get(shown.stdout, "available").String(); got != left {
		t.Errorf("restored %s, want %s", got, left)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(raw)
	flipped[len(raw)/2] ^= 1
	for what, bad := range map[string][]byte{"half": raw[:len(raw)/2], "empty": nil, "endless": append(slices.Clone(raw), raw...), "flipped": flipped} {
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		g.exec("meter", "restore", file, "--data", g.path(what)).want(t, what, 2, "backup")
		if left, _ := filepath.Glob(g.path(what) + "*"); len(left) > 0 {
			t.Errorf("the failed restore of a %s backup left %v", what, left)
		}
	}
}

// A directory of backups: a full one, increments, and each moment of them again.
func TestASeriesOfBackups(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "500")
	dir := g.path("backups") + "/"
	var left, taken []string
	for i := range 4 {
		args := []string{"backup", dir}
		if i == 3 {
			args = append(args, "--full")
		}
		out := g.cli(args...)
		out.want(t, "backup", 0, `"file"`)
		if gjson.Get(out.stdout, "base").Exists() != (i == 1 || i == 2) {
			t.Errorf("backup %d: %s", i, out.stdout)
		}
		taken = append(taken, gjson.Get(out.stdout, "taken").String())
		left = append(left, g.settled("acme").Available)
		g.post(key, "/v1/images", `{"prompt":"x"}`)
		g.settled("acme")
	}
	for i, at := range taken {
		to := g.path(fmt.Sprint("restored", i))
		g.cli("restore", dir, "--data", to, "--at", at).want(t, "restore", 0, "verified", "end mark")
		shown := g.cli("account", "show", "acme", "--data", to, "--pricing", g.path("pricing.yaml")) // while a server runs
		if got := gjson.Get(shown.stdout, "available").String(); got != left[i] {
			t.Errorf("restored %s as of %s, want %s: %s", got, at, left[i], shown.stderr)
		}
	}
	g.cli("restore", dir, "--data", g.path("x"), "--at", "2020-01-01T00:00:00Z").want(t, "before the first", 2, "oldest")
	g.cli("restore", dir, "--data", g.path("x"), "--at", "yesterday").want(t, "no time", 2, "2026-03-01T12:00:00Z")
	g.cli("backups", dir, "--table").want(t, "list", 0, "yes", "increment")
	increments, err := filepath.Glob(dir + "*-increment.backup")
	if err != nil || len(increments) != 2 {
		t.Fatal(increments, err)
	}
	g.cli("restore", increments[1], "--data", g.path("x")).want(t, "an increment alone", 2, "directory")
	if err := os.Remove(increments[0]); err != nil {
		t.Fatal(err)
	}
	g.cli("backups", dir, "--table").want(t, "a chain with a hole", 6, "1 of 3", "not in the directory")
	g.cli("restore", dir, "--data", g.path("x"), "--at", taken[2]).want(t, "a hole", 2, "not in the directory")
	g.cli("backup", dir, "--keep", "1d").want(t, "goes on from the newest", 0, `"base"`)
	g.cli("backup", dir, "--keep", "soon").want(t, "keep", 2, "30d")
}
