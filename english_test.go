package farebox_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unclear are phrases that make a native engineer stop, with what to write
// instead. Except: text that is fine although it has the phrase.
var unclear = []struct{ phrase, except, instead string }{
	{`\b(is|are|was|were|be|been|gets|not) told\b`, ``, `say who reports what: "the operator receives an event"`},
	{`\btells? of\b`, ``, "reports"},
	{`\bnobody\b`, `nobody (on the pier|minded)`, `say what does not happen: "no account owns it"`},
	{`\bfor ever\b`, ``, "forever, always, permanently"},
	{`\bstands?\b`, `\bstands? (for|in for|by)\b`, `is, says: "the state of the job"`},
	{`\bbeside\b`, ``, "next to, in addition to, relative to"},
	{`\bg(iven|ives?|iving|ave) (it |them |all |everything )?back\b`, ``, "returns"},
	{`\bways? on\b`, ``, "ways to continue"},
	{`\b(he|his|him|hers)\b`, ``, "they, their, or the noun"},
	{`\bwhat (it|that|this|they) (comes?|came) to\b`, ``, "the amount, the sum"},
}

// TestPlainEnglish: comments, messages, pages and documents avoid phrases that
// are hard to understand.
func TestPlainEnglish(t *testing.T) {
	type rule struct {
		phrase, except *regexp.Regexp
		instead        string
	}
	var rules []rule
	for _, u := range unclear {
		r := rule{phrase: regexp.MustCompile(`(?i)` + u.phrase), instead: u.instead}
		if u.except != "" {
			r.except = regexp.MustCompile(`(?i)` + u.except)
		}
		rules = append(rules, r)
	}
	lines := 0
	prose(t, func(file string, line int, text string) {
		lines++
		for _, r := range rules {
			if hit := r.phrase.FindString(text); hit != "" && (r.except == nil || !r.except.MatchString(text)) {
				t.Errorf("%s:%d: %q in %q; write: %s", file, line, hit, strings.TrimSpace(text), r.instead)
			}
		}
	})
	if lines < 5_000 {
		t.Errorf("only %d lines of prose were read", lines)
	}
}

// prose calls f with each line of the comments and strings of the Go files, and
// with each line of pages and documents.
func prose(t *testing.T, f func(file string, line int, text string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor" || name == "bin" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".go":
			if path != "english_test.go" {
				return goProse(path, f)
			}
		case ".md", ".js", ".html", ".css":
			if path == filepath.Join("docs", "glossary.md") {
				return nil // it has the words to avoid
			}
			text, err := os.ReadFile(path)
			for i, line := range strings.Split(string(text), "\n") {
				f(path, i+1, line)
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func goProse(path string, f func(file string, line int, text string)) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	each := func(pos token.Pos, text string) {
		for i, line := range strings.Split(text, "\n") {
			f(path, files.Position(pos).Line+i, line)
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			each(c.Pos(), c.Text)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			each(s.Pos(), s.Value)
		}
		return true
	})
	return nil
}
