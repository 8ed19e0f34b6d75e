// Package mutants lists mistakes that the tests must catch. Each is a change to
// one file, and the tests that fail with it. TestMutants makes them, one at a time.
package mutants

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

// The files say what to change like a diff of whole lines, without line numbers:
//
//	# name of the mistake
//	meter/ledger/draw.go
//	meter/ledger: TestOne TestTwo
//	 a line before it, where the change alone is not unique
//	-line of today's code
//	+line in its place
//
//go:embed *.mutants
var files embed.FS

// Mutant is one mistake.
type Mutant struct {
	Name  string
	File  string // that it changes, from the root of the repository
	Tests []Test // all of which fail
	Old   string // whole lines; they occur once in File
	New   string
}

// Test is a test of a package.
type Test struct{ Package, Name string }

// All is every mutant, in the order of the files.
func All() ([]Mutant, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Mutant
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			if name, begins := strings.CutPrefix(line, "# "); begins {
				all = append(all, Mutant{Name: name})
			} else if line != "" && (len(all) == 0 || !all[len(all)-1].read(line)) {
				return nil, fmt.Errorf("%s:%d: %q is no part of a mutant", e.Name(), i+1, line)
			}
		}
	}
	return all, nil
}

// read adds a line to the description.
func (m *Mutant) read(line string) bool {
	pkg, tests, listed := strings.Cut(line, ": Test")
	switch rest := line[1:] + "\n"; {
	case line[0] == '-':
		m.Old += rest
	case line[0] == '+':
		m.New += rest
	case line[0] == ' ':
		m.Old += rest
		m.New += rest
	case m.File == "":
		m.File = line
		return path.Ext(line) == ".go"
	case listed:
		for _, t := range strings.Fields("Test" + tests) {
			m.Tests = append(m.Tests, Test{pkg, t})
		}
	default:
		return false
	}
	return true
}

// Apply makes the mistake in the text of File.
func (m *Mutant) Apply(text string) (string, error) {
	before, after, found := strings.Cut("\n"+text, "\n"+m.Old)
	if !found || m.Old == "" || strings.Contains("\n"+after, "\n"+m.Old) {
		return "", fmt.Errorf("what %q changes does not occur exactly once in %s", m.Name, m.File)
	}
	return strings.TrimPrefix(before+"\n"+m.New+after, "\n"), nil
}

// Page is the table of mutants in docs/guarantees.md.
func Page(all []Mutant) string {
	var b strings.Builder
	b.WriteString("| Mistake | Caught by |\n|---|---|\n")
	for i := range all {
		names := make([]string, 0, len(all[i].Tests))
		for _, t := range all[i].Tests {
			names = append(names, "`"+t.Name+"`")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", all[i].Name, strings.Join(names, ", "))
	}
	return b.String()
}
