// Package casefile reads the case files of testdata/pricing, as their README
// describes them, for the tests of several packages.
package casefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// File is one case file.
type File struct {
	Book      string         `yaml:"book"`
	Unit      map[string]any `yaml:"unit"`
	Define    any            `yaml:"define"`
	Prices    []Price        `yaml:"prices"`
	Stories   []Story        `yaml:"stories"`
	Estimates []Estimate     `yaml:"estimates"`
}

// Price is one request and what it costs.
type Price struct {
	Name     string         `yaml:"name"`
	Covers   []string       `yaml:"covers"`
	Plan     string         `yaml:"plan"`
	Key      any            `yaml:"key"`
	Member   any            `yaml:"member"`
	At       string         `yaml:"at"`
	Request  Request        `yaml:"request"`
	Usage    map[string]any `yaml:"usage"`
	Estimate map[string]any `yaml:"estimate"`
	Response *Answer        `yaml:"response"`
	Calc     any            `yaml:"calc"`
	CalcHold any            `yaml:"calc_hold"`
	Expect   map[string]any `yaml:"expect"`
}

// Estimate is a plan of requests for some days.
type Estimate struct {
	Name   string   `yaml:"name"`
	Covers []string `yaml:"covers"`
	Plan   string   `yaml:"plan"`
	Buffer string   `yaml:"buffer"`
	Rows   []struct {
		Request Request `yaml:"request"`
		PerDay  uint64  `yaml:"per_day"`
		Days    uint64  `yaml:"days"`
	} `yaml:"rows"`
	Expect struct {
		Rows       []string `yaml:"rows"`
		Total      string   `yaml:"total"`
		WithBuffer string   `yaml:"with_buffer"`
	} `yaml:"expect"`
}

// Story is an account's life, step by step.
type Story struct {
	Name    string   `yaml:"name"`
	Covers  []string `yaml:"covers"`
	Start   string   `yaml:"start"`
	Account struct {
		Plan   string `yaml:"plan"`
		Alerts []struct {
			Below string `yaml:"below"`
		} `yaml:"alerts"`
	} `yaml:"account"`
	Steps []Step `yaml:"steps"`
}

// Step is at most one action with its options, and what to expect of it.
type Step struct {
	Request *Request `yaml:"request"`
	Charge  string   `yaml:"charge"`
	Settle  string   `yaml:"settle"`
	Release string   `yaml:"release"`
	Refund  string   `yaml:"refund"`
	Grant   *Grant   `yaml:"grant"`
	Void    string   `yaml:"void"`
	Wait    string   `yaml:"wait"`
	Until   string   `yaml:"until"`
	Plan    string   `yaml:"plan"`
	Cancel  any      `yaml:"cancel"`
	Renew   bool     `yaml:"renew"`

	Member      any            `yaml:"member"`
	Key         any            `yaml:"key"`
	Usage       map[string]any `yaml:"usage"`
	Estimate    map[string]any `yaml:"estimate"`
	Upstream    *Answer        `yaml:"upstream"`
	Cost        string         `yaml:"cost"`
	Amount      string         `yaml:"amount"`
	When        string         `yaml:"when"`
	Hold        string         `yaml:"hold"`
	As          string         `yaml:"as"`
	Repeat      int            `yaml:"repeat"`
	Parallel    int            `yaml:"parallel"`
	Idempotency string         `yaml:"idempotency_key"`
	Calc        any            `yaml:"calc"`
	CalcHold    any            `yaml:"calc_hold"`

	Expect map[string]any `yaml:"expect"`
}

// Request is what a client sends: body, body_raw or form.
type Request struct {
	Method  string         `yaml:"method"`
	Path    string         `yaml:"path"`
	Headers map[string]any `yaml:"headers"`
	Body    any            `yaml:"body"`
	BodyRaw *string        `yaml:"body_raw"`
	Form    map[string]any `yaml:"form"`
}

// Grant is made by an operator.
type Grant struct {
	Pack      string    `yaml:"pack"`
	Price     string    `yaml:"price"`
	Type      string    `yaml:"type"`
	Amount    string    `yaml:"amount"`
	ExpiresAt string    `yaml:"expires_at"`
	OnlyFor   *Selector `yaml:"only_for"`
	NotFor    *Selector `yaml:"not_for"`
}

// Selector restricts a grant.
type Selector struct {
	Operations []string `yaml:"operations"`
	Features   []string `yaml:"features"`
	Tags       []string `yaml:"tags"`
	Models     []string `yaml:"models"`
}

// Answer is the upstream's.
type Answer struct {
	Status      int            `yaml:"status"`
	Headers     map[string]any `yaml:"headers"`
	Body        any            `yaml:"body"`
	Error       string         `yaml:"error"`
	ClientAbort bool           `yaml:"client_abort"`
}

// Read decodes a file strictly: an unknown key is an error.
func Read(file string) (*File, error) {
	text, err := os.ReadFile(file) //nolint:gosec // a test's own
	if err != nil {
		return nil, err
	}
	c := &File{}
	if err := yaml.UnmarshalWithOptions(text, c, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// RequestOf reads a request out of an expectation, which is not typed.
func RequestOf(m any) (*Request, error) {
	text, err := yaml.Marshal(m)
	if err != nil {
		return nil, err
	}
	c := &Request{}
	return c, yaml.UnmarshalWithOptions(text, c, yaml.Strict())
}

// Facts are the request as a server gets it.
func (c *Request) Facts() (*pricing.Facts, error) {
	u, err := url.ParseRequestURI(c.Path)
	if err != nil {
		return nil, err
	}
	f := &pricing.Facts{Method: c.Method, URI: u.EscapedPath(), Header: header(c.Headers)}
	if u.RawQuery != "" {
		f.URI += "?" + u.RawQuery
	}
	switch {
	case c.BodyRaw != nil:
		f.Body, f.ContentType = []byte(*c.BodyRaw), "application/json"
	case c.Form != nil:
		f.Body, f.ContentType, err = multipartBody(c.Form)
	case c.Body != nil:
		f.ContentType = "application/json"
		f.Body, err = json.Marshal(c.Body)
	}
	return f, err
}

func multipartBody(form map[string]any) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("a-case"); err != nil { // the same request has the same bytes
		return nil, "", err
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, text := range Texts(form[name]) {
			if err := w.WriteField(name, text); err != nil {
				return nil, "", err
			}
		}
	}
	err = w.Close()
	return b.Bytes(), w.FormDataContentType(), err
}

// Texts are the elements of a list, or the one thing that v is.
func Texts(v any) (all []string) {
	list, ok := v.([]any)
	if !ok {
		return []string{fmt.Sprint(v)}
	}
	for _, x := range list {
		all = append(all, fmt.Sprint(x))
	}
	return all
}

func header(m map[string]any) map[string][]string {
	h := map[string][]string{}
	for name, v := range m {
		h[name] = Texts(v)
	}
	return h
}

// Identity reads `member` and `key`: an id, or an object with one.
func Identity(v any) (id string, attributes map[string]string) {
	m, ok := v.(map[string]any)
	if !ok {
		if v != nil {
			id = fmt.Sprint(v)
		}
		return id, nil
	}
	attributes = map[string]string{}
	for name, x := range m {
		attributes[name] = fmt.Sprint(x)
	}
	return attributes["id"], attributes
}

// Usage reads counts: names of token kinds count tokens, all others units. Of
// nothing it is nil.
func Usage(counts map[string]any) (*pricing.Usage, error) {
	if counts == nil {
		return nil, nil
	}
	u := &pricing.Usage{}
	for name, v := range counts {
		d, err := money.ParseJSONNumber(strings.TrimSpace(fmt.Sprint(v)))
		if err != nil {
			return nil, fmt.Errorf("usage %s: %w", name, err)
		}
		if kind, ok := pricing.KindByName(name); ok {
			u.Tokens[kind], _ = d.Int64()
		} else {
			u.Units = append(u.Units, pricing.UnitCount{Unit: name, Count: d})
		}
	}
	return u, nil
}

// Content is header and body of the answer.
func (a *Answer) Content() (h map[string][]string, body []byte, err error) {
	if a == nil {
		return map[string][]string{}, nil, nil
	}
	h = header(a.Headers)
	if a.Body == nil {
		return h, nil, nil
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(h)), func(name string) bool { return strings.EqualFold(name, "Content-Type") }) {
		h["Content-Type"] = []string{"application/json"}
	}
	body, err = json.Marshal(a.Body)
	return h, body, err
}
