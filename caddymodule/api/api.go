// Package portal serves what people see of a meter: the pages, the portal API
// of account holders, and the operator console with the operator's API. It
// knows HTTP, but not Caddy.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// API serves both at one mount point.
type API struct {
	// Base is the path that it is mounted at, without a slash at the end: "/_meter".
	Base string
	// Operator makes the operator's API over a meter, with paths /meter/…; nil:
	// there is no operator console here.
	Operator func(m *meter.Meter, scopes []string) http.Handler
	// PublicPrices lets anybody read the price list and the packs.
	PublicPrices bool
	// AccountWebhooks says which addresses accounts may give for webhooks of their
	// own: "public", "private" or "off".
	AccountWebhooks string
	// Brand is what the pages call themselves.
	Brand Brand
	// Closing ends the event streams of open pages when it is closed; nil: never.
	Closing <-chan struct{}
	// Secure says whether the browser came over TLS; nil: if the connection is.
	Secure func(*http.Request) bool
	// Operations describe further paths below Base for the OpenAPI document.
	Operations []openapi.Operation

	mux      *http.ServeMux
	document func() ([]byte, error)
	answered func(pattern string, v any) // for tests; nil otherwise
}

// Brand is name, logo and colour of the pages.
type Brand struct {
	Name   string `json:"name,omitempty"`
	Logo   string `json:"logo,omitempty"`   // URL of an image on the same host
	Accent string `json:"accent,omitempty"` // #rrggbb
}

// call is one request to the API.
type call struct {
	*http.Request
	api *API
	m   *meter.Meter
	w   http.ResponseWriter
	who *caller
}

// endpoint answers with a value that becomes JSON, or, if that is nil, has
// written the answer itself.
type endpoint func(*call) (any, error)

// Init prepares the routes; call it once, before Serve.
func (a *API) Init() {
	a.Base = strings.TrimSuffix(a.Base, "/")
	a.mux, a.document = http.NewServeMux(), sync.OnceValues(a.describe)
	for i := range routes {
		a.mux.HandleFunc(routes[i].Pattern, a.handler(&routes[i]))
	}
	a.mux.HandleFunc("GET /open/{token}", a.open)
	a.mux.HandleFunc("GET /openapi.json", a.openAPI)
	a.mux.HandleFunc("/admin/v1/{path...}", a.operator)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { WriteError(w, ErrNotFound) })
}

// Has reports whether a path relative to Base is the API's.
func (a *API) Has(path string) bool {
	for _, root := range []string{"/v1/", "/admin/v1/", "/open/"} {
		if strings.HasPrefix(path, root) {
			return true
		}
	}
	return path == "/openapi.json"
}

// Serve answers a request for a meter. Its path is relative to Base: /v1/…,
// /admin/v1/…, /openapi.json, or /open/… of a link to a session.
func (a *API) Serve(m *meter.Meter, w http.ResponseWriter, r *http.Request) {
	a.mux.ServeHTTP(w, r.WithContext(withMeter(r.Context(), m)))
}

// handler identifies the caller and writes what an endpoint returns.
func (a *API) handler(to *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r, api: a, m: meterOf(r.Context()), w: w}
		var err error
		if c.who, err = a.identify(c, to.needs); err == nil {
			err = to.checkQuery(r.URL.RawQuery, c.labels())
		}
		if err != nil {
			WriteError(w, err)
			return
		}
		v, err := to.fn(c)
		switch {
		case err != nil:
			WriteError(w, err)
		case v != nil:
			if a.answered != nil {
				a.answered(to.Pattern, v)
			}
			writeJSON(w, v)
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// body reads the request as JSON into v; unknown fields are an error.
func (c *call) body(v any) error {
	d := json.NewDecoder(io.LimitReader(c.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return invalid("the body is not the JSON that is expected here: %v", err)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{input.ErrInvalid}, args...)...)
}

// limit reads ?limit=, up to most.
func limit(q url.Values, usual, most int) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid("limit=%s; write 1 to %d", text, most)
	}
	return n, nil
}

// list is how lists answer.
type list[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty"`
}

func (c *call) bookNow() *pricing.Book {
	b, _ := c.m.Book()
	return b
}

// text is an amount in credits.
func (c *call) text(a money.Amount) string { return a.Text(c.bookNow().Credit.Decimals) }

// worth is an amount in money, for people: to the cent, or exactly below one.
// It is "" if the price file does not say what a credit is worth.
func (c *call) worth(a money.Amount) string {
	m, ok := c.bookNow().Money(a)
	if !ok {
		return ""
	}
	sign := ""
	if a < 0 {
		sign = "-"
	}
	return sign + Cents(m)
}

// Cents is money for people: rounded to two decimals, half up; exact if it is
// less than a cent.
func Cents(m pricing.Money) string {
	cent, _ := money.ParseDecimal("0.01")
	half, _ := money.ParseDecimal("0.005")
	if m.Amount.Cmp(cent) < 0 {
		return m.String()
	}
	steps, err := m.Amount.Add(half).Floor(2)
	if err != nil {
		return m.String()
	}
	text := steps.Text(2)
	whole, fraction, _ := strings.Cut(text, ".")
	return whole + "." + (fraction + "00")[:2] + " " + m.Currency
}

// exactWorth is an amount in money to the last digit, for tables of numbers.
func (c *call) exactWorth(a money.Amount) string {
	m, ok := c.bookNow().Money(a)
	if !ok {
		return ""
	}
	if a < 0 {
		return "-" + m.String()
	}
	return m.String()
}
