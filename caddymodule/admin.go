package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
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
	e, err := app.acquire()
	if err != nil {
		return err
	}
	defer app.release()
	(&operator{m: e.Meter, reload: app.reloadPrices, file: app.file}).ServeHTTP(w, r)
	return nil
}

// operator serves the operator's API over a meter: on the admin endpoint of a
// running server, or in the process of a command when none runs.
type operator struct {
	m      *meter.Meter
	reload reloader
	file   string   // path of the price file; "" in a command
	scopes []string // of an operator's key; nil: all
}

// call is one request to the operator's API.
type call struct {
	*operator
	*http.Request
}

// ServeHTTP implements http.Handler.
func (o *operator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operatorMux().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, o)))
}

// operatorKey is the context key under which a request carries its operator:
// the mux is the same for all of them.
type operatorKey struct{}

// operatorMux is built once: building it costs more than most requests.
var operatorMux = sync.OnceValue(func() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, fn func(*operator, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			o := r.Context().Value(operatorKey{}).(*operator) //nolint:forcetypeassert // ServeHTTP puts it there
			fn(o, w, r)
		})
	}
	routes := operatorRoutes()
	for i := range routes {
		to := &routes[i]
		handle(to.Pattern, func(o *operator, w http.ResponseWriter, r *http.Request) { o.answer(to, w, r) })
	}
	handle("/meter/portal/", func(o *operator, w http.ResponseWriter, r *http.Request) {
		if !o.allowed(directory.ScopeAdmin) { // the command line's way to the portal API, which asks for no scopes any more
			api.WriteError(w, api.ErrForbidden)
			return
		}
		http.StripPrefix("/meter/portal", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			operatorsPortal().ServeTrusted(o.m, w, r)
		})).ServeHTTP(w, r)
	})
	return mux
})

// answer writes what a handler returns as JSON.
func (o *operator) answer(to *operatorRoute, w http.ResponseWriter, r *http.Request) {
	err := to.CheckQuery(r.URL.RawQuery)
	if !o.allowed(to.scope) {
		err = api.ErrForbidden
	}
	if err == nil && to.fn == nil {
		o.backup(w, r)
		return
	}
	var v any
	if err == nil {
		v, err = to.fn(&call{o, r})
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		if id := r.PathValue("id"); errors.Is(err, ledger.ErrNoAccount) && !strings.Contains(err.Error(), id) {
			err = fmt.Errorf("%w: %s", err, id)
		}
		api.WriteError(w, err)
		return
	}
	if h, ok := v.(interface{ header(http.Header) }); ok {
		h.header(w.Header())
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// operatorsPortal is the portal API on behalf of any account, for the command line.
var operatorsPortal = sync.OnceValue(func() *api.API {
	p := &api.API{Base: "/meter/portal"}
	p.Init()
	return p
})

// body reads the request as JSON into v; a field that v does not have is an
// error, so that a typing mistake is not taken for a default.
func (c *call) body(v any) error {
	d := json.NewDecoder(io.LimitReader(c.Body, 64<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the body is not the JSON that is expected here: %w", input.ErrInvalid, err)
	}
	return nil
}

func (c *call) id() string { return c.PathValue("id") }

// owner is the account of the path, or the one that a grant or charge belongs to.
func (c *call) owner(of string) (string, error) {
	if id := c.id(); id != "" {
		return id, nil
	}
	return c.m.Reports.Owner(c.Context(), of)
}

// idempotency is required wherever credits move.
func (c *call) idempotency() (string, error) {
	key := c.Header.Get("Idempotency-Key")
	if key == "" || len(key) > 255 {
		return "", fmt.Errorf("%w: send the header Idempotency-Key (up to 255 characters), such as the id of the payment, so that a retry can't move credits twice", input.ErrInvalid)
	}
	return key, nil
}

func (c *call) number(name string, most uint64) (uint64, error) {
	text := c.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > most {
		return 0, fmt.Errorf("%w: %s=%s is not a number up to %d", input.ErrInvalid, name, text, most)
	}
	return n, nil
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

var _ caddy.AdminRouter = adminAPI{}
