// Package allocations compares how often hot paths allocate with a stored baseline.
// Counts of allocations are the same on every machine, unlike times.
package allocations

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Path is a hot path. Run runs it once, from beginning to end.
type Path struct {
	Name string
	Run  func()
}

const (
	file   = "testdata/allocations.txt"
	header = `# Allocations of each hot path per run. A test fails if a path allocates more.
# "make allocations" measures them again and writes this file.
`
	runs = 200
)

// Check fails if a path of a package allocates more than its baseline and a small
// tolerance. With FAREBOX_ALLOCATIONS=update it writes the baseline instead.
func Check(t *testing.T, of string, paths []Path) {
	t.Helper()
	name, err := find()
	if err != nil {
		t.Fatal(err)
	}
	baseline, err := read(name)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, p := range paths {
		found[of+": "+p.Name] = int(testing.AllocsPerRun(runs, p.Run))
	}
	if os.Getenv("FAREBOX_ALLOCATIONS") == "update" {
		maps.DeleteFunc(baseline, func(path string, _ int) bool { return strings.HasPrefix(path, of+": ") })
		maps.Copy(baseline, found)
		if err := write(name, baseline); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, problem := range compare(of, baseline, found) {
		t.Error(problem)
	}
	for path, n := range found {
		if n < baseline[path]-tolerance(baseline[path]) {
			t.Logf("%s allocates %d times now, %d before: run \"make allocations\" to keep it so", path, n, baseline[path])
		}
	}
}

// Bench measures the same paths as a benchmark.
func Bench(b *testing.B, paths []Path) {
	b.Helper()
	for _, p := range paths {
		b.Run(strings.ReplaceAll(p.Name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Run()
			}
		})
	}
}

// tolerance is for what runs in the background, and for maps and pools that grow.
func tolerance(n int) int { return 1 + n/50 }

func compare(of string, baseline, found map[string]int) (problems []string) {
	const repair = `If this is right, run "make allocations"`
	for path, n := range found {
		was, known := baseline[path]
		switch {
		case !known:
			problems = append(problems, fmt.Sprintf("%s has no baseline. %s.", path, repair))
		case n > was+tolerance(was):
			problems = append(problems, fmt.Sprintf("%s allocates %d times, not %d. %s.", path, n, was, repair))
		}
	}
	for path := range baseline {
		if _, measured := found[path]; !measured && strings.HasPrefix(path, of+": ") {
			problems = append(problems, fmt.Sprintf("%s has a baseline but is not measured. %s.", path, repair))
		}
	}
	slices.Sort(problems)
	return problems
}

// find looks for the baseline at the root of the module.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, file), nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no go.mod above the test's directory")
		}
		dir = filepath.Dir(dir)
	}
}

// read reads lines such as "meter: a chat request 123".
func read(name string) (map[string]int, error) {
	f, err := os.Open(name) //nolint:gosec // a file of the repository
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	baseline := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		if baseline[strings.TrimSpace(line[:i])], err = strconv.Atoi(line[i+1:]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return baseline, lines.Err()
}

func write(name string, baseline map[string]int) error {
	text := header
	for _, path := range slices.Sorted(maps.Keys(baseline)) {
		text += fmt.Sprintf("%-50s %d\n", path, baseline[path])
	}
	return os.WriteFile(name, []byte(text), 0o644) //nolint:gosec // a file of the repository
}
