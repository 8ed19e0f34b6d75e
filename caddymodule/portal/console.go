package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/caddymodule/apierr"
	"github.com/farebox-dev/farebox/meter/directory"
)

// operator passes requests below /admin/v1/ on to the operator's API, if the
// caller's scopes allow them.
func (p *Portal) operator(w http.ResponseWriter, r *http.Request) {
	c := &call{Request: r, p: p, m: meterOf(r.Context()), w: w}
	if p.Operator == nil {
		p.fail(w, apierr.ErrNotFound)
		return
	}
	who, err := p.signedIn(c)
	if err == nil && !who.operator() {
		err = apierr.ErrForbidden
	}
	if err == nil && who.byCookie {
		err = sameSite(r)
	}
	path := "/meter/" + r.PathValue("path")
	if err == nil && !slices.Contains(who.scopes, scopeFor(r.Method, path)) {
		err = apierr.ErrForbidden
	}
	if err != nil {
		p.fail(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	r2 := r.Clone(r.Context())
	r2.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	p.Operator(c.m).ServeHTTP(w, r2)
}

// scopeFor is what a request to the operator's API needs. What is not known to
// be less needs admin.
func scopeFor(method, path string) string {
	switch {
	case path == "/meter/backup": // every secret's hash, every customer's history
		return directory.ScopeAdmin
	case strings.HasPrefix(path, "/meter/operator-keys"):
		return directory.ScopeAdmin
	case strings.HasPrefix(path, "/meter/portal/"): // the command line's way to the portal API, which asks for no scopes any more
		return directory.ScopeAdmin
	case method == http.MethodGet,
		method == http.MethodPost && slices.Contains([]string{"/meter/prices/check", "/meter/prices/explain", "/meter/prices/replay", "/meter/prices/diff"}, path):
		return directory.ScopeRead
	case method == http.MethodPost && (strings.HasSuffix(path, "/grants") || strings.HasSuffix(path, "/void") || strings.HasSuffix(path, "/refund") || strings.HasSuffix(path, "/subscription/renew")):
		return directory.ScopeGrant
	}
	return directory.ScopeAdmin
}
