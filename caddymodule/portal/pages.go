package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/farebox-dev/farebox/caddymodule/apierr"
)

// ui is what browsers load: one page, its modules and styles, as they are.
//
//go:embed ui
var ui embed.FS

// contentPolicy lets the pages load what is here, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// page serves the one page for all paths: what it shows, it reads from the URL.
func (p *Portal) page(w http.ResponseWriter, r *http.Request) {
	if path.Ext(r.URL.Path) != "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.fail(w, apierr.ErrNotFound)
		return
	}
	text, err := ui.ReadFile("ui/index.html")
	if err != nil {
		p.fail(w, err)
		return
	}
	text = bytes.ReplaceAll(text, []byte("{{base}}"), []byte(p.Base))
	w.Header().Set("Content-Security-Policy", contentPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(text)
}

// asset serves a file of the pages.
func (p *Portal) asset(w http.ResponseWriter, r *http.Request) {
	serveFile(p, w, r, r.PathValue("path"))
}

// element serves <credit-balance>, which a host application's page loads.
func (p *Portal) element(w http.ResponseWriter, r *http.Request) {
	serveFile(p, w, r, "credit-balance.js")
}

func serveFile(p *Portal, w http.ResponseWriter, r *http.Request, name string) {
	text, err := fs.ReadFile(ui, "ui/"+path.Clean("/" + name)[1:])
	if err != nil || name == "index.html" {
		p.fail(w, apierr.ErrNotFound)
		return
	}
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache") // asked for each time, sent only if it has changed
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	_, _ = w.Write(text)
}
