package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write what the adapter says into testdata")

const separator = "\n----------\n"

// TestAdapter compares testdata/*.caddyfiletest: a Caddyfile, a line, and the
// JSON it becomes, or the error it ends with.
func TestAdapter(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, want, ok := strings.Cut(string(text), separator)
			if !ok && !*update {
				t.Fatalf("no line %q", strings.TrimSpace(separator))
			}
			got := adapted(t, strings.TrimSuffix(caddyfile, "\n"))
			if *update {
				if err := os.WriteFile(file, []byte(strings.TrimSuffix(caddyfile, "\n")+separator+got+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != strings.TrimSpace(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// adapted is the JSON of a Caddyfile, or its error.
func adapted(t *testing.T, caddyfile string) string {
	t.Helper()
	raw, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "error: " + err.Error()
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("warning: %s", w.Message)
		}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDirectiveErrors goes through every option: what is wrong, and what to write instead.
func TestDirectiveErrors(t *testing.T) {
	handler := func(lines string) string { return ":8080 {\n\tmeter {\n\t\t" + lines + "\n\t}\n}" }
	global := func(lines string) string { return "{\n\tmeter {\n\t\t" + lines + "\n\t}\n}\n:8080" }
	for _, tt := range []struct{ caddyfile, want string }{
		{handler("max_bodi 1MB"), `meter has no option "max_bodi"; it has account, member, max_body, body_timeout`},
		{handler("max_body"), "wrong argument count"},
		{handler("max_body lots"), `max_body "lots": write a size such as 20MB`},
		{handler("max_body 0"), `max_body "0"`},
		{handler("max_body 2GB"), "at most 1GB"},
		{handler("body_timeout"), "wrong argument count"},
		{handler("body_timeout soon"), `body_timeout "soon": write a duration such as 5m, at most 1h`},
		{handler("body_timeout 2h"), "at most 1h"},
		{handler("max_body 1MB 2MB"), "wrong argument count"},
		{handler("account"), "wrong argument count"},
		{handler("account acme"), `account "acme" would be the same for every request; write a placeholder`},
		{handler("member mira"), `member "mira" would be the same`},
		{handler("on_disconnect"), "on_disconnect cancel, or: on_disconnect drain"},
		{handler("on_disconnect wait"), `on_disconnect "wait"`},
		{handler("on_disconnect cancel 1m"), "on_disconnect cancel, or"},
		{handler("on_disconnect drain 2h"), "at most 1h"},
		{handler("on_disconnect drain soon"), `drain "soon"`},
		{handler("on_disconnect drain 1m 2m"), "on_disconnect cancel, or"},
		{handler("on_store_error ignore"), `on_store_error "ignore": write one of`},
		{handler("denial_format xml"), `refusal_format "xml": write one of`}, // the old name
		{handler("refusal_format xml"), `refusal_format "xml": write one of`},
		{handler("upgrade yes"), `upgrade "yes": write one of`},
		{handler("unknown_ids"), "unknown_ids reject, or: unknown_ids pass [<kinds>…]"},
		{handler("unknown_ids files"), "unknown_ids reject, or: unknown_ids pass [<kinds>…]"},
		{handler("unknown_ids reject files"), "unknown_ids reject, or: unknown_ids pass [<kinds>…]"},
		{global("poll_jobs"), "wrong argument count"},
		{global("poll_jobs often"), `poll_jobs "often": write an interval such as 2s, or off`},
		{handler("stream_comment yes"), "wrong argument count"},
		{":8080 {\n\tmeter /v1/* now\n}", "wrong argument count"},
		{global("stor badger"), `meter has no option "stor"; it has store, pricing, poll_jobs`},
		{global("store"), "store needs a name: store badger <dir>"},
		{global("store redis"), "meter.stores.redis"},
		{global("store badger a b"), "wrong argument count"},
		{global("store badger ./x {\n\t\t\tsync off\n\t\t}"), `store badger has no option "sync"`},
		{global("pricing"), "pricing needs a file: pricing ./pricing.yaml"},
		{global("pricing a.yaml b.yaml"), "pricing needs a file: pricing ./pricing.yaml"},
		{global("pricing a.yaml {\n\t\t\twatch\n\t\t}"), "wrong argument count"},
		{global("pricing a.yaml {\n\t\t\twatch never\n\t\t}"), `watch "never": write an interval such as 2s, or off`},
		{global("pricing a.yaml {\n\t\t\twatch -2s\n\t\t}"), `watch "-2s"`},
		{global("pricing a.yaml {\n\t\t\twach 2s\n\t\t}"), `pricing has no option "wach"; it has watch and max_change`},
		{global("pricing a.yaml {\n\t\t\tmax_change\n\t\t}"), "wrong argument count"},
		{global("pricing a.yaml {\n\t\t\tmax_change half\n\t\t}"), `max_change "half": write a percentage above 0, such as 50%, or off`},
		{global("pricing a.yaml {\n\t\t\tmax_change 50\n\t\t}"), `max_change "50"`},
		{global("pricing a.yaml {\n\t\t\tmax_change 0%\n\t\t}"), `max_change "0%"`},
		{"{\n\tmeter ./pricing.yaml\n}\n:8080", "meter takes a block: meter { pricing ./pricing.yaml }"},
		{"{\n\tmeter {\n\t}\n\tmeter {\n\t}\n}\n:8080", "is set twice"},
	} {
		got := adapted(t, tt.caddyfile)
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, tt.want) {
			t.Errorf("%s\ngives %s\nwant  %s", tt.caddyfile, got, tt.want)
		}
		if strings.HasPrefix(got, "error: ") && !strings.Contains(got, "Caddyfile:") && !strings.Contains(got, "line ") {
			t.Errorf("no line number: %s", got)
		}
	}
}

// Kinds of ids are checked against what there is: those of the dialects, and
// operations of the price file that have a job.
func TestKindsOfUnknownIDs(t *testing.T) {
	a := provisioned(t, t.TempDir())
	for _, kinds := range [][]string{nil, {"*"}, {"files", "chat/completions", "video"}} {
		if err := (&Handler{app: a, RefusalFormat: "auto", UnknownIDs: kinds}).Validate(); err != nil {
			t.Errorf("%q: %v", kinds, err)
		}
	}
	for _, kind := range []string{"file", "/files", "chat", ""} {
		if err := (&Handler{app: a, RefusalFormat: "auto", UnknownIDs: []string{kind}}).Validate(); err == nil || !strings.Contains(err.Error(), `write one of ["responses"`) {
			t.Errorf("%q: %v", kind, err)
		}
	}
}
