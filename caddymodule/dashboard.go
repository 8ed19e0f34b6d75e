package caddymodule

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/caddymodule/web"
)

func init() {
	caddy.RegisterModule(new(Dashboard))
	httpcaddyfile.RegisterHandlerDirective("meter_dashboard", parseDashboard)
	httpcaddyfile.RegisterDirectiveOrder("meter_dashboard", httpcaddyfile.After, "encode") // before meter: its pages cost nothing
}

// Dashboard serves the portal: pages and API for account holders and, with
// Operator, the operator console. Requests to other paths pass.
type Dashboard struct {
	// Path is where it is mounted. Default: /_meter/.
	Path string `json:"path,omitempty"`
	// Operator adds the operator console and the operator's API. Sign in with an
	// operator's key (farebox meter operator create).
	Operator bool `json:"operator,omitempty"`
	// PublicPrices lets anyone read the price list and the packs.
	PublicPrices bool `json:"public_prices,omitempty"`
	// Name, Logo (a URL of the same host) and Accent (#rrggbb) brand the pages.
	Name   string `json:"name,omitempty"`
	Logo   string `json:"logo,omitempty"`
	Accent string `json:"accent,omitempty"`

	app     *App
	site    *web.Site
	servers sync.Map // *http.Server → struct{}: known to close our streams
	closing chan struct{}
	once    sync.Once
}

// CaddyModule implements caddy.Module.
func (*Dashboard) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.meter_dashboard", New: func() caddy.Module { return new(Dashboard) }}
}

// Provision implements caddy.Provisioner.
func (d *Dashboard) Provision(ctx caddy.Context) error {
	hideSecrets(ctx)() // links let someone in
	app, err := ctx.App("meter")
	if err != nil {
		return fmt.Errorf("loading the app meter: %w", err)
	}
	d.app = app.(*App) //nolint:forcetypeassert // the id is ours
	if d.Path == "" {
		d.Path = "/_meter/"
	}
	d.closing = make(chan struct{})
	a := &api.API{
		Base: strings.TrimSuffix(d.Path, "/"), PublicPrices: d.PublicPrices, Console: d.Operator, PriceFile: priceFile{d.app}, Closing: d.closing, Secure: overTLS, Address: clientAddress, AccountWebhooks: d.app.AccountWebhooks,
		Brand: api.Brand{Name: d.Name, Logo: d.Logo, Accent: d.Accent},
	}
	if d.site, err = web.New(a); err != nil {
		return err
	}
	d.app.docs.Store(d.site.DocsPath())
	return nil
}

// clientAddress is the client's address, behind proxies that the server trusts.
func clientAddress(r *http.Request) string {
	if at, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && at != "" {
		return at
	}
	return r.RemoteAddr
}

var accentForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// Validate implements caddy.Validator.
func (d *Dashboard) Validate() error {
	switch {
	case !strings.HasPrefix(d.Path, "/") || len(strings.Trim(d.Path, "/")) == 0 || strings.ContainsAny(d.Path, "{}*?#"):
		return fmt.Errorf("meter_dashboard path %q: write it as /_meter/", d.Path)
	case d.Accent != "" && !accentForm.MatchString(d.Accent):
		return fmt.Errorf("meter_dashboard accent %q: write a colour such as #5a3fd6", d.Accent)
	case d.Logo != "" && !strings.HasPrefix(d.Logo, "/"):
		return fmt.Errorf("meter_dashboard logo %q: write a path on this host; the pages load nothing from elsewhere", d.Logo)
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	base := strings.TrimSuffix(d.Path, "/")
	if r.URL.Path != base && !strings.HasPrefix(r.URL.Path, base+"/") {
		return next.ServeHTTP(w, r)
	}
	e, err := d.app.acquire()
	if err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	defer d.app.release()
	d.endWith(r)
	d.site.Serve(e.Gateway, w, r)
	return nil
}

// endWith ends the pages' event streams when their server shuts down; it would
// wait for them otherwise.
func (d *Dashboard) endWith(r *http.Request) {
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return
	}
	if _, known := d.servers.LoadOrStore(srv, struct{}{}); !known {
		srv.RegisterOnShutdown(func() { d.once.Do(func() { close(d.closing) }) })
	}
}

// parseDashboard reads the directive:
//
//	meter_dashboard [operator] {
//		path <path>
//		public_prices
//		brand {
//			name <text>
//			logo <path>
//			accent <#rrggbb>
//		}
//	}
func parseDashboard(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	d := new(Dashboard)
	h.Next()
	if h.NextArg() {
		if h.Val() != "operator" || h.NextArg() {
			return nil, h.Errf("meter_dashboard takes one argument, operator, not %q", h.Val())
		}
		d.Operator = true
	}
	for h.NextBlock(0) {
		var err error
		switch h.Val() {
		case "path":
			err = argument(h.Dispenser, &d.Path)
		case "public_prices":
			d.PublicPrices = true
		case "brand":
			err = d.parseBrand(h.Dispenser)
		default:
			err = h.Errf("meter_dashboard has no option %q; it has path, public_prices and brand", h.Val())
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Dashboard) parseBrand(h *caddyfile.Dispenser) error {
	for h.NextBlock(1) {
		var err error
		switch h.Val() {
		case "name":
			err = argument(h, &d.Name)
		case "logo":
			err = argument(h, &d.Logo)
		case "accent":
			err = argument(h, &d.Accent)
		default:
			err = h.Errf("brand has no option %q; it has name, logo and accent", h.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func argument(h *caddyfile.Dispenser, to *string) error {
	name := h.Val()
	if !h.AllArgs(to) {
		return h.Errf("%s takes one value", name)
	}
	return nil
}

var (
	_ caddy.Provisioner           = (*Dashboard)(nil)
	_ caddy.Validator             = (*Dashboard)(nil)
	_ caddyhttp.MiddlewareHandler = (*Dashboard)(nil)
)
