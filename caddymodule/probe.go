package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

func init() {
	caddy.RegisterModule(new(Probe))
	httpcaddyfile.RegisterHandlerDirective("meter_health", parseProbe)
	httpcaddyfile.RegisterDirectiveOrder("meter_health", httpcaddyfile.After, "encode")
}

// Probe answers health checks without a key, on its site. Requests to other
// paths pass.
type Probe struct {
	// Path is where it answers; below it, /live answers as long as the process does.
	// Default: /meter/health.
	Path string `json:"path,omitempty"`

	app *App
}

const (
	healthPath = "/meter/health"
	live       = "/live"
)

// CaddyModule implements caddy.Module.
func (*Probe) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.meter_health", New: func() caddy.Module { return new(Probe) }}
}

// Provision implements caddy.Provisioner.
func (p *Probe) Provision(ctx caddy.Context) error {
	app, err := ctx.App("meter")
	if err != nil {
		return err
	}
	p.app = app.(*App) //nolint:forcetypeassert // the id is ours
	if p.Path == "" {
		p.Path = healthPath
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (p *Probe) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !p.app.probed(w, r, p.Path) {
		return next.ServeHTTP(w, r)
	}
	return nil
}

// probed answers a health check at path; it returns false if the request is none.
func (a *App) probed(w http.ResponseWriter, r *http.Request, path string) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, path)
	if !ok || rest != "" && rest != live || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if rest == live {
		api.ServeLive(w)
		return true
	}
	e, err := a.acquire()
	if err != nil {
		api.ServeHealth(w, nil, err)
		return true
	}
	defer a.release()
	api.ServeHealth(w, e.Gateway, nil)
	return true
}

// parseProbe reads the directive:
//
//	meter_health {
//		path <path>
//	}
func parseProbe(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(Probe)
	h.Next()
	if h.NextArg() {
		return nil, h.Errf("meter_health takes a block: meter_health { path %s }", h.Val())
	}
	for h.NextBlock(0) {
		if h.Val() != "path" {
			return nil, h.Errf("meter_health has no option %q; it has path", h.Val())
		}
		if err := argument(h.Dispenser, &p.Path); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(p.Path, "/") || strings.ContainsAny(p.Path, "{}*?#") {
			return nil, h.Errf("meter_health path %q: write a path such as %s", p.Path, healthPath)
		}
	}
	return p, nil
}

var (
	_ caddy.Provisioner           = (*Probe)(nil)
	_ caddyhttp.MiddlewareHandler = (*Probe)(nil)
)
