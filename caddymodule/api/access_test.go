package api

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
)

func TestNobodyReachesAnotherAccount(t *testing.T) {
	s := newSite(t)
	theirs := s.image("other/")
	var keys List[directory.Key]
	s.gets("other/", "v1/keys", &keys)
	for _, path := range []string{"balance", "balance/days", "usage", "usage/hints", "charges", "charges/" + theirs, "ledger", "prices", "packs", "alerts", "webhook", "keys", "members", "account", "events", "accounts", "session"} {
		s.wants(http.StatusForbidden, "acme/mira", http.MethodGet, "v1/"+path+"?account=other", "")
	}
	s.wants(http.StatusNotFound, "acme/mira", http.MethodGet, "v1/charges/"+theirs, "")
	s.wants(http.StatusNotFound, "acme/mira", http.MethodDelete, "v1/keys/"+keys.Data[0].ID, "")
	for _, x := range [][3]string{
		{http.MethodDelete, "v1/keys/" + keys.Data[0].ID, ""},
		{http.MethodPost, "v1/keys", `{"name":"x"}`},
		{http.MethodPut, "v1/alerts", `{"below":[]}`},
		{http.MethodPut, "v1/members/mira", `{"role":"admin"}`},
		{http.MethodDelete, "v1/members/mira", ""},
		{http.MethodPut, "v1/webhook", `{"url":"https://example.com"}`},
		{http.MethodPost, "v1/estimate", `{"mix":[{"operation":"image","per_day":"1"}]}`},
	} {
		s.wants(http.StatusForbidden, "acme/mira", x[0], x[1]+"?account=other", x[2])
	}
	s.wants(http.StatusOK, "other/", http.MethodGet, "v1/charges/"+theirs, "") // it is there, for whose it is
}

func TestWhoIsNotSignedIn(t *testing.T) {
	s := newSite(t)
	for _, e := range endpoints() {
		pattern := e.pattern
		method, path, _ := strings.Cut(pattern, " ")
		if e.customers == anyone || e.customers == operatorsOnly {
			continue
		}
		for _, who := range []string{"", "fb_live_nonsense", "cookie fb_sess_nonsense"} {
			w := s.wants(http.StatusUnauthorized, who, method, strings.TrimPrefix(path, "/"), "")
			if w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", pattern)
			}
		}
	}
	s.p.PublicPrices = true
	s.wants(http.StatusOK, "", http.MethodGet, "v1/prices", "")
	s.wants(http.StatusOK, "", http.MethodGet, "v1/packs", "")
	s.wants(http.StatusUnauthorized, "", http.MethodGet, "v1/balance", "")
}

func TestRoles(t *testing.T) {
	s := newSite(t)
	for _, x := range []struct {
		method, path, body  string
		mira, jon, vera, me int
	}{
		{http.MethodGet, "v1/balance", "", 200, 200, 200, 200},
		{http.MethodGet, "v1/ledger", "", 200, 403, 403, 200},
		{http.MethodPut, "v1/alerts", `{"below":["500"]}`, 200, 403, 403, 200},
		{http.MethodPut, "v1/members/nina", `{"role":"viewer"}`, 200, 403, 403, 200},
		{http.MethodPut, "v1/members/jon", `{"role":"admin"}`, 0, 403, 403, 0},
		{http.MethodDelete, "v1/members/nina", "", 200, 403, 403, 404},
		{http.MethodPost, "v1/keys", `{"name":"own"}`, 200, 200, 403, 200},
		{http.MethodPost, "v1/keys", `{"name":"for mira","member":"mira"}`, 200, 403, 403, 200},
		{http.MethodGet, "v1/webhook", "", 200, 403, 403, 200},
	} {
		for who, want := range map[string]int{"acme/mira": x.mira, "acme/jon": x.jon, "acme/vera": x.vera, "acme/": x.me} {
			if want != 0 && (who != "acme/" || x.method != http.MethodDelete) {
				s.wants(want, who, x.method, x.path, x.body)
			}
		}
	}
}

func TestAMemberRevokesHisOwnKeysOnly(t *testing.T) {
	s := newSite(t)
	var keys List[directory.Key]
	s.gets("acme/mira", "v1/keys", &keys)
	for _, k := range keys.Data {
		if k.Member != "jon" {
			s.wants(http.StatusForbidden, "acme/jon", http.MethodDelete, "v1/keys/"+k.ID, "")
			s.wants(http.StatusForbidden, "acme/vera", http.MethodDelete, "v1/keys/"+k.ID, "")
		}
	}
	for _, k := range keys.Data {
		if k.Member == "jon" {
			s.wants(http.StatusOK, "acme/jon", http.MethodDelete, "v1/keys/"+k.ID, "")
			return
		}
	}
	t.Error("jon has no key")
}

func TestAMemberSeesHisOwn(t *testing.T) {
	s := newSite(t)
	hers, his := s.image("acme/mira"), s.image("acme/jon")
	var charges List[ChargeView]
	s.gets("acme/jon", "v1/charges", &charges)
	if len(charges.Data) != 1 || charges.Data[0].ID != his {
		t.Errorf("jon sees %+v", charges.Data)
	}
	s.wants(http.StatusForbidden, "acme/jon", http.MethodGet, "v1/charges/"+hers, "")
	s.wants(http.StatusForbidden, "acme/jon", http.MethodGet, "v1/charges?member=mira", "")
	s.wants(http.StatusForbidden, "acme/jon", http.MethodGet, "v1/usage?member=mira", "")
	var u UsageView
	s.gets("acme/jon", "v1/usage?group_by=member", &u)
	if u.Total.Credits != "24" || len(u.Data) != 1 || u.Data[0].Group != "jon" {
		t.Errorf("jon's usage: %+v", u)
	}
	var keys List[directory.Key]
	s.gets("acme/jon", "v1/keys", &keys)
	for _, k := range keys.Data {
		if k.Member != "jon" {
			t.Errorf("jon sees the key of %q", k.Member)
		}
	}
	var members List[directory.Member]
	if s.gets("acme/jon", "v1/members", &members); len(members.Data) != 1 || members.Data[0].ID != "jon" {
		t.Errorf("jon sees %+v", members.Data)
	}
	var b BalanceView
	if s.gets("acme/jon", "v1/balance", &b); b.Available != "9952" || b.Links.TopUp != "" {
		t.Errorf("the pool is everyone's, buying the admins': %s %q", b.Available, b.Links.TopUp)
	}
	yes := true
	if _, err := s.m.Directory.Members.Set(t.Context(), "acme", "jon", directory.MemberChange{SeesAll: &yes}); err != nil {
		t.Fatal(err)
	}
	if s.gets("acme/jon", "v1/charges", &charges); len(charges.Data) != 2 {
		t.Errorf("with sees_all jon sees %d charges", len(charges.Data))
	}
}

func TestARemovedMemberIsOut(t *testing.T) {
	s := newSite(t)
	cookie := "cookie " + s.signsIn("acme/jon").Value
	s.wants(http.StatusOK, cookie, http.MethodGet, "v1/balance", "")
	if _, err := s.m.Directory.Members.Remove(t.Context(), "acme", "jon"); err != nil {
		t.Fatal(err)
	}
	if w := s.asks(cookie, http.MethodGet, "v1/balance", ""); w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
		t.Errorf("a removed member still reads: %d", w.Code)
	}
	s.wants(http.StatusUnauthorized, "acme/jon", http.MethodGet, "v1/balance", "")
}

func TestADemotedAdminIsNoneAnyMore(t *testing.T) {
	s := newSite(t)
	admin, viewer := directory.RoleAdmin, directory.RoleViewer
	if _, err := s.m.Directory.Members.Set(t.Context(), "acme", "jon", directory.MemberChange{Role: &admin}); err != nil {
		t.Fatal(err)
	}
	cookie := "cookie " + s.signsIn("acme/jon").Value
	s.wants(http.StatusOK, cookie, http.MethodGet, "v1/ledger", "")
	if _, err := s.m.Directory.Members.Set(t.Context(), "acme", "jon", directory.MemberChange{Role: &viewer}); err != nil {
		t.Fatal(err)
	}
	s.wants(http.StatusForbidden, cookie, http.MethodGet, "v1/ledger", "")
	s.wants(http.StatusForbidden, cookie, http.MethodPost, "v1/keys", `{"name":"x"}`)
}

func TestCrossSiteRequests(t *testing.T) {
	s := newSite(t)
	cookie := "cookie " + s.signsIn("acme/mira").Value
	const body = `{"below":["300"]}`
	for _, h := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "http://portal.example:8080"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "same-origin", "Origin", "https://evil.example"},
	} {
		s.wants(http.StatusForbidden, cookie, http.MethodPut, "v1/alerts", body, h...)
		s.wants(http.StatusForbidden, cookie, http.MethodDelete, "v1/session", "", h...)
		s.wants(http.StatusForbidden, "", http.MethodPost, "v1/session", `{"key":"`+s.keys["acme/mira"]+`"}`, h...) // nor may it sign anybody in
	}
	s.wants(http.StatusBadRequest, cookie, http.MethodPut, "v1/alerts", body, "Content-Type", "text/plain") // what a form can send
	s.wants(http.StatusOK, cookie, http.MethodPut, "v1/alerts", body, "Sec-Fetch-Site", "same-origin", "Origin", "http://portal.example")
	s.wants(http.StatusOK, "acme/mira", http.MethodPut, "v1/alerts", body, "Origin", "https://evil.example") // a key is no ambient authority
}

func TestTheCookie(t *testing.T) {
	s := newSite(t)
	c := s.signsIn("acme/mira")
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/_meter/" || c.Domain != "" || c.Secure {
		t.Errorf("without TLS: %+v", c)
	}
	r := httptest.NewRequest(http.MethodPost, "https://portal.example/v1/session", strings.NewReader(`{"key":"`+s.keys["acme/mira"]+`"}`))
	r.Header.Set("Content-Type", "application/json")
	r.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	s.p.Serve(s.m, w, r)
	if c = w.Result().Cookies()[0]; !c.Secure || !c.HttpOnly || c.Name != "__Secure-farebox_session" {
		t.Errorf("with TLS: %+v", c)
	}
}

// A cookie that someone planted is worth nothing after signing in.
func TestSessionFixation(t *testing.T) {
	s := newSite(t)
	planted := s.signsIn("other/").Value
	r := httptest.NewRequest(http.MethodPost, "http://portal.example/v1/session", strings.NewReader(`{"key":"`+s.keys["acme/mira"]+`"}`))
	r.Header.Set("Content-Type", "application/json")
	r.AddCookie(&http.Cookie{Name: "farebox_session", Value: planted})
	w := httptest.NewRecorder()
	s.p.Serve(s.m, w, r)
	fresh := w.Result().Cookies()[0].Value
	if w.Code != http.StatusOK || fresh == planted || fresh == "" {
		t.Fatalf("%d: the cookie is %q", w.Code, fresh)
	}
	var v SessionView
	if s.gets("cookie "+planted, "v1/session", &v); v.Account != "other" {
		t.Errorf("the planted cookie opens %q", v.Account)
	}
	if s.gets("cookie "+fresh, "v1/session", &v); v.Account != "acme" {
		t.Errorf("the new cookie opens %q", v.Account)
	}
	if w := s.asks("cookie "+s.keys["acme/mira"], http.MethodGet, "v1/balance", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a key passes for a cookie: %d", w.Code)
	}
}

func TestSessionsEnd(t *testing.T) {
	s := newSite(t)
	one, two := "cookie "+s.signsIn("acme/mira").Value, "cookie "+s.signsIn("acme/mira").Value
	s.wants(http.StatusOK, one, http.MethodDelete, "v1/session", "")
	s.wants(http.StatusUnauthorized, one, http.MethodGet, "v1/balance", "")
	s.wants(http.StatusOK, two, http.MethodGet, "v1/balance", "")
	s.now = s.now.Add(directory.SessionLasts - time.Minute)
	s.wants(http.StatusOK, two, http.MethodGet, "v1/balance", "")
	s.now = s.now.Add(2 * time.Minute)
	s.wants(http.StatusUnauthorized, two, http.MethodGet, "v1/balance", "")

	three := "cookie " + s.signsIn("acme/jon").Value
	var keys List[directory.Key]
	s.gets("acme/jon", "v1/keys", &keys)
	s.wants(http.StatusOK, "acme/mira", http.MethodDelete, "v1/keys/"+keys.Data[0].ID, "")
	s.wants(http.StatusUnauthorized, three, http.MethodGet, "v1/balance", "") // with the key that opened it
}

func TestALinkOpensOnce(t *testing.T) {
	s := newSite(t)
	link := func() string {
		token, err := s.m.Directory.Sessions.CreateLink(t.Context(), directory.Session{Member: "mira", Seats: []directory.Seat{{Account: "acme", Role: directory.RoleAdmin}, {Account: "other", Role: directory.RoleViewer}}})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token := link()
	w := s.wants(http.StatusOK, "", http.MethodGet, "open/"+token, "")
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(w.Body.String(), token) {
		t.Errorf("%+v\n%s", cookie, w.Body)
	}
	s.wants(http.StatusUnauthorized, "", http.MethodGet, "open/"+token, "")
	s.wants(http.StatusUnauthorized, "cookie "+token, http.MethodGet, "v1/balance", "")
	var v SessionView
	if s.gets("cookie "+cookie.Value, "v1/session", &v); len(v.Accounts) != 2 || v.Account != "acme" || v.Role != directory.RoleAdmin {
		t.Errorf("%+v", v)
	}
	if s.gets("cookie "+cookie.Value, "v1/session?account=other", &v); v.Account != "other" || v.Role != directory.RoleViewer {
		t.Errorf("%+v", v)
	}
	late := link()
	s.now = s.now.Add(directory.LinkLasts + time.Second)
	s.wants(http.StatusUnauthorized, "", http.MethodGet, "open/"+late, "")
	s.wants(http.StatusUnauthorized, "", http.MethodGet, "open/nonsense", "")
}

func TestOperators(t *testing.T) {
	s := newSite(t)
	keys := map[string]string{}
	for _, scope := range []string{"read", "grant", "admin"} {
		secret, _, err := s.m.Directory.Operators.Create(t.Context(), scope, scope, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		keys[scope] = secret
		s.wants(http.StatusUnauthorized, secret, http.MethodGet, "v1/balance?account=acme", "") // where there is no console
		s.wants(http.StatusNotFound, secret, http.MethodGet, "admin/v1/accounts", "")
	}
	s.p.Console = true
	rank := map[string]int{"read": 1, "grant": 2, "admin": 3}
	for _, x := range []struct{ method, path, needs string }{
		{http.MethodGet, "accounts", "read"}, {http.MethodPost, "accounts/acme/grants", "grant"}, {http.MethodPut, "accounts/acme/subscription", "admin"}, {http.MethodGet, "backup", "admin"},
	} {
		for scope, key := range keys {
			w := s.asks(key, x.method, "admin/v1/"+x.path, "")
			if may := rank[scope] >= rank[x.needs]; (w.Code != http.StatusForbidden) != may || w.Code == http.StatusUnauthorized || w.Code == http.StatusNotFound {
				t.Errorf("%s with scope %s: %d", x.path, scope, w.Code)
			}
		}
		s.wants(http.StatusForbidden, "acme/mira", x.method, "admin/v1/"+x.path, "") // an account's admin is no operator
		s.wants(http.StatusUnauthorized, "", x.method, "admin/v1/"+x.path, "")
	}
	s.wants(http.StatusBadRequest, keys["read"], http.MethodGet, "v1/balance", "") // which account?
	s.wants(http.StatusOK, keys["read"], http.MethodGet, "v1/prices", "")
	s.wants(http.StatusOK, keys["read"], http.MethodGet, "v1/balance?account=acme", "")
	s.wants(http.StatusOK, keys["read"], http.MethodPost, "v1/estimate?account=acme", `{"mix":[{"operation":"image","per_day":"1"}]}`)
	s.wants(http.StatusForbidden, keys["read"], http.MethodPut, "v1/alerts?account=acme", `{"below":[]}`)
	s.wants(http.StatusOK, keys["admin"], http.MethodPut, "v1/alerts?account=acme", `{"below":[]}`)

	w := s.wants(http.StatusOK, "", http.MethodPost, "v1/session", `{"key":"`+keys["grant"]+`"}`)
	cookie := "cookie " + w.Result().Cookies()[0].Value
	var v SessionView
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || !v.Operator || len(v.Scopes) != 2 {
		t.Errorf("%+v %v", v, err)
	}
	s.wants(http.StatusForbidden, cookie, http.MethodPost, "admin/v1/accounts/acme/grants", `{}`, "Origin", "https://evil.example")
	s.wants(http.StatusOK, cookie, http.MethodPost, "admin/v1/accounts/acme/grants", `{"amount":"5","reason":"x"}`, "Origin", "http://portal.example", "Idempotency-Key", "one")
}

// A parameter that an endpoint does not have is an error, on reads and on writes,
// and so is a field of the body.
func TestUnknownParametersAreErrors(t *testing.T) {
	s := newSite(t)
	s.p.Console = true
	operator, _, err := s.m.Directory.Operators.Create(t.Context(), "", "admin", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints() {
		method, path, _ := strings.Cut(e.pattern, " ")
		path = strings.TrimPrefix(wildcard.ReplaceAllString(path, "x"), "/")
		who := "acme/"
		if e.customers == operatorsOnly {
			who = operator
		}
		w := s.wants(http.StatusBadRequest, who, method, path+"?acount=other", "{}")
		if !strings.Contains(w.Body.String(), `unknown parameter \"acount\"`) {
			t.Errorf("%s: %s", e.pattern, w.Body)
		}
		for _, p := range e.params {
			if p.OneOf != nil {
				w := s.wants(http.StatusBadRequest, who, method, path+"?"+p.Name+"=other", "{}")
				if !strings.Contains(w.Body.String(), p.Name+"=other; write one of: "+p.OneOf[0]) {
					t.Errorf("%s with a wrong %s: %s", e.pattern, p.Name, w.Body)
				}
			}
		}
		if len(e.params) > 0 {
			name := e.params[0].Name
			s.wants(http.StatusBadRequest, who, method, path+"?"+name+"=acme&"+name+"=acme", "{}")
		}
		if method == http.MethodGet || e.inMedia != "" { // an import reports each line
			continue
		}
		for _, body := range []string{`{"acount":"other"}`, `{} {}`, `{}x`, `{}}`} {
			w := s.wants(http.StatusBadRequest, who, method, path, body, "Idempotency-Key", "one")
			if !strings.Contains(w.Body.String(), "is not the expected JSON") {
				t.Errorf("%s with the body %s: %s", e.pattern, body, w.Body)
			}
		}
	}
}
