package portal

import (
	"net/http"
	"net/url"

	"github.com/farebox-dev/farebox/caddymodule/apierr"
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
	if err != nil {
		p.fail(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	r2 := r.Clone(r.Context())
	r2.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	p.Operator(c.m, who.scopes).ServeHTTP(w, r2)
}
