// Package web is what browsers load of a meter: the pages of the portal and of
// the operator console, the element <credit-balance>, and the documentation. It
// serves them together with the API that they use.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/farebox-dev/farebox"
	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
)

// ui is what browsers load: one page, its modules and styles, as they are.
//
//go:embed ui
var ui embed.FS

// contentPolicy lets the pages load what is here, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Site serves one mount point: the API, and the pages that use it.
type Site struct {
	api *api.API
	mux *http.ServeMux
}

// New prepares the pages for an API, at the same Base.
func New(a *api.API) (*Site, error) {
	files, err := fs.Sub(farebox.Docs, "docs")
	if err != nil {
		return nil, err
	}
	s := &Site{api: a, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /credit-balance.js", s.element)
	s.mux.HandleFunc("GET /assets/{path...}", s.asset)
	s.mux.Handle("/docs/", http.StripPrefix("/docs", &Docs{Files: files, Base: s.DocsPath(), Style: a.Base + "/assets/style.css"}))
	for _, probe := range []string{"/health", "/healthz", "/readyz"} { // the page below would answer 200, whatever is wrong
		s.mux.HandleFunc(probe, func(w http.ResponseWriter, r *http.Request) { api.ServeReady(w, gatewayOf(r)) })
	}
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { api.ServeLive(w) })
	s.mux.HandleFunc("/", s.page)
	return s, nil
}

// DocsPath is the path of the documentation, without a slash at the end.
func (s *Site) DocsPath() string { return s.api.Base + "/docs" }

// Serve answers a request whose path begins with Base.
func (s *Site) Serve(m *meter.Gateway, w http.ResponseWriter, r *http.Request) {
	to := strings.TrimPrefix(r.URL.Path, s.api.Base)
	if clean := path.Clean("/" + to); to != "" && clean != to && clean+"/" != to { // nothing has such an address
		api.WriteError(w, api.ErrNotFound)
		return
	}
	if to == "" { // pages and API are below, relative to it
		http.Redirect(w, r, s.api.Base+"/", http.StatusMovedPermanently)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	r = r.Clone(r.Context())
	r.URL = &url.URL{Path: to, RawQuery: r.URL.RawQuery}
	if api.Has(to) {
		s.api.Serve(m, w, r)
		return
	}
	s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), gatewayKey{}, m)))
}

// gatewayKey is the context key of the gateway that a request is for.
type gatewayKey struct{}

func gatewayOf(r *http.Request) *meter.Gateway {
	m, _ := r.Context().Value(gatewayKey{}).(*meter.Gateway)
	return m
}

// page serves the one page for all paths: what it shows, it reads from the URL.
func (s *Site) page(w http.ResponseWriter, r *http.Request) {
	if path.Ext(r.URL.Path) != "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		api.WriteError(w, api.ErrNotFound)
		return
	}
	text, err := ui.ReadFile("ui/index.html")
	if err != nil {
		api.WriteError(w, err)
		return
	}
	text = bytes.ReplaceAll(text, []byte("{{base}}"), []byte(s.api.Base))
	w.Header().Set("Content-Security-Policy", contentPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(text)
}

// asset serves a file of the pages.
func (s *Site) asset(w http.ResponseWriter, r *http.Request) {
	serveFile(w, r, r.PathValue("path"))
}

// element serves <credit-balance>, which a host application's page loads.
func (s *Site) element(w http.ResponseWriter, r *http.Request) {
	serveFile(w, r, "credit-balance.js")
}

func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	text, err := fs.ReadFile(ui, "ui/"+path.Clean("/" + name)[1:])
	if err != nil || name == "index.html" {
		api.WriteError(w, api.ErrNotFound)
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
