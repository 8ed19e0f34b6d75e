package ledger

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// Commands are data: nothing that they bring along runs in the writer. So no type
// of this package holds a function.
func TestCommandsAreData(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "apply" && d.Recv != nil {
					commands++
				}
			case *ast.GenDecl:
				ast.Inspect(d, func(n ast.Node) bool {
					if s, ok := n.(*ast.TypeSpec); ok {
						ast.Inspect(s.Type, func(n ast.Node) bool {
							if _, ok := n.(*ast.InterfaceType); ok {
								return false
							}
							if _, ok := n.(*ast.FuncType); ok {
								t.Errorf("%s: type %s holds a function", f.Name(), s.Name)
							}
							return true
						})
					}
					return true
				})
			}
		}
	}
	if commands < 10 {
		t.Errorf("found only %d commands", commands)
	}
}
