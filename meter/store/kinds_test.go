package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// A kind that Kinds lacks would be missing in every backup.
func TestKindsAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "store.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []Kind
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Type == nil || len(v.Values) != 1 {
			return true
		}
		if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Kind" {
			declared = append(declared, Kind(v.Values[0].(*ast.BasicLit).Value[1]))
		}
		return true
	})
	slices.Sort(declared)
	if !slices.Equal(declared, Kinds()) || len(declared) < 20 {
		t.Errorf("store.go declares the kinds %q, Kinds has %q; it must have all of them, sorted", declared, Kinds())
	}
	for _, k := range Kinds() {
		if strings.Contains(k.String(), "kind") {
			t.Errorf("kind %c has no name", k)
		}
	}
}
