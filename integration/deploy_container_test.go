package integration

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// instruction is a line of a Dockerfile.
type instruction struct {
	name  string
	words []string
}

func dockerfile(t testing.TB, file string) (list []instruction) {
	t.Helper()
	for line := range strings.Lines(strings.ReplaceAll(read(t, file), "\\\n", " ")) {
		if words := strings.Fields(line); len(words) > 1 && !strings.HasPrefix(line, "#") {
			list = append(list, instruction{words[0], words[1:]})
		}
	}
	return list
}

// array is the value of CMD and ENTRYPOINT.
func (i instruction) array() (list []string) {
	for word := range strings.SplitSeq(strings.Trim(strings.Join(i.words, " "), "[]"), ",") {
		list = append(list, strings.Trim(word, ` "`))
	}
	return list
}

// image is what a Dockerfile makes, in a directory.
type image struct {
	root     string
	env, run []string // run: entry point and command
	user     string
}

const containerUser = 65532

// buildImage does what docker build does: it runs the build command of the
// Dockerfile, and copies the files of the last stage.
func buildImage(t testing.TB) (i image) {
	t.Helper()
	i.root = filepath.Join(t.TempDir(), "root")
	built := t.TempDir()
	for _, in := range dockerfile(t, deploy+"container/Dockerfile") {
		switch in.name {
		case "RUN":
			if command := strings.Join(in.words, " "); strings.Contains(command, "go build") {
				i.build(t, command, built)
			}
		case "FROM":
			if len(in.words) == 1 && in.words[0] != "scratch" {
				t.Errorf("the last stage starts from %s", in.words[0])
			}
		case "ENV":
			i.env = append(i.env, in.words...)
		case "USER":
			i.user = in.words[0]
		case "ENTRYPOINT", "CMD":
			i.run = append(i.run, in.array()...)
		case "COPY":
			i.copies(t, in.words, built)
		}
	}
	return i
}

// build runs the build command of a Dockerfile. That compiles everything anew, which
// takes minutes: FAREBOX_RELEASE=1 does it. Otherwise the binary under test is
// taken, with the libraries that the one of the image does not need.
func (i *image) build(t testing.TB, command, built string) {
	t.Helper()
	if os.Getenv("FAREBOX_RELEASE") == "" {
		t.Log("the image gets the binary under test; FAREBOX_RELEASE=1 builds it with the command of the Dockerfile")
		command = "cp " + binary + " /out/farebox && mkdir -p /out/empty"
		libraries, err := exec.Command("ldd", binary).Output()
		if err == nil {
			for _, lib := range regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1) {
				command += fmt.Sprintf(" && mkdir -p %[1]s%[2]s && cp -L %[3]s %[1]s%[2]s", i.root, filepath.Dir(lib), lib)
			}
		}
	}
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "/out/", built+"/"))
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "VERSION="+testVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func (i *image) copies(t testing.TB, words []string, built string) {
	t.Helper()
	from, owner := "", 0
	for strings.HasPrefix(words[0], "--") {
		name, value, _ := strings.Cut(words[0], "=")
		switch name {
		case "--from":
			from = value
		case "--chown":
			if value != fmt.Sprintf("%d:%[1]d", containerUser) {
				t.Errorf("COPY --chown=%s", value)
			}
			owner = containerUser
		}
		words = words[1:]
	}
	source, target := words[0], words[len(words)-1]
	switch {
	case from == "" && !strings.HasPrefix(target, "/"): // into the build stage
		for _, name := range words[:len(words)-1] {
			if _, err := os.Stat("../" + name); err != nil {
				t.Errorf("the Dockerfile copies %s: %v", name, err)
			}
		}
		return
	case from == "":
		source = "../" + source
	case strings.HasPrefix(source, "/out/"):
		source = filepath.Join(built, strings.TrimPrefix(source, "/out"))
	default: // of the machine that builds, such as certificates
		return
	}
	target = filepath.Join(i.root, target)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil { //nolint:gosec // as in an image
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-r", source, target).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if owner != 0 && os.Geteuid() == 0 {
		if err := os.Chown(target, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
}

// command runs a program of the image with nothing but the image's files, as its
// user, who may write only where the image says so.
func (i *image) command(env []string, words ...string) *exec.Cmd {
	cmd := &exec.Cmd{Path: words[0], Args: words, Dir: "/", Env: append(i.env[:len(i.env):len(i.env)], env...)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: containerUser, Gid: containerUser}}
	return cmd
}

// The image has what the gateway needs, and no more: it runs alone in its files,
// without rights, meters a request and writes a backup.
func TestDeployContainer(t *testing.T) {
	t.Parallel()
	i := buildImage(t)
	if i.user != fmt.Sprintf("%d:%[1]d", containerUser) {
		t.Errorf("the image runs as %q", i.user)
	}
	realCommand(t, "the Dockerfile", i.run[1:])
	if os.Geteuid() != 0 {
		t.Skip("not root: the image was built, but it cannot be run in a root directory of its own")
	}
	upstream := httptest.NewServer(mockai.New(mockai.Options{Pace: -1}))
	t.Cleanup(upstream.Close)
	addr, admin, health := freePort(t), freePort(t), freePort(t)
	_, port, _ := net.SplitHostPort(health)
	env := []string{
		"FAREBOX_SITE=http://" + addr, "FAREBOX_ADMIN=" + admin, "CADDY_ADMIN=" + admin, "FAREBOX_HEALTH_PORT=" + port,
		"FAREBOX_HEALTH_BIND=127.0.0.1", "FAREBOX_UPSTREAM=" + upstream.URL, "FAREBOX_UPSTREAM_KEY=sk-of-the-provider", "FAREBOX_GRACE=1s",
	}
	cli := func(args ...string) string {
		t.Helper()
		out, err := i.command(env, append([]string{i.run[0], "meter"}, args...)...).Output()
		if err != nil {
			t.Fatalf("farebox meter %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	cli("init", "--data", "/var/lib/farebox/ledger")
	var log bytes.Buffer
	server := i.command(env, i.run...)
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, addr: addr, admin: admin}
	g.eventually("the container is ready", func() bool {
		res, err := http.Get("http://" + health + "/meter/health")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	key := g.account("acme", "100")
	if a := g.post(key, chatPath, chatBody("gpt-5-mini")); a.StatusCode != http.StatusOK {
		t.Errorf("a paid request: %d %s", a.StatusCode, a.body)
	}
	cli("backup", "/var/backups/farebox", "--keep", "30d")
	cli("backups", "/var/backups/farebox")
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the container ends: %v\n%s", err, log.String())
	}
	cli("verify", "--data", "/var/lib/farebox/ledger", "--pricing", "/etc/farebox/pricing.yaml")
}
