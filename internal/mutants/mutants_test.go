package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const root = "../.."

// A mutant that a refactoring has voided is found here, not in the long run.
func TestEveryMutantHasItsPlace(t *testing.T) {
	all := every(t)
	seen := map[string]bool{}
	for i := range all {
		m := &all[i]
		if seen[m.Name] {
			t.Errorf("two mutants have the name %q", m.Name)
		}
		seen[m.Name] = true
		if _, err := mutated(m); err != nil {
			t.Error(err)
		}
		if m.Old == m.New || len(m.Tests) == 0 {
			t.Errorf("%q changes nothing, or names no test", m.Name)
		}
		for _, test := range m.Tests {
			if !exists(t, test) {
				t.Errorf("%q: there is no %s in %s", m.Name, test.Name, test.Package)
			}
		}
	}
}

func TestApplyChangesWholeLinesThatOccurOnce(t *testing.T) {
	m := Mutant{Name: "x", File: "x.go", Old: "\tb\n", New: "\tc\n"}
	if got, err := m.Apply("a\n\tb\nd\n"); err != nil || got != "a\n\tc\nd\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"a\n", "\tb\n\tb\n", "\t\tb\n", "\tbb\n"} {
		if got, err := m.Apply(text); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// The long run: FAREBOX_MUTANTS=all, or a pattern of names.
func TestMutants(t *testing.T) {
	pattern := os.Getenv("FAREBOX_MUTANTS")
	if pattern == "" {
		t.Skip("takes minutes; FAREBOX_MUTANTS=all runs it")
	}
	if pattern == "all" {
		pattern = ""
	}
	chosen := slices.DeleteFunc(every(t), func(m Mutant) bool { return !regexp.MustCompile(pattern).MatchString(m.Name) })
	unchanged(t, chosen)
	if t.Failed() {
		return
	}
	var killed atomic.Int64
	twoAtOnce(len(chosen), func(i int) {
		m, began := &chosen[i], time.Now()
		err := kill(t.TempDir(), m)
		took := time.Since(began).Round(100 * time.Millisecond)
		if err != nil {
			t.Errorf("%s (%s): %v", m.Name, took, err)
			return
		}
		killed.Add(1)
		t.Logf("killed (%s): %s", took, m.Name)
	})
	t.Logf("%d of %d mutants killed", killed.Load(), len(chosen))
}

// twoAtOnce calls fn with 0 to n-1, on two cores.
func twoAtOnce(n int, fn func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				fn(int(i))
			}
		})
	}
	workers.Wait()
}

// unchanged runs all tests named without a mutant: a test that fails anyway
// would catch everything.
func unchanged(t *testing.T, all []Mutant) {
	t.Helper()
	byPackage := map[string][]string{}
	for i := range all {
		for _, test := range all[i].Tests {
			if list := byPackage[test.Package]; !slices.Contains(list, test.Name) {
				byPackage[test.Package] = append(list, test.Name)
			}
		}
	}
	dir, packages := t.TempDir(), slices.Sorted(maps.Keys(byPackage))
	twoAtOnce(len(packages), func(i int) {
		pkg := packages[i]
		binary, err := build(dir, pkg, "")
		if err == nil {
			_, err = run(binary, pkg, "", byPackage[pkg])
		}
		if err != nil {
			t.Errorf("without a mutant, tests of %s fail: %v", pkg, err)
		}
	})
}

// kill makes the mistake and returns nil if every test named fails.
func kill(dir string, m *Mutant) error {
	overlay, err := overlayOf(dir, m)
	if err != nil {
		return err
	}
	binaries := map[string]string{}
	var passed []string
	for _, test := range m.Tests {
		if binaries[test.Package] == "" {
			if binaries[test.Package], err = build(dir, test.Package, overlay); err != nil {
				return err
			}
		}
		failed, err := run(binaries[test.Package], test.Package, overlay, []string{test.Name})
		switch {
		case err == nil:
			passed = append(passed, test.Name)
		case !failed:
			return err
		}
	}
	if passed != nil {
		return fmt.Errorf("survived %s", strings.Join(passed, ", "))
	}
	return nil
}

// overlayOf is a file that makes the go command read m's File with the mistake.
func overlayOf(dir string, m *Mutant) (string, error) {
	text, err := mutated(m)
	if err != nil {
		return "", err
	}
	file, err := filepath.Abs(filepath.Join(root, m.File))
	if err != nil {
		return "", err
	}
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err == nil {
		err = os.WriteFile(changed, []byte(text), 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	return overlay, err
}

func build(dir, pkg, overlay string) (binary string, err error) {
	binary = filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")+".test")
	c := exec.Command("go", "test", "-c", "-tags", "nobadger,nomysql,nopgx", "-o", binary, "./"+pkg) //nolint:gosec // packages of the list
	c.Dir, c.Env = root, environment(overlay)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not compile: %w\n%s", err, out)
	}
	return binary, nil
}

// run runs tests in the short form; failed says that err is theirs.
func run(binary, pkg, overlay string, tests []string) (failed bool, err error) {
	c := exec.Command(binary, "-test.run", "^("+strings.Join(tests, "|")+")$", "-test.short", "-test.timeout", "4m") //nolint:gosec // built from this repository
	c.Dir, c.Env = filepath.Join(root, pkg), environment(overlay)
	out, err := c.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("no tests to run")) {
		return false, fmt.Errorf("no tests to run: %s", strings.Join(tests, ", "))
	}
	if err != nil {
		failed = bytes.Contains(out, []byte("--- FAIL: ")) || bytes.Contains(out, []byte("panic: "))
		err = fmt.Errorf("%w\n%s", err, out[max(0, len(out)-2000):])
	}
	return failed, err
}

// environment has fixed seeds. The overlay is for programs that a test builds, too.
func environment(overlay string) []string {
	env := append(os.Environ(), "FAREBOX_RANDOM=", "FAREBOX_SEED=", "FAREBOX_LONG=", "FAREBOX_MUTANTS=")
	if overlay != "" {
		env = append(env, "GOFLAGS=-overlay="+overlay)
	}
	return env
}

func every(t *testing.T) []Mutant {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func mutated(m *Mutant) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return "", err
	}
	return m.Apply(string(text))
}

func exists(t *testing.T, test Test) bool {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root, test.Package, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && bytes.Contains(text, []byte("\nfunc "+test.Name+"(t *testing.T)"))
	})
}
