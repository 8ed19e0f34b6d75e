package meter

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The house keeps its walls: meter/ knows neither Caddy nor web servers, its
// pure rooms know no I/O, and nothing here is a float.
func TestArchitecture(t *testing.T) {
	mayImport := map[string][]string{ // rooms of this module that a room may know
		"money": {}, "selector": {}, "calendar": {},
		"form":     {},
		"pricing":  {"money", "selector", "calendar", "form"},
		"importer": {"money", "selector", "pricing"},
		"media":    {},
		"dialect":  {"media"},
		"ledger":   {"money", "selector", "calendar"},
		"store":    {}, "badger": {"store"}, "memory": {"store"},
		"usage":     {"ledger", "money", "calendar"},
		"directory": {"bank", "calendar", "event", "input", "ledger", "money", "pricebook", "store"},
		"event":     {"bank", "calendar", "input", "ledger", "money", "pricebook", "report", "store"},
		"bank":      {"ledger", "store", "money", "usage"},
		"input":     {}, "ulid": {},
		"pricebook": {"bank", "ledger", "store", "pricing", "money", "selector"},
		"report":    {"bank", "ledger", "store", "pricing", "pricebook", "usage", "calendar", "money", "selector", "input", "ulid"},
		"casefile":  {"pricing", "money"}, // for tests
	}
	pure := map[string]bool{"money": true, "selector": true, "calendar": true, "pricing": true, "importer": true, "media": true, "form": true, "dialect": true, "ledger": true, "usage": true}
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
