package meter

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The house keeps its walls: meter/ knows neither Caddy nor web servers, its
// pure rooms know no I/O, and nothing here is a float.
func TestArchitecture(t *testing.T) {
	mayImport := arrows(t)
	pure := map[string]bool{"money": true, "selector": true, "calendar": true, "pricing": true, "pricefile": true, "change": true, "importer": true, "media": true, "form": true, "dialect": true, "ledger": true, "usage": true, "frame": true, "resource": true, "tokens": true}
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		room := filepath.Base(filepath.Dir(path))
		if _, listed := mayImport[room]; !listed && room != "." && room != "storetest" && room != "naive" {
			t.Errorf("docs/architecture.md does not list the package %s", room)
		}
		for _, i := range f.Imports {
			checkImport(t, path, strings.Trim(i.Path.Value, `"`), pure[room], mayImport[room], filepath.Dir(path) == ".")
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && (id.Name == "float64" || id.Name == "float32") {
				t.Errorf("%s: %s; money, prices and tokens are exact", path, id.Name)
			}
			return true
		})
		return nil
	})
	if err != nil || files < 20 {
		t.Fatalf("looked at %d files: %v", files, err)
	}
}

// arrows is the table of docs/architecture.md: which packages of meter/ a package
// may import.
func arrows(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	may := map[string][]string{}
	_, table, _ := strings.Cut(string(text), "| Package | What it does | May import |")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			if len(may) > 0 {
				break
			}
			continue
		}
		list := []string{}
		for name := range strings.SplitSeq(cells[3], ",") {
			if name = strings.Trim(name, " `"); name != "" {
				list = append(list, name)
			}
		}
		may[strings.Trim(cells[1], " `")] = list
	}
	if len(may) < 15 {
		t.Fatalf("docs/architecture.md lists %d packages", len(may))
	}
	return may
}

func checkImport(t *testing.T, path, imported string, pure bool, may []string, top bool) {
	t.Helper()
	for _, banned := range []string{"github.com/caddyserver/", "net/http", "go.uber.org/zap"} {
		if strings.HasPrefix(imported, banned) {
			t.Errorf("%s imports %s: meter/ is a library without a server", path, imported)
		}
	}
	if pure && (imported == "os" || imported == "net" || imported == "context" || imported == "math/rand/v2" || imported == "crypto/rand") {
		t.Errorf("%s imports %s: this room is pure", path, imported)
	}
	room, ours := strings.CutPrefix(imported, "github.com/farebox-dev/farebox/meter/")
	if !ours || top || strings.Contains(path, "storetest") || strings.Contains(path, "internal/naive") {
		return
	}
	for _, m := range may {
		if room == m || strings.HasPrefix(room, m+"/") {
			return
		}
	}
	t.Errorf("%s imports %s, which it may not know", path, room)
}
