package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestAReleaseIsReproducible builds a release from a copy of the source, in another
// directory and another environment. Its binary has the same bytes as the one that all
// tests run, which was built here.
func TestAReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	out := release(t, "GOFLAGS=-tags=other", "GOAMD64=v2", "TZ=Asia/Tokyo")
	sums := read(t, filepath.Join(out, "SHA256SUMS"))
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, filepath.Join(out, name))))); got != sum {
			t.Errorf("%s has the checksum %s, SHA256SUMS says %s", name, got, sum)
		}
	}
	name := fmt.Sprintf("farebox_0.0.0-test_%s_%s", runtime.GOOS, runtime.GOARCH)
	files := unpack(t, filepath.Join(out, name+".tar.gz"))
	for _, want := range []string{"farebox", "LICENSE", "README.md", "pricing.yaml", "docs/operate.md", "deploy/systemd/farebox.service"} {
		if files[name+"/"+want] == nil {
			t.Errorf("the archive has no %s", want)
		}
	}
	if !bytes.Equal(files[name+"/farebox"], []byte(read(t, binary))) {
		t.Error("the same source gave another binary")
	}
	checkBill(t, read(t, filepath.Join(out, name+".cdx.json")))
}

// checkBill compares a bill of materials with what the go command says of the binary.
func checkBill(t *testing.T, text string) {
	t.Helper()
	var bill struct {
		BOMFormat  string
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal([]byte(text), &bill); err != nil || bill.BOMFormat != "CycloneDX" {
		t.Fatalf("the bill of materials: %v, format %q", err, bill.BOMFormat)
	}
	has := map[string]bool{}
	for _, c := range bill.Components {
		has[c.Name+" "+c.Version] = true
	}
	out, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "dep" {
			continue
		}
		if deps++; !has[f[1]+" "+f[2]] {
			t.Errorf("the bill of materials lacks %s %s", f[1], f[2])
		}
	}
	if deps < 50 {
		t.Errorf("go version -m names %d modules", deps)
	}
}

// release builds the release for this machine from a copy of the source.
func release(t *testing.T, env ...string) (out string) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "dist")
	c := exec.Command("go", "run", "./internal/release", "-out", out, "-version", testVersion, "-targets", runtime.GOOS+"/"+runtime.GOARCH)
	c.Dir = copySource(t)
	c.Env = append(os.Environ(), append(env, "SOURCE_DATE_EPOCH=1700000000")...)
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// copySource copies the files of the repository, changes included.
func copySource(t *testing.T) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join("..", name))
		if errors.Is(err, os.ErrNotExist) { // deleted, not committed
			continue
		}
		to := filepath.Join(dir, name)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func unpack(t *testing.T, file string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, in); err != nil {
			t.Fatal(err)
		}
		files[h.Name] = b.Bytes()
	}
}
