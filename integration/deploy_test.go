package integration

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const deploy = "../deploy/"

var (
	placeholders = regexp.MustCompile(`\{\$(FAREBOX_[A-Z_]+)|\{env\.(FAREBOX_[A-Z_]+)\}`)
	variables    = regexp.MustCompile(`FAREBOX_[A-Z_]+`)
)

// deployEnv are the environment variables that deploy/Caddyfile reads.
func deployEnv(t testing.TB) (names []string) {
	t.Helper()
	for _, m := range placeholders.FindAllStringSubmatch(read(t, deploy+"Caddyfile"), -1) {
		names = append(names, m[1]+m[2])
	}
	if len(names) < 8 {
		t.Fatalf("deploy/Caddyfile reads only %q", names)
	}
	return names
}

// files are all files below a directory of deploy/.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(deploy+dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("deploy/%s: %d files, %v", dir, len(names), err)
	}
	return names
}

// Every variable that a file of deploy/ sets is one that the Caddyfile reads.
func TestDeploySetsWhatIsRead(t *testing.T) {
	t.Parallel()
	known := deployEnv(t)
	for _, name := range files(t, "") {
		for _, v := range variables.FindAllString(read(t, name), -1) {
			if !slices.Contains(known, v) {
				t.Errorf("%s has the variable %s, which deploy/Caddyfile does not read", name, v)
			}
		}
	}
}

// ofUsage is the command in a help text, without its arguments, which are in capitals.
var ofUsage = regexp.MustCompile(`(?m)^  farebox ([a-z][a-z-]*(?: [a-z][a-z-]*)*)`)

// realCommand checks that the binary has a command with these flags.
func realCommand(t testing.TB, where string, words []string) {
	t.Helper()
	var names, flags []string
	for _, w := range words {
		switch {
		case strings.HasPrefix(w, "-"):
			name, _, _ := strings.Cut(w, "=")
			flags = append(flags, name)
		case len(flags) == 0 && !strings.Contains(w, "/"):
			names = append(names, w)
		}
	}
	if len(names) == 0 {
		t.Errorf("%s: %q names no command", where, words)
		return
	}
	out, err := exec.Command(binary, append(names, "--help")...).CombinedOutput()
	usage := ofUsage.FindStringSubmatch(string(out))
	if err != nil || usage == nil || !strings.HasPrefix(strings.Join(names, " ")+" ", usage[1]+" ") {
		t.Errorf("%s: there is no command %q: %v", where, names, err)
	}
	for _, f := range flags {
		if !regexp.MustCompile(regexp.QuoteMeta(f) + `\b`).Match(out) {
			t.Errorf("%s: %q has no flag %s", where, names, f)
		}
	}
}

var starts = regexp.MustCompile(`(?m)^Exec[A-Za-z]+=(\S+) (.*)$`)

// The units run commands that exist, systemd understands them, and they give a
// process few rights.
func TestDeploySystemd(t *testing.T) {
	t.Parallel()
	dir, units := t.TempDir(), []string{}
	for _, file := range files(t, "systemd") {
		text := read(t, file)
		for _, m := range starts.FindAllStringSubmatch(text, -1) {
			if m[1] != "/usr/local/bin/farebox" {
				t.Errorf("%s starts %s", file, m[1])
			}
			realCommand(t, file, strings.Fields(m[2]))
		}
		if ext := filepath.Ext(file); ext == ".service" || ext == ".timer" {
			units = append(units, filepath.Join(dir, filepath.Base(file)))
			if err := os.WriteFile(units[len(units)-1], []byte(strings.ReplaceAll(text, "/usr/local/bin/farebox", binary)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(units) != 5 {
		t.Errorf("there are %d units", len(units))
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: what systemd says of the units is not checked")
	}
	if out, err := exec.Command(analyze, append([]string{"verify", "--man=no", "--recursive-errors=no"}, units...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, u := range units {
		if filepath.Ext(u) != ".service" {
			continue
		}
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=25", "--no-pager", u).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze security %s: %v\n%s", filepath.Base(u), err, out)
		}
	}
}

// shippedGateway runs deploy/Caddyfile; it returns the address of probes and metrics.
func shippedGateway(t testing.TB) (g *gateway, health string) {
	t.Helper()
	health = freePort(t)
	_, port, _ := net.SplitHostPort(health)
	text := read(t, deploy+"Caddyfile")
	for old, with := range map[string]string{"{$FAREBOX_SITE::8080}": "http://:{$FAREBOX_PORT}", "{$FAREBOX_HEALTH_PORT:9000}": port, "{$FAREBOX_GRACE:5m}": "5s"} {
		if !strings.Contains(text, old) {
			t.Fatalf("deploy/Caddyfile has no %s", old)
		}
		text = strings.ReplaceAll(text, old, with)
	}
	return start(t, setup{caddyfile: text}), health
}

// get is the status and the body of an address.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url) //nolint:gosec // an address of the test
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// The shipped Caddyfile serves paid requests, probes and metrics.
func TestDeployCaddyfile(t *testing.T) {
	t.Parallel()
	g, health := shippedGateway(t)
	key := g.account("acme", "100")
	if a := g.post(key, chatPath, chatBody("gpt-5-mini")); a.StatusCode != http.StatusOK {
		t.Errorf("a paid request: %d %s", a.StatusCode, a.body)
	}
	for path, has := range map[string]string{"/meter/health": `"ready":true`, "/meter/health/live": "", "/metrics": "caddy_meter_charged_requests_total"} {
		if status, body := get(t, "http://"+health+path); status != http.StatusOK || !strings.Contains(strings.ReplaceAll(body, " ", ""), has) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if status, body := get(t, "http://"+g.addr+path); status == http.StatusOK && has != "" && strings.Contains(body, has) {
			t.Errorf("%s is served to clients, too", path)
		}
	}
}
