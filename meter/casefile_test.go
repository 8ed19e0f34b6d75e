package meter

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// The case files of testdata/pricing, as their README describes them. Decoding
// is strict: an unknown key is an error.

type caseFile struct {
	Book      string  `yaml:"book"`
	Unit      any     `yaml:"unit"`
	Define    any     `yaml:"define"`
	Prices    any     `yaml:"prices"`
	Stories   []story `yaml:"stories"`
	Estimates any     `yaml:"estimates"`
}

type story struct {
	Name    string   `yaml:"name"`
	Covers  []string `yaml:"covers"`
	Start   string   `yaml:"start"`
	Account struct {
		Plan   string `yaml:"plan"`
		Alerts []struct {
			Below string `yaml:"below"`
		} `yaml:"alerts"`
	} `yaml:"account"`
	Steps []step `yaml:"steps"`
}

// step is at most one action with its options, and what to expect of it.
type step struct {
	Request *caseRequest `yaml:"request"`
	Charge  string       `yaml:"charge"`
	Settle  string       `yaml:"settle"`
	Release string       `yaml:"release"`
	Refund  string       `yaml:"refund"`
	Grant   *caseGrant   `yaml:"grant"`
	Void    string       `yaml:"void"`
	Wait    string       `yaml:"wait"`
	Until   string       `yaml:"until"`
	Plan    string       `yaml:"plan"`
	Cancel  any          `yaml:"cancel"`
	Renew   bool         `yaml:"renew"`

	Member      any            `yaml:"member"`
	Key         any            `yaml:"key"`
	Usage       map[string]any `yaml:"usage"`
	Estimate    map[string]any `yaml:"estimate"`
	Upstream    *caseAnswer    `yaml:"upstream"`
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

type caseRequest struct {
	Method  string         `yaml:"method"`
	Path    string         `yaml:"path"`
	Headers map[string]any `yaml:"headers"`
	Body    any            `yaml:"body"`
	BodyRaw *string        `yaml:"body_raw"`
	Form    map[string]any `yaml:"form"`
}

type caseGrant struct {
	Pack      string        `yaml:"pack"`
	Price     string        `yaml:"price"`
	Type      string        `yaml:"type"`
	Amount    string        `yaml:"amount"`
	ExpiresAt string        `yaml:"expires_at"`
	OnlyFor   *caseSelector `yaml:"only_for"`
	NotFor    *caseSelector `yaml:"not_for"`
}

type caseSelector struct {
	Operations []string `yaml:"operations"`
	Features   []string `yaml:"features"`
	Tags       []string `yaml:"tags"`
	Models     []string `yaml:"models"`
}

type caseAnswer struct {
	Status      int            `yaml:"status"`
	Headers     map[string]any `yaml:"headers"`
	Body        any            `yaml:"body"`
	Error       string         `yaml:"error"`
	ClientAbort bool           `yaml:"client_abort"`
}

// request builds the request as a server gets it.
func (c *caseRequest) request(t *testing.T) *Request {
	t.Helper()
	u, err := url.ParseRequestURI(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Method: c.Method, URI: u.EscapedPath(), Header: caseHeader(c.Headers)}
	if u.RawQuery != "" {
		r.URI += "?" + u.RawQuery
	}
	switch {
	case c.BodyRaw != nil:
		r.Body, r.ContentType = []byte(*c.BodyRaw), "application/json"
	case c.Form != nil:
		r.Body, r.ContentType = caseForm(t, c.Form)
	case c.Body != nil:
		if r.Body, err = json.Marshal(c.Body); err != nil {
			t.Fatal(err)
		}
		r.ContentType = "application/json"
	}
	return r
}

func caseForm(t *testing.T, form map[string]any) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("a-case"); err != nil { // the same request has the same bytes
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, text := range caseTexts(form[name]) {
			if err := w.WriteField(name, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

func caseTexts(v any) (all []string) {
	list, ok := v.([]any)
	if !ok {
		return []string{fmt.Sprint(v)}
	}
	for _, x := range list {
		all = append(all, fmt.Sprint(x))
	}
	return all
}

func caseHeader(m map[string]any) map[string][]string {
	h := map[string][]string{}
	for name, v := range m {
		h[name] = caseTexts(v)
	}
	return h
}

// caller reads `member` and `key`: an id, or an object with one.
func (s *step) caller(account string) Caller {
	c := Caller{Account: account}
	c.Member, c.MemberAttributes = identity(s.Member)
	c.Key, c.KeyAttributes = identity(s.Key)
	return c
}

func identity(v any) (id string, attributes map[string]string) {
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

// usage reads counts: names of token kinds count tokens, all others units.
func caseUsage(t *testing.T, counts map[string]any) *pricing.Usage {
	t.Helper()
	if counts == nil {
		return nil
	}
	u := &pricing.Usage{}
	for name, v := range counts {
		d, err := money.ParseJSONNumber(fmt.Sprint(v))
		if err != nil {
			t.Fatalf("usage %s: %v", name, err)
		}
		if kind, ok := pricing.KindByName(name); ok {
			u.Tokens[kind], _ = d.Int64()
		} else {
			u.Units = append(u.Units, pricing.UnitCount{Unit: name, Count: d})
		}
	}
	return u
}

// estimate is what the estimator says: `estimate`, else the input side of `usage`.
func (s *step) estimate(t *testing.T) (est pricing.Usage) {
	t.Helper()
	counts := s.Estimate
	if counts == nil {
		counts = s.Usage
	}
	u := caseUsage(t, counts)
	for k := range pricing.NumKinds {
		if u != nil && !k.IsOutput() {
			est.Tokens[k] = u.Tokens[k]
		}
	}
	return est
}

// reserve is a charge outside the price file that costs exactly this much.
func (s *step) reserve(id ledger.ChargeID, amount money.Amount) ledger.Reserve {
	member, _ := identity(s.Member)
	key, _ := identity(s.Key)
	return ledger.Reserve{
		Charge: &ledger.Charge{ID: id, Member: member, Key: key}, Amount: amount, Plan: ledger.AnyPlan,
		Idempotency: s.Idempotency, Hash: sha256.Sum256([]byte("charge " + s.Charge)),
	}
}

// outcome is how the upstream's answer ends, and the status that the client sees.
func (a *caseAnswer) outcome() (o Outcome, status int) {
	switch {
	case a == nil:
		return Answered, 200
	case a.Error == "timeout":
		return TimedOut, 504
	case a.Error == "connect":
		return NotReached, 502
	}
	if status = a.Status; status == 0 {
		status = 200
	}
	if a.ClientAbort {
		return ClientLeft, status
	}
	return Answered, status
}

func (a *caseAnswer) validate(t *testing.T) {
	t.Helper()
	if a != nil && a.Error != "" && a.Error != "timeout" && a.Error != "connect" {
		t.Fatalf("unknown upstream error %q", a.Error)
	}
}

// content is header and body of the answer.
func (a *caseAnswer) content(t *testing.T) (header map[string][]string, body []byte) {
	t.Helper()
	if a == nil {
		return map[string][]string{}, nil
	}
	header = caseHeader(a.Headers)
	if a.Body != nil {
		var err error
		if body, err = json.Marshal(a.Body); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(header)), func(name string) bool { return strings.EqualFold(name, "Content-Type") }) {
			header["Content-Type"] = []string{"application/json"}
		}
	}
	return header, body
}

// requestOf reads a request out of an expectation, which is not typed.
func requestOf(t *testing.T, m map[string]any) (c caseRequest) {
	t.Helper()
	for key, v := range m {
		switch key {
		case "method":
			c.Method = fmt.Sprint(v)
		case "path":
			c.Path = fmt.Sprint(v)
		case "headers":
			c.Headers = v.(map[string]any)
		case "body":
			c.Body = v
		case "body_raw":
			raw := fmt.Sprint(v)
			c.BodyRaw = &raw
		case "form":
			c.Form = v.(map[string]any)
		default:
			t.Fatalf("unknown key %q of a request", key)
		}
	}
	return c
}
