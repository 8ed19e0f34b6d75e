// Package api is the HTTP API of a meter: the portal's, for people of an account,
// and the operator's. It knows HTTP, but not Caddy. All endpoints are in one
// table, from which routing, rights and the OpenAPI document come.
package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// API serves both at one mount point.
type API struct {
	// Base is the path that it is mounted at, without a slash at the end: "/_meter".
	Base string
	// Console lets operators sign in here, and adds the operator's API.
	Console bool
	// PublicPrices lets anyone read the price list and the packs.
	PublicPrices bool
	// AccountWebhooks says which addresses accounts may give for webhooks of their
	// own: "public", "private" or "off".
	AccountWebhooks string
	// Brand is what the pages call themselves.
	Brand Brand
	// PriceFile is that of the running server; nil: no server runs.
	PriceFile PriceFile
	// Closing ends the event streams of open pages when it is closed; nil: never.
	Closing <-chan struct{}
	// Secure says whether the browser came over TLS; nil: if the connection is.
	Secure func(*http.Request) bool
	// Address is where a request comes from, behind proxies; nil: from the connection.
	Address func(*http.Request) string

	describing  sync.Once
	document    []byte
	describeErr error
}

// PriceFile is the price file on disk.
type PriceFile interface {
	Path() string
	// Reload puts it in force as it is. With force, max_change does not apply.
	Reload(ctx context.Context, force bool) error
	// Replace writes another text into it, whole or not at all, and puts it in force.
	Replace(ctx context.Context, text []byte, force bool) error
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
	api      *API
	m        *meter.Gateway
	w        http.ResponseWriter
	endpoint *endpoint
	who      *caller
	trusted  bool   // came over Caddy's own admin endpoint
	key      string // Idempotency-Key
	written  bool   // the answer, by the handler itself
}

// Has reports whether a path relative to Base is the API's.
func Has(path string) bool {
	for _, root := range []string{"/v1/", "/admin/v1/", "/open/"} {
		if strings.HasPrefix(path, root) {
			return true
		}
	}
	return path == "/openapi.json"
}

// Serve answers a request for a meter. Its path is relative to Base: /v1/…,
// /admin/v1/…, /openapi.json, or /open/… of a link to a session.
func (a *API) Serve(m *meter.Gateway, w http.ResponseWriter, r *http.Request) {
	serve(&call{api: a, m: m}, w, r)
}

// ServeTrusted answers a request below /meter/ on Caddy's own admin endpoint: the
// operator's API, and the portal's below /meter/portal/, from callers that may do
// everything.
func (a *API) ServeTrusted(m *meter.Gateway, w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	for _, path := range []*string{&u.Path, &u.RawPath} {
		if to, ok := strings.CutPrefix(*path, "/meter/portal/"); ok {
			*path = "/" + to
		} else if to, ok := strings.CutPrefix(*path, "/meter/"); ok {
			*path = "/admin/v1/" + to
		}
	}
	r = r.Clone(r.Context())
	r.URL = &u
	serve(&call{api: a, m: m, trusted: true}, w, r)
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

// number reads a parameter, up to most; 0 if it is not there.
func number(q url.Values, name string, most uint64) (uint64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > most {
		return 0, invalid("%s=%s is not a number up to %d", name, text, most)
	}
	return n, nil
}

// List is how lists answer.
type List[T any] struct {
	Data         []T        `json:"data"`
	NextCursor   string     `json:"next_cursor,omitempty"`
	DetailsSince *time.Time `json:"details_since,omitempty"` // what is older has left by the retention
}

// since is from when on an account has its entries and charges; nil: all of them.
func (c *call) since() (*time.Time, error) {
	p, err := c.m.Upkeep.Checkpoint(c.Context(), c.who.account)
	if err != nil {
		return nil, err
	}
	return timeOf(p.Since()), nil
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
	m, ok := c.bookNow().Credit.Money(a)
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
	m, ok := c.bookNow().Credit.Money(a)
	if !ok {
		return ""
	}
	if a < 0 {
		return "-" + m.String()
	}
	return m.String()
}
