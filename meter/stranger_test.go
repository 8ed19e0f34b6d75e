package meter

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Another module builds a metered client from the examples, with what this one
// exports and nothing else.
func TestAModuleOfAStranger(t *testing.T) {
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile(filepath.Join(repository, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "\n") // the same versions, so that nothing has to be looked up
	write("go.mod", "module stranger.example/client\n"+rest+"\nrequire github.com/farebox-dev/farebox v0.0.0\nreplace github.com/farebox-dev/farebox => "+repository+"\n")
	write("go.sum", string(sums))
	client, lines := exampleProgram(t)
	write("main.go", client)
	if lines > 20 {
		t.Errorf("a metered client takes %d lines", lines)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "answered 12 88 <nil>\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// exampleProgram makes a program of the first example; lines are those of its
// client, the function ask.
func exampleProgram(t *testing.T) (program string, lines int) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "example_test.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]string{"open": "open", "chat": "chat", "ask": "ask", "upstream": "upstream", "Example": "main"}
	var b bytes.Buffer
	b.WriteString("package main\n\nimport (\n")
	for _, path := range []string{"context", "fmt", "io", "net/http", "strings"} {
		b.WriteString(`"` + path + "\"\n")
	}
	for _, path := range []string{"meter", "meter/pricing/pricefile", "meter/store", "meter/store/memory"} {
		b.WriteString(`"github.com/farebox-dev/farebox/` + path + "\"\n")
	}
	b.WriteString(")\n\n")
	for _, d := range file.Decls {
		f, isFunc := d.(*ast.FuncDecl)
		g, isGen := d.(*ast.GenDecl)
		switch {
		case isFunc && f.Recv == nil && wanted[f.Name.Name] != "":
			if f.Name.Name == "ask" {
				lines = set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1
			}
			f.Name.Name = wanted[f.Name.Name]
		case isGen && g.Tok == token.CONST:
		default:
			continue
		}
		if err := format.Node(&b, set, d); err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n\n")
	}
	return b.String(), lines
}
