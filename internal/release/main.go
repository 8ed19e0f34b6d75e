// Command release builds a release: an archive for each target with the binary and
// what belongs to it, a software bill of materials for each, and SHA256SUMS. The same
// commit always gives the same bytes.
//
//	go run ./internal/release [-out dist] [-targets linux/amd64,linux/arm64] [-version v1.2.3]
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/internal/binary"
)

// targets are those whose release is built if none are named.
const targets = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

// release is one run.
type release struct {
	root, out string
	version   string
	at        time.Time // of the commit; each file in an archive has it
}

func main() {
	r := release{}
	flag.StringVar(&r.root, "root", ".", "the repository")
	flag.StringVar(&r.out, "out", "dist", "the directory for the release; what it had is removed")
	flag.StringVar(&r.version, "version", "", "the version (default: the tag of the commit, which must have no changes)")
	list := flag.String("targets", targets, "operating systems and architectures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := r.run(ctx, strings.Split(*list, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1) //nolint:gocritic // stop only restores the signal
	}
}

func (r *release) run(ctx context.Context, list []string) error {
	if err := r.identify(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil { //nolint:gosec // a release is public
		return err
	}
	for _, name := range list {
		system, arch, ok := strings.Cut(name, "/")
		if !ok {
			return fmt.Errorf("unknown target %q; write an operating system and an architecture, such as linux/amd64", name)
		}
		if err := r.target(ctx, binary.Target{OS: system, Arch: arch}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return r.checksums()
}

// identify finds version and time of the release.
func (r *release) identify(ctx context.Context) (err error) {
	if r.version == "" {
		if r.version, err = r.git(ctx, "describe", "--tags", "--always", "--dirty"); err != nil {
			return err
		}
		if strings.HasSuffix(r.version, "-dirty") {
			return errors.New("a release is built from a commit; commit your changes, or give the build a -version")
		}
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if epoch, err = r.git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH is %q; write seconds since 1970", epoch)
	}
	r.at = time.Unix(seconds, 0).UTC()
	return nil
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", args...) //nolint:gosec // our own arguments
	c.Dir, c.Stderr = r.root, os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w; a release needs a clone of the repository, or -version and SOURCE_DATE_EPOCH", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// target builds the archive of one target and its bill of materials.
func (r *release) target(ctx context.Context, t binary.Target) error {
	dir, err := os.MkdirTemp("", "farebox-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	built := filepath.Join(dir, "farebox")
	c := binary.Build(ctx, r.root, built, r.version, t)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	name := fmt.Sprintf("farebox_%s_%s_%s", strings.TrimPrefix(r.version, "v"), t.OS, t.Arch)
	if err := r.bill(filepath.Join(r.out, name+".cdx.json"), built); err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	if err := r.archive(filepath.Join(r.out, name+".tar.gz"), name, built); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	fmt.Println(filepath.Join(r.out, name+".tar.gz"))
	return nil
}

// checksums writes SHA256SUMS, as sha256sum --check reads it.
func (r *release) checksums() error {
	names, err := filepath.Glob(filepath.Join(r.out, "farebox_*"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var sums strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name) //nolint:gosec // written above
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(text), filepath.Base(name))
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644) //nolint:gosec // a release is public
}
