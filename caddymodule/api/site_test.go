package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const sitePrices = `version: 1
credit: {name: credit, worth: 0.01 USD, decimals: 3}
operations:
  chat: {name: Chat, match: POST /v1/chat/completions, price: by_model}
  image: {name: Image, feature: Pictures, match: POST /v1/images, model: none, measure: {image: {from: body.n, default: 1}}, price: {per_image: 24}, adjust: [{when: {body.quality: hd}, times: 2}]}
models:
  gpt-5.4: {per_1m_tokens: {input: 250, output: 1_500}}
  gpt-5-mini: {per_1m_tokens: {input: 25, output: 200}}
  text-embedding-3: {per_1m_tokens: {input: 2}}
plans: {basic: {name: Basic, credits: [{type: subscription, amount: 10_000, every: month}]}}
default_plan: basic
packs: {small: {name: Small, credits: 100, price: 1 USD, expires: never}}
labels: {project: header.X-Project}
links: {top_up: "https://shop.example/?a={account}&p={pack}", support: "mailto:help@example.com"}
alerts: [{below: 20%}]
`

// site is a portal on a meter in memory, with a clock of its own.
type site struct {
	*testing.T
	m    *meter.Gateway
	p    *API
	now  time.Time
	keys map[string]string // account/member → secret
}

// newSite has two accounts: acme with mira (admin), jon (member) and vera
// (viewer), and other.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, now: time.Date(2026, 3, 27, 9, 0, 0, 0, time.UTC), keys: map[string]string{}}
	book, problems := pricefile.Load("pricing.yaml", []byte(sitePrices))
	if book == nil {
		t.Fatal(problems)
	}
	m, err := meter.Open(t.Context(), meter.Options{Store: memory.New(), Book: book, Text: []byte(sitePrices), Now: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	s.m = m
	for _, a := range []string{"acme", "other"} {
		if _, err := m.Accounts.Create(t.Context(), a, strings.ToUpper(a), ""); err != nil {
			t.Fatal(err)
		}
	}
	for id, role := range map[string]directory.Role{"mira": directory.RoleAdmin, "jon": directory.RoleMember, "vera": directory.RoleViewer} {
		if _, err := m.Directory.Members.Add(t.Context(), "acme", id, directory.MemberChange{Role: &role}); err != nil {
			t.Fatal(err)
		}
	}
	for _, who := range []string{"acme/mira", "acme/jon", "acme/vera", "acme/", "other/"} {
		account, member, _ := strings.Cut(who, "/")
		secret, _, err := m.Directory.Keys.Create(t.Context(), directory.Key{Account: account, Member: member})
		if err != nil {
			t.Fatal(err)
		}
		s.keys[who] = secret
	}
	s.p = &API{Base: "/_meter"}
	return s
}

// used plays a request of someone, and returns the id of its charge.
func (s *site) used(who, path, body string, answer any, headers ...string) string {
	s.Helper()
	account, member, _ := strings.Cut(who, "/")
	caller, err := s.m.Identify(s.keys[who])
	if err != nil {
		caller = meter.Caller{Account: account, Member: member}
	}
	header := map[string][]string{"Content-Type": {"application/json"}}
	for i := 0; i < len(headers); i += 2 {
		header[headers[i]] = []string{headers[i+1]}
	}
	c, err := s.m.Admit(s.Context(), &meter.Request{Method: http.MethodPost, URI: path, Header: header, Body: []byte(body), ContentType: "application/json", Caller: caller})
	if err != nil {
		s.Fatal(err)
	}
	status, text := http.StatusOK, "{}"
	switch x := answer.(type) {
	case int:
		status = x
	case string:
		text = x
	}
	c.Begin(status, map[string][]string{"Content-Type": {"application/json"}})
	if _, err := c.Observe(s.Context(), []byte(text)); err != nil {
		s.Fatal(err)
	}
	c.End()
	c.Settle(s.Context(), meter.Answered, nil)
	s.now = s.now.Add(time.Second)
	return c.Info().ID
}

func (s *site) image(who string) string { s.Helper(); return s.used(who, "/v1/images", `{}`, nil) }

func (s *site) chat(who, model string, input, output int, headers ...string) string {
	s.Helper()
	return s.used(who, "/v1/chat/completions", fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"x"}]}`, model),
		fmt.Sprintf(`{"object":"chat.completion","model":%q,"choices":[{"message":{"role":"assistant","content":"y"}}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`, model, input, output, input+output), headers...)
}

// asks sends a request to the portal. The caller is a key's owner ("acme/mira"),
// "cookie <value>", an operator's secret, or "".
func (s *site) asks(who, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
	r := httptest.NewRequestWithContext(s.Context(), method, "http://portal.example/"+path, strings.NewReader(body))
	if body == "" {
		r.ContentLength = 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if cookie, ok := strings.CutPrefix(who, "cookie "); ok {
		r.AddCookie(&http.Cookie{Name: "farebox_session", Value: cookie})
	} else if secret, ok := s.keys[who]; ok {
		r.Header.Set("Authorization", "Bearer "+secret)
	} else if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.p.Serve(s.m, w, r)
	return w
}

// wants asks and compares the status.
func (s *site) wants(status int, who, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
	w := s.asks(who, method, path, body, headers...)
	if w.Code != status {
		s.Errorf("%s: %s %s: %d, want %d: %s", who, method, path, w.Code, status, w.Body)
	}
	return w
}

// gets reads an answer into v.
func (s *site) gets(who, path string, v any) {
	s.Helper()
	w := s.wants(http.StatusOK, who, http.MethodGet, path, "")
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		s.Fatalf("%s: %v: %s", path, err, w.Body)
	}
}

// signsIn returns the session's cookie.
func (s *site) signsIn(who string) *http.Cookie {
	s.Helper()
	w := s.wants(http.StatusOK, "", http.MethodPost, "v1/session", `{"key":"`+s.keys[who]+`"}`)
	for _, c := range w.Result().Cookies() {
		if c.Name == "farebox_session" && c.Value != "" {
			return c
		}
	}
	s.Fatal("signing in sets no cookie")
	return nil
}
