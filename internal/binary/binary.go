// Package binary says how the farebox binary is built, for the release, the tests and
// the benchmarks: what is tested is built as what is shipped.
package binary

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Target is an operating system and an architecture, such as linux/amd64. The zero
// Target is this machine.
type Target struct{ OS, Arch string }

// Build is the command that builds farebox from the repository at root. The same
// commit gives the same bytes, whatever the directory, the machine and its environment
// are: paths and build ids are left out, and nothing is linked from outside Go.
func Build(ctx context.Context, root, out, version string, t Target) *exec.Cmd {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "nobadger,nomysql,nopgx", //nolint:gosec // our own arguments
		"-ldflags", "-s -w -buildid= -X github.com/farebox-dev/farebox.stamped="+version, "-o", out, "./cmd/farebox")
	c.Dir = root
	c.Env = append(slices.DeleteFunc(os.Environ(), shapesBuild), "CGO_ENABLED=0")
	if t != (Target{}) {
		c.Env = append(c.Env, "GOOS="+t.OS, "GOARCH="+t.Arch)
	}
	return c
}

// shapesBuild reports whether a variable of the environment changes what is built.
func shapesBuild(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	switch name {
	case "GOFLAGS", "GOEXPERIMENT", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOFIPS140", "CGO_ENABLED":
		return true
	}
	return false
}
