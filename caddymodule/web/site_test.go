package web

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

// inline is code or style in a page that is not a file of its own.
var inline = regexp.MustCompile(`(?i)<script>|<script [^s]|<style|\son[a-z]+=|\sstyle="`)

var comment = regexp.MustCompile(`(?m)^\s*//.*$`)

// What browsers load is small, refers to nothing elsewhere, and needs no
// exception from the content policy.
func TestAssets(t *testing.T) {
	s, err := New(&api.API{Base: "/_meter"})
	if err != nil {
		t.Fatal(err)
	}
	wants := func(status int, path string, headers ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_meter/"+path, http.NoBody)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		if s.Serve(nil, w, r); w.Code != status {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, status, w.Body)
		}
		return w
	}
	var packed bytes.Buffer
	files := 0
	err = fs.WalkDir(ui, "ui", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "LICENSE") {
			return err
		}
		files++
		text, err := ui.ReadFile(path)
		if err != nil {
			return err
		}
		z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		_, _ = z.Write(text)
		_ = z.Close()
		if lines := bytes.Count(text, []byte("\n")); lines > 300 {
			t.Errorf("%s has %d lines", path, lines)
		}
		for _, found := range regexp.MustCompile(`(?:src|href|url|import)\s*[=(]?\s*["'(]\s*(https?:)?//`).FindAllString(comment.ReplaceAllString(string(text), ""), -1) {
			t.Errorf("%s loads from elsewhere: %s", path, found)
		}
		if strings.Contains(path, "vendor") || path == "ui/index.html" {
			return nil
		}
		name := strings.TrimPrefix(path, "ui/")
		w := wants(http.StatusOK, "assets/"+name)
		tag := w.Header().Get("ETag")
		if tag == "" || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v", name, w.Header())
		}
		if wants(http.StatusNotModified, "assets/"+name, "If-None-Match", tag).Body.Len() != 0 {
			t.Errorf("%s: 304 with a body", name)
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Fatal(files, err)
	}
	t.Logf("%d files, %d bytes gzipped", files, packed.Len())
	if packed.Len() > 60_000 {
		t.Errorf("the pages have %d bytes gzipped, more than 60,000", packed.Len())
	}
	for _, path := range []string{"", "usage?account=acme", "accounts"} {
		w := wants(http.StatusOK, path)
		csp := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("the policy lacks %s: %s", part, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || inline.MatchString(w.Body.String()) {
			t.Errorf("inline code or style: %s\n%s", csp, w.Body)
		}
	}
	for _, path := range []string{"assets/nothing.js", "assets/index.html", "assets/pages", "assets/../site.go", "assets/..%2fsite.go", "assets//app.js", "/example.com/..", "v1/nothing", "x.php"} {
		wants(http.StatusNotFound, path)
	}
}
