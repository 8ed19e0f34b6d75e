package api

import (
	"net/http"
	"net/url"
)

// operator passes requests below /admin/v1/ on to the operator's API, if the
// caller's scopes allow them.
func (a *API) operator(w http.ResponseWriter, r *http.Request) {
	c := &call{Request: r, api: a, m: meterOf(r.Context()), w: w}
	if a.Operator == nil {
		WriteError(w, ErrNotFound)
		return
	}
	who, err := a.signedIn(c)
	if err == nil && !who.operator() {
		err = ErrForbidden
	}
	if err == nil && who.byCookie {
		err = sameSite(r)
	}
	path := "/meter/" + r.PathValue("path")
	if err != nil {
		WriteError(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	r2 := r.Clone(r.Context())
	r2.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	a.Operator(c.m, who.scopes).ServeHTTP(w, r2)
}
