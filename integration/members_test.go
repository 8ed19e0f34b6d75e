package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

func TestMembers(t *testing.T) {
	g := start(t, setup{})
	g.account("acme", "500")
	g.cli("member", "add", "acme", "mira", "--role", "admin", "--email", "mira@example.com").want(t, "add", 0, `"role": "admin"`, `"account": "acme"`)
	g.cli("member", "add", "acme", "mira").want(t, "add again", 4, "mira")
	g.cli("member", "add", "missing", "mira").want(t, "a member of a missing account", 5, "account")
	g.cli("member", "add", "acme", "ben", "--role", "owner").want(t, "no such role", 2, "admin, member or viewer")
	g.cli("member", "add", "acme", "ben", "--cap", "50").want(t, "half a cap", 2, "50/month")
	g.cli("member", "add", "acme", "ben", "--name", "Ben", "--cap", "50/month").want(t, "add ben", 0, `"every": "month"`)
	g.cli("member", "list", "acme", "--table").want(t, "list", 0, "MEMBER", "Ben", "50/month", "mira@example.com")
	g.cli("member", "set-role", "acme", "mira", "member").want(t, "the last admin", 4, "last admin")
	g.cli("member", "remove", "acme", "mira").want(t, "the last admin", 4, "last admin")
	g.cli("member", "set-role", "acme", "bne", "viewer").want(t, "a mistyped name", 5, "bne")

	key := func(member string) string {
		out := g.cli("key", "create", "acme", "--member", member)
		out.want(t, "a key for "+member, 0)
		return gjson.Get(out.stdout, "secret").String()
	}
	ben := key("ben")
	image := func(what string, status int, texts ...string) {
		t.Helper()
		a := g.post(ben, "/v1/images", `{"prompt":"x"}`)
		if a.StatusCode != status {
			t.Errorf("%s: %s %s", what, a.Status, a.body)
		}
		for _, text := range texts {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s: no %q in %s", what, text, a.body)
			}
		}
	}
	image("the first", http.StatusOK)
	image("the second", http.StatusOK)
	g.settled("acme")
	image("over the cap", http.StatusPaymentRequired, "member_cap")
	g.cli("member", "cap", "acme", "ben").want(t, "no cap any more", 0, "!month")
	image("without a cap", http.StatusOK)
	g.cli("member", "set-role", "acme", "ben", "viewer").want(t, "viewer", 0)
	image("a viewer", http.StatusForbidden, "viewer_cannot_spend")
	g.cli("member", "remove", "acme", "ben").want(t, "remove", 0, "removed_at")
	image("gone", http.StatusUnauthorized, "key_revoked")
	g.cli("key", "create", "acme", "--member", "ben").want(t, "a key for one who is gone", 5, "ben")
	g.cli("member", "list", "acme").want(t, "list", 0, "mira", "!ben")
}

// A directory of an older format is refused with what to do, and migrated.
func TestMigrate(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "500")
	for range 3 {
		g.post(key, "/v1/images", `{"prompt":"x"}`)
	}
	g.settled("acme")
	data := g.path("data")
	g.cli("migrate", "--data", data).want(t, "while a gateway runs", 4, "stop")
	g.stop()
	g.cli("migrate").want(t, "no directory", 2, "--data")
	g.cli("migrate", "--data", g.path("nowhere")).want(t, "nothing there", 5, "nowhere")
	if _, err := os.Stat(g.path("nowhere")); err == nil {
		t.Error("the command has made the directory")
	}
	g.cli("migrate", "--data", data).want(t, "nothing to do", 0, "nothing to do")
	age(t, data)

	refused := g.exec("run", "--config", "Caddyfile", "--adapter", "caddyfile")
	if refused.code == 0 || !strings.Contains(refused.stdout+refused.stderr, "farebox meter migrate") {
		t.Errorf("a gateway on an old format: exit %d\n%s%s", refused.code, refused.stdout, refused.stderr)
	}
	g.write("taken", "")
	g.cli("migrate", "--data", data, "--backup", g.path("taken")).want(t, "a backup that is there", 4, "not overwritten")
	g.cli("migrate", "--data", data).want(t, "migrate", 0, "format 1 to 2", "verified")
	backups, err := filepath.Glob(data + "-format-1-*.backup")
	if err != nil || len(backups) != 1 {
		t.Fatalf("backups: %v %v", backups, err)
	}
	old := g.path("old")
	g.cli("restore", backups[0], "--data", old).want(t, "the backup", 0, "format 1", "farebox meter migrate")
	g.cli("migrate", "--data", old, "--backup", g.path("second")).want(t, "migrate the backup", 0, "verified")
	g.run()
	g.has("acme", "428")
}

// age makes a directory one of format 1.
func age(t *testing.T, dir string) {
	t.Helper()
	s, err := badger.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // checked by what follows
	rows := 0
	err = s.Update(t.Context(), nil, func(tx store.Tx) error {
		err := tx.Scan(store.ID{Kind: store.Usage}, false, func(id store.ID, _ []byte) error {
			rows++
			return tx.Delete(id)
		})
		if err != nil {
			return err
		}
		return tx.Put(store.ID{Kind: store.Meta, Name: "format"}, []byte("1"))
	})
	if err != nil || rows == 0 {
		t.Fatalf("%d rows of usage: %v", rows, err)
	}
}
