// Package docpages shows the documentation, which is written in Markdown, as
// web pages.
package web

import (
	"bytes"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

// Docs serves the Markdown files of a file system.
type Docs struct {
	Files fs.FS
	// Base is the path that they are served at, Style the path of a style sheet.
	Base, Style string
}

// start is the page at the root.
const start = "README"

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// ServeHTTP implements http.Handler: /errors is errors.md.
func (p *Docs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(strings.Trim(path.Clean(r.URL.Path), "/"), ".md")
	if name == "" || name == "." {
		name = start
	}
	text, err := fs.ReadFile(p.Files, name+".md")
	if err != nil {
		http.Error(w, "This page does not exist; see "+p.Base+"/", http.StatusNotFound)
		return
	}
	var out bytes.Buffer
	if err := markdown.Convert(text, &out, parser.WithContext(parser.NewContext(parser.WithIDs(&ids{seen: map[string]bool{}})))); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = fmt.Fprintf(w, frame, html.EscapeString(title(text)), p.Style, p.nav(name), links(p.Base, name, out.String()))
}

const frame = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s</title><link rel="icon" href="data:,"><link rel="stylesheet" href="%s"></head>
<body class="docs"><div class="app"><nav aria-label="Documentation">%s</nav><main class="text">%s</main></div></body></html>
`

func title(text []byte) string {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	return strings.TrimSpace(strings.TrimLeft(string(first), "# "))
}

// nav lists all pages, by their titles; how-tos come last.
func (p *Docs) nav(current string) string {
	var b strings.Builder
	b.WriteString(`<div class="brand">Documentation</div>`)
	for _, dir := range []string{".", "howto"} {
		entries, err := fs.ReadDir(p.Files, dir)
		if err != nil {
			continue
		}
		if dir != "." {
			b.WriteString(`<div class="sep">How to</div>`)
		}
		for _, e := range entries {
			name := path.Join(dir, strings.TrimSuffix(e.Name(), ".md"))
			text, err := fs.ReadFile(p.Files, name+".md")
			if e.IsDir() || err != nil {
				continue
			}
			here := ""
			if name == current {
				here = ` aria-current="page"`
			}
			fmt.Fprintf(&b, `<a href="%s/%s"%s>%s</a>`, p.Base, strings.TrimPrefix(name, start), here, html.EscapeString(title(text)))
		}
	}
	return b.String()
}

var href = regexp.MustCompile(`href="([^":#]+)\.md(#[^"]*)?"`)

// links turns links between files into links between pages.
func links(base, from, text string) string {
	return href.ReplaceAllStringFunc(text, func(s string) string {
		m := href.FindStringSubmatch(s)
		return `href="` + base + "/" + strings.TrimPrefix(path.Join(path.Dir(from), m[1]), "/") + m[2] + `"`
	})
}

// ids makes the anchors of headings: like everybody's, but an underscore stays,
// so that #insufficient_credits is the reason of that name.
type ids struct{ seen map[string]bool }

func (x *ids) Generate(value []byte, _ ast.NodeKind) []byte {
	var b strings.Builder
	for _, r := range strings.ToLower(string(value)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '.':
			b.WriteRune(r)
		case (r == ' ' || r == '-') && b.Len() > 0:
			b.WriteByte('-')
		}
	}
	id := b.String()
	for n := 1; x.seen[id]; n++ {
		id = fmt.Sprintf("%s-%d", b.String(), n)
	}
	x.seen[id] = true
	return []byte(id)
}

func (x *ids) Put(value []byte) { x.seen[string(value)] = true }
