package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// often repeats a request until it is refused, and returns how often it was not.
func (s *site) often(who, method, path, body string, headers ...string) (passed int) {
	s.Helper()
	for passed = 0; passed < 500; passed++ {
		w := s.asks(who, method, path, body, headers...)
		if w.Code != http.StatusTooManyRequests {
			continue
		}
		if after := w.Header().Get("Retry-After"); after == "" || after == "0" {
			s.Errorf("%s %s: 429 with Retry-After %q", method, path, after)
		}
		if path[0] == 'v' && !strings.Contains(w.Body.String(), `"reason":"too_often"`) {
			s.Errorf("%s", w.Body)
		}
		return passed
	}
	return passed
}

// TestRepeatingIsLimited goes through all that someone of an account, or anybody, can
// repeat although each time may cost a commit of the ledger.
func TestRepeatingIsLimited(t *testing.T) {
	s := newSite(t)
	if n := s.often("", http.MethodPost, "v1/session", `{"key":"`+s.keys["acme/mira"]+`"}`); n != 30 {
		t.Errorf("%d sign-ins with one key", n)
	}
	if n := s.often("", http.MethodPost, "v1/session", `{"key":"fb_live_wrong"}`); n != 89 { // 31 came from the address before
		t.Errorf("%d sign-ins with a wrong key", n)
	}
	if n := s.often("", http.MethodGet, "open/fb_link_x", ""); n != 0 {
		t.Errorf("%d links from an address that is used up", n)
	}
	s.now = s.now.Add(time.Hour)
	if n := s.often("", http.MethodGet, "open/fb_link_x", ""); n != 120 {
		t.Errorf("%d links", n)
	}
	if n := s.often("acme/mira", http.MethodPut, "v1/alerts", `{"below":["20%"]}`); n != 120 {
		t.Errorf("%d changes", n)
	}
	for _, e := range endpoints() { // every other change of the account counts with them
		method, path, _ := strings.Cut(e.pattern, " ")
		if e.customers == operatorsOnly || e.operators == read {
			continue
		}
		if n := s.often("acme/mira", method, strings.NewReplacer("{key}", "key_x", "{member}", "jon").Replace(path[1:]), `{}`); n != 0 {
			t.Errorf("%s passes %d times", e.pattern, n)
		}
	}
	if w := s.asks("other/", http.MethodPut, "v1/alerts", `{"below":["20%"]}`); w.Code != http.StatusOK {
		t.Errorf("another account: %d %s", w.Code, w.Body)
	}
	s.now = s.now.Add(2 * time.Second)
	if n := s.often("acme/mira", http.MethodPut, "v1/alerts", `{"below":["20%"]}`); n != 2 {
		t.Errorf("%d changes after two seconds", n)
	}
}

// TestOnlyReadsAreUnlimited: what customers can do under the scope read changes nothing.
func TestOnlyReadsAreUnlimited(t *testing.T) {
	free := map[string]bool{"POST /v1/estimate": true, "POST /v1/session": true, "DELETE /v1/session": true} // a calculation; counted by address
	for _, e := range endpoints() {
		if e.customers != operatorsOnly && e.operators == read && !strings.HasPrefix(e.pattern, "GET ") && !free[e.pattern] {
			t.Errorf("%s changes something and is not limited: give operators another scope than read", e.pattern)
		}
	}
}

func TestAddressesOfLimits(t *testing.T) {
	for _, tt := range []struct{ remote, behind, want string }{
		{"192.0.2.7:443", "", "192.0.2.7"}, {"[2001:db8:1:2:3:4:5:6]:443", "", "2001:db8:1:2::/64"}, {"[::ffff:192.0.2.7]:1", "", "192.0.2.7"},
		{"192.0.2.7:443", "198.51.100.9", "198.51.100.9"}, {"192.0.2.7:443", "2001:db8::1", "2001:db8::/64"}, {"@", "", "@"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = tt.remote
		c := &call{Request: r, api: &API{}}
		if tt.behind != "" {
			c.api.Address = func(*http.Request) string { return tt.behind }
		}
		if got := c.address(); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
