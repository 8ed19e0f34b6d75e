package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// endpoint is a line of the table of endpoints. Routing, rights, the check of
// parameters and the OpenAPI document come from it.
type endpoint struct {
	pattern   string   // as http.ServeMux has it, relative to Base
	customers audience // members of an account who may use it
	operators string   // the scope that an operator needs
	tag       string
	summary   string
	params    []openapi.Param // of the query
	handler
}

// audience says which members of an account may use an endpoint. Each includes the ones below it.
type audience uint8

const (
	anyone   audience = iota // without signing in
	signedIn                 // with or without an account
	viewers
	members
	admins
	operatorsOnly
)

// Scopes of operator keys.
const (
	read  = directory.ScopeRead
	grant = directory.ScopeGrant
	admin = directory.ScopeAdmin
)

// handler answers a request. The types of its function describe what it reads and
// writes.
type handler struct {
	run func(*call) (any, error) // nil, nil: it has written the answer
	in  any                      // zero value of the body; nil: none
	out any                      // zero value of the answer; nil: see media

	media          string // of an answer that is not JSON
	inMedia        string // of a body that is not JSON
	idempotent     bool   // needs the header Idempotency-Key
	labels         bool   // the labels of the price file are parameters, too
	withoutAccount bool   // operators need not name an account
	public         bool   // API.PublicPrices opens it to anyone
}

func noBody[Out any](fn func(*call) (Out, error)) handler {
	return handler{out: *new(Out), run: func(c *call) (any, error) {
		if c.Method != http.MethodGet {
			if err := c.body(&struct{}{}); err != nil {
				return nil, err
			}
		}
		return fn(c)
	}}
}

func withBody[In, Out any](fn func(*call, In) (Out, error)) handler {
	return handler{in: *new(In), out: *new(Out), run: func(c *call) (any, error) {
		var in In
		if err := c.body(&in); err != nil {
			return nil, err
		}
		return fn(c, in)
	}}
}

func stream(media string, fn func(*call) error) handler {
	return handler{media: media, run: func(c *call) (any, error) {
		c.written = true
		return nil, fn(c)
	}}
}

func idempotent(h handler) handler { h.idempotent = true; return h }
func labelled(h handler) handler   { h.labels = true; return h }
func general(h handler) handler    { h.withoutAccount = true; return h }
func priceList(h handler) handler  { h.public, h.withoutAccount = true, true; return h }

// endpoints is the table.
var endpoints = sync.OnceValue(func() []endpoint { return slices.Concat(customerEndpoints(), operatorEndpoints()) })

var ofAccount = params("account", "the account, if the caller has several; required for operators")

// operation describes the endpoint.
func (e *endpoint) operation() openapi.Operation {
	list := e.params
	if e.customers != operatorsOnly { // pages send the account with everything
		list = slices.Concat(list, ofAccount)
	}
	return openapi.Operation{
		Pattern: e.pattern, Summary: e.summary, Tag: e.tag, Params: list, Idempotency: e.idempotent, In: e.in, InMedia: e.inMedia, Out: e.out, Media: e.media,
		Public: e.customers == anyone,
	}
}

// mux is built once: building it costs more than most requests.
var mux = sync.OnceValue(newMux)

func newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, e := range endpoints() {
		op := e.operation()
		mux.HandleFunc(e.pattern, func(w http.ResponseWriter, r *http.Request) { e.serve(&op, newCall(w, r)) })
	}
	mux.HandleFunc("GET /open/{token}", func(w http.ResponseWriter, r *http.Request) { newCall(w, r).open() })
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) { newCall(w, r).openAPI() })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { WriteError(w, ErrNotFound) })
	return mux
}

// serve checks a request by its line of the table, and answers it.
func (e *endpoint) serve(op *openapi.Operation, c *call) {
	v, err := e.answer(op, c)
	switch {
	case c.written && err == nil:
	case err != nil:
		if errors.Is(err, ledger.ErrNoAccount) && c.who != nil && !strings.Contains(err.Error(), c.who.account) {
			err = fmt.Errorf("%w: %s", err, c.who.account)
		}
		WriteError(c.w, err)
	default:
		if answered != nil {
			answered(e.pattern, v)
		}
		c.writeJSON(v)
	}
}

// answered sees every answer; nil except in tests.
var answered func(pattern string, v any)

func (e *endpoint) answer(op *openapi.Operation, c *call) (any, error) {
	c.endpoint = e
	if err := e.identify(c); err != nil {
		return nil, err
	}
	var more []string
	if e.labels {
		more = c.labels()
	}
	if err := op.CheckQuery(c.URL.RawQuery, more...); err != nil {
		return nil, err
	}
	if e.idempotent {
		if c.key = c.Header.Get("Idempotency-Key"); c.key == "" || len(c.key) > 255 {
			return nil, input.Errorf("send the header Idempotency-Key (up to 255 characters), such as the id of the payment, so that a retry can't move credits twice")
		}
	}
	return e.run(c)
}

// body reads the request as JSON. An unknown field is an error, so that a typing
// error does not silently mean the default.
func (c *call) body(v any) error {
	most := int64(1 << 20)
	if c.endpoint.customers == operatorsOnly {
		most = 64 << 20
	}
	d := json.NewDecoder(http.MaxBytesReader(c.w, c.Body, most))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("text follows it")
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		text := strings.TrimPrefix(err.Error(), "json: ")
		if names := openapi.Fields(c.endpoint.in); strings.HasPrefix(text, "unknown field") && len(names) > 0 {
			text += "; the fields are: " + strings.Join(names, ", ")
		}
		return invalid("the body is not the expected JSON: %s", text)
	}
	return nil
}

func (c *call) writeJSON(v any) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if r, ok := v.(GrantResult); ok && r.Replayed {
		h.Set("Idempotency-Replayed", "true")
	}
	enc := json.NewEncoder(c.w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// requestKey is the context key of a call: all mounts and gateways share one mux.
type requestKey struct{}

func newCall(w http.ResponseWriter, r *http.Request) *call {
	c := *r.Context().Value(requestKey{}).(*call) //nolint:forcetypeassert // serve puts it there
	c.Request, c.w = r, w
	return &c
}

func serve(c *call, w http.ResponseWriter, r *http.Request) {
	mux().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, c)))
}

// openAPI describes everything below Base.
func (c *call) openAPI() {
	a := c.api
	a.describing.Do(func() {
		var ops []openapi.Operation
		for _, e := range endpoints() {
			if e.customers != operatorsOnly || a.Console {
				ops = append(ops, e.operation())
			}
		}
		a.document, a.describeErr = openapi.Document("Farebox", "Credits, usage and prices of accounts. Amounts are decimal strings in credits, times RFC 3339; lists are {data, next_cursor}.",
			"1", []string{a.Base}, ops)
	})
	if a.describeErr != nil {
		WriteError(c.w, a.describeErr)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = c.w.Write(a.document)
}

// Reference is the table of endpoints in Markdown, for docs/api.md.
func Reference() string {
	var s strings.Builder
	tag := ""
	for _, e := range endpoints() {
		if e.tag != tag {
			tag = e.tag
			fmt.Fprintf(&s, "\n### %s%s\n\n| Endpoint | Account | Operator | What it does | Parameters | Body |\n|---|---|---|---|---|---|\n", strings.ToUpper(tag[:1]), tag[1:])
		}
		op := e.operation()
		var names []string
		for _, p := range op.Params {
			names = append(names, "`"+p.Name+"`")
		}
		if e.labels {
			names = append(names, "labels")
		}
		if e.idempotent {
			names = append(names, "header `Idempotency-Key`")
		}
		var fields []string
		for _, name := range openapi.Fields(e.in) {
			fields = append(fields, "`"+name+"`")
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s | %s | %s |\n", e.pattern, e.customers, e.operators, e.summary, strings.Join(names, ", "), strings.Join(fields, ", "))
	}
	return s.String()
}

func (a audience) String() string {
	return [...]string{anyone: "anyone", signedIn: "any session", viewers: "viewer", members: "member", admins: "admin", operatorsOnly: "–"}[a]
}
