package farebox_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// Limits of what one has to look through at once. Tests are not counted.
const (
	maxFiles   = 25  // of a package
	maxLines   = 350 // of a file
	maxMethods = 15  // exported, of an exported type
	maxFunc    = 60  // lines of a function, with its first and its last
)

// TestSize: packages, files, types and functions are small enough to look through.
func TestSize(t *testing.T) {
	packages := 0
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); dir != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor" || name == "node_modules") {
			return filepath.SkipDir
		}
		if names := sources(t, dir); len(names) > 0 {
			packages++
			checkSize(t, dir, names)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if packages < 40 {
		t.Errorf("only %d packages were measured", packages)
	}
}

func checkSize(t *testing.T, dir string, names []string) {
	t.Helper()
	if len(names) > maxFiles {
		t.Errorf("package %s has %d files, more than %d", dir, len(names), maxFiles)
	}
	methods := map[string]int{}
	for _, name := range names {
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if lines := files.File(f.FileStart).LineCount(); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d", name, lines, maxLines)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := files.Position(fn.End()).Line - files.Position(fn.Pos()).Line + 1; lines > maxFunc {
				t.Errorf("%s: function %s has %d lines, more than %d", files.Position(fn.Pos()), fn.Name.Name, lines, maxFunc)
			}
			if r := receiver(fn); ast.IsExported(r) && fn.Name.IsExported() {
				methods[r]++
			}
		}
	}
	for name, n := range methods {
		if n > maxMethods {
			t.Errorf("type %s of package %s has %d exported methods, more than %d", name, dir, n, maxMethods)
		}
	}
}

// receiver is the name of the type that a function is a method of; "" if it is none.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	x := fn.Recv.List[0].Type
	for {
		switch e := x.(type) {
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.IndexListExpr:
			x = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}
