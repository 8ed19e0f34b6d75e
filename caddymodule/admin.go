package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/calendar"
)

// adminAPI puts /meter/… on Caddy's admin endpoint: the command line's way in.
type adminAPI struct{}

// CaddyModule implements caddy.Module.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.meter", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/meter/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

// serveAdmin finds the app anew for each request: after a failed reload the
// routes are still bound to a configuration that never ran.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	v, err := caddy.ActiveContext().AppIfConfigured("meter")
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration has no meter; add the global option: meter { … }")}
	}
	app := v.(*App) //nolint:forcetypeassert // the id is ours
	if app.probed(w, r, healthPath) {
		return nil
	}
	e, err := app.acquire()
	if err != nil {
		return err
	}
	defer app.release()
	if r.URL.Path == upgradePath {
		return serveUpgrade(w, r, e)
	}
	if r.URL.Path == advancePath {
		return app.serveAdvance(w, r, e)
	}
	(&api.API{PriceFile: priceFile{app}}).ServeTrusted(e.Gateway, w, r)
	return nil
}

const (
	upgradePath = "/meter/upgrade"
	advancePath = "/meter/clock/advance"
)

// serveAdvance advances the clock of a demo.
func (a *App) serveAdvance(w http.ResponseWriter, r *http.Request, e *engine) error {
	by, err := calendar.ParseDuration(r.URL.Query().Get("by"))
	switch {
	case a.clock == nil:
		err = caddy.APIError{HTTPStatus: http.StatusConflict, Err: errors.New("only the clock of a demo can be advanced; start one with: farebox meter demo --clock")}
	case err != nil:
		err = caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	default:
		_, err = a.clock.Advance(by, e.Books.InForce().Terms.Zone)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(api.AdvanceView{Now: e.Now().UTC()})
}

// serveUpgrade replaces this process by a new one of the same program.
func serveUpgrade(w http.ResponseWriter, r *http.Request, e *engine) error {
	if r.Method != http.MethodPost {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("use POST")}
	}
	by, err := e.replace(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(api.UpgradeView{Process: by.PID, LedgerClosed: by.Closed.Milliseconds()})
}

// priceFile is the price file of a running configuration, for the API.
type priceFile struct{ app *App }

// Path implements api.PriceFile.
func (p priceFile) Path() string { return p.app.file }

// Reload implements api.PriceFile.
func (p priceFile) Reload(ctx context.Context, force bool) error {
	return p.app.reloadPrices(ctx, force)
}

// Replace implements api.PriceFile.
func (p priceFile) Replace(ctx context.Context, text []byte, force bool) error {
	return p.app.replacePrices(ctx, text, force)
}

var _ caddy.AdminRouter = adminAPI{}
