package integration

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// xcaddyVersion is the version of xcaddy that the commands of the page are tried with.
const xcaddyVersion = "v0.4.5"

// TestXcaddy runs the commands of docs/install.md that build Caddy with Farebox, from
// nothing: FAREBOX_LONG asks for it.
func TestXcaddy(t *testing.T) {
	if os.Getenv("FAREBOX_LONG") == "" {
		t.Skip("it takes minutes: FAREBOX_LONG=1 runs it")
	}
	commands := block(t, read(t, "../docs/install.md"), "xcaddy build")
	if caddy := moduleVersion(t, "github.com/caddyserver/caddy/v2"); !strings.Contains(commands, "xcaddy build "+caddy+" ") {
		t.Errorf("go.mod has Caddy %s, docs/install.md builds another:\n%s", caddy, commands)
	}
	bin, dir := t.TempDir(), copySource(t)
	install := exec.Command("go", "install", "github.com/caddyserver/xcaddy/cmd/xcaddy@"+xcaddyVersion)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("installing xcaddy: %v\n%s", err, out)
	}
	c := exec.Command("bash", "-euc", commands+"./caddy version\n./caddy meter prices check pricing.yaml\n")
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "GOPROXY="+publicProxy(t))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"http.handlers.meter\n", "http.handlers.meter_dashboard\n", "meter.stores.badger\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("caddy list-modules lacks %s:\n%s", want, out)
		}
	}
}

// block is the block of code in a page that contains a text.
func block(t *testing.T, page, text string) string {
	t.Helper()
	for part := range strings.SplitSeq(page, "\n```sh\n") {
		code, _, _ := strings.Cut(part, "\n```")
		if strings.Contains(code, text) && !strings.HasPrefix(code, "#") {
			return code + "\n"
		}
	}
	t.Fatalf("no block has %q", text)
	return ""
}

// publicProxy is a module proxy that does not know this module, which the public one
// says with 404; a proxy of a company may say something else. It sends on whatever else
// is asked for.
func publicProxy(t *testing.T) (url string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	real, _, _ := strings.Cut(strings.TrimSpace(string(out)), ",")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/github.com/farebox-dev/") {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, strings.TrimSuffix(real, "/")+r.URL.EscapedPath(), http.StatusFound)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func moduleVersion(t *testing.T, path string) string {
	t.Helper()
	c := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path)
	c.Dir = ".."
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
