package farebox_test

import (
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is a line of the table "Outside meter/" of docs/architecture.md.
type room struct {
	imports []string // directories that it may import, with all below them
	caddy   bool     // may link Caddy
}

// rooms are the lines of the table, by directory. Those whose imports are not
// listed have a "–".
func rooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]room{}
	_, table, _ := strings.Cut(string(text), "| Directory | What it does | May import | Caddy |\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 {
			break
		}
		if name := strings.Trim(cells[1], " `/"); cells[3] != " – " && name != "---" {
			list[name] = room{strings.FieldsFunc(strings.ReplaceAll(cells[3], "/`", "`"), func(r rune) bool { return strings.ContainsRune(" ,`", r) }), strings.TrimSpace(cells[4]) == "yes"}
		}
	}
	if len(list) < 7 {
		t.Fatalf("docs/architecture.md lists %d packages outside meter/", len(list))
	}
	return list
}

// sources are the files of a directory that are no tests.
func sources(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// importsOf are the imports of a directory's files that are no tests.
func importsOf(t *testing.T, dir string) (list []string) {
	t.Helper()
	for _, name := range sources(t, dir) {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if text, err := strconv.Unquote(i.Path.Value); err == nil && !slices.Contains(list, text) {
				list = append(list, text)
			}
		}
	}
	return list
}

const module = "github.com/farebox-dev/farebox"

// Packages outside meter/ import what docs/architecture.md says, and link Caddy
// where it says so.
func TestArchitecture(t *testing.T) {
	list := rooms(t)
	for _, pattern := range []string{"caddymodule", "caddymodule/*", "caddymodule/*/*", "cmd/*"} {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			imports := importsOf(t, dir)
			r, listed := list[filepath.ToSlash(dir)]
			if len(sources(t, dir)) > 0 && !listed {
				t.Errorf("docs/architecture.md does not list %s", dir)
			}
			for _, i := range imports {
				if ours, ok := strings.CutPrefix(i, module+"/"); ok && !slices.ContainsFunc(r.imports, func(may string) bool { return ours == may || strings.HasPrefix(ours, may+"/") && may != "caddymodule" }) {
					t.Errorf("%s imports %s, which it may not know", dir, ours)
				}
			}
			if by := caddyBy(t, dir, map[string]bool{}); listed && !r.caddy && by != "" {
				t.Errorf("%s links Caddy: %s imports it", dir, by)
			}
		}
	}
}

// caddyBy is the package of this module by which a directory links Caddy; "" if
// it does not.
func caddyBy(t *testing.T, dir string, seen map[string]bool) string {
	t.Helper()
	if seen[dir] {
		return ""
	}
	seen[dir] = true
	for _, i := range importsOf(t, dir) {
		if strings.HasPrefix(i, "github.com/caddyserver/caddy") {
			return dir
		}
		if ours, ok := strings.CutPrefix(i, module); ok {
			if by := caddyBy(t, path.Clean("./"+ours), seen); by != "" {
				return by
			}
		}
	}
	return ""
}
