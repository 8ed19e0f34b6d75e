package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox"
)

func pages(t *testing.T) *Docs {
	t.Helper()
	files, err := fs.Sub(farebox.Docs, "docs")
	if err != nil {
		t.Fatal(err)
	}
	return &Docs{Files: files, Base: "/_meter/docs", Style: "/_meter/assets/style.css"}
}

func get(p *Docs, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

var anyLink = regexp.MustCompile(`href="/_meter/docs/([^"#]*)(?:#([^"]*))?"`)

// Every page is there, and every link between them leads to a page and, if it
// names one, to a heading of it.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	p := pages(t)
	seen := map[string]bool{}
	var visit func(from, path string)
	visit = func(from, path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		w := get(p, "/"+path)
		if w.Code != http.StatusOK {
			t.Errorf("%s links to %s: %d", from, path, w.Code)
			return
		}
		for _, m := range anyLink.FindAllStringSubmatch(w.Body.String(), -1) {
			visit(path, m[1])
			if m[2] != "" && !strings.Contains(get(p, "/"+m[1]).Body.String(), `id="`+m[2]+`"`) {
				t.Errorf("%s links to %s#%s, which has no such heading", path, m[1], m[2])
			}
		}
	}
	visit("", "")
	if len(seen) < 8 {
		t.Errorf("only %d pages", len(seen))
	}
}

func TestWhatIsNoPage(t *testing.T) {
	for _, path := range []string{"/nothing", "/../go.mod", "/pricing.schema.json"} {
		if w := get(pages(t), path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
