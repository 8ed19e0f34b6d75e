package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
)

// caller is who uses the API: someone of an account, or an operator.
type caller struct {
	account  string // that the request is about; "" for an operator who named none
	member   string
	role     directory.Role
	seesAll  bool // what other members use, too
	seats    []directory.Seat
	scopes   []string // of an operator
	byCookie bool
	session  *directory.Session
}

// need is what an endpoint needs of its caller.
type need uint8

const (
	anybody  need = iota // also someone who is not signed in
	someone              // of the account
	admin                // of the account
	spender              // not a viewer
	signedIn             // in any way, with or without an account
)

func (w *caller) operator() bool { return len(w.scopes) > 0 }
func (w *caller) admin() bool    { return w.role == directory.RoleAdmin }

type (
	meterKey struct{}
	trusted  struct{}
)

func withMeter(ctx context.Context, m *meter.Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

func meterOf(ctx context.Context) *meter.Meter {
	m, _ := ctx.Value(meterKey{}).(*meter.Meter)
	return m
}

// cookieName is the session's cookie; with TLS it cannot be planted from a
// neighbouring host.
func (a *API) cookieName(r *http.Request) string {
	if a.secure(r) {
		return "__Secure-farebox_session"
	}
	return "farebox_session"
}

func (a *API) secure(r *http.Request) bool {
	if a.Secure != nil {
		return a.Secure(r)
	}
	return r.TLS != nil
}

// identify finds out who calls and whether that will do.
func (a *API) identify(c *call, needs need) (*caller, error) {
	w, err := a.signedIn(c)
	if err != nil {
		if needs == anybody || needs == someone && a.PublicPrices && public(c.Request) {
			return &caller{}, nil
		}
		return nil, err
	}
	if w.byCookie {
		if err := sameSite(c.Request); err != nil {
			return nil, err
		}
	}
	if needs == anybody || needs == signedIn {
		return w, w.choose(c, false)
	}
	if err := w.choose(c, !public(c.Request) && c.URL.Path != "/v1/estimate"); err != nil { // an operator reads the price list without an account, too
		return nil, err
	}
	w.seat(c.m)
	if w.operator() && c.Method != http.MethodGet && c.URL.Path != "/v1/estimate" && !slices.Contains(w.scopes, directory.ScopeAdmin) {
		return nil, ErrForbidden
	}
	if needs == admin && !w.admin() || needs == spender && w.role == directory.RoleViewer {
		return nil, ErrForbidden
	}
	return w, nil
}

// public are the paths that PublicPrices opens.
func public(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Path == "/v1/prices" || r.URL.Path == "/v1/packs")
}

// signedIn reads key or cookie.
func (a *API) signedIn(c *call) (*caller, error) {
	if c.Context().Value(trusted{}) != nil {
		return &caller{scopes: []string{directory.ScopeRead, directory.ScopeGrant, directory.ScopeAdmin}}, nil
	}
	if secret := secretOf(c.Header); secret != "" {
		return a.byKey(c.m, secret)
	}
	cookie, err := c.Cookie(a.cookieName(c.Request))
	if err != nil {
		return nil, ErrSignedOut
	}
	s, err := c.m.Directory.Sessions.Find(c.Context(), cookie.Value)
	if err != nil {
		if errors.Is(err, directory.ErrNoSession) {
			return nil, ErrSignedOut
		}
		return nil, err
	}
	w := &caller{seats: s.Seats, member: s.Member, scopes: s.Scopes, byCookie: true, session: &s}
	if w.operator() && a.Operator == nil { // a console's session opens no portal elsewhere
		return nil, ErrSignedOut
	}
	return w, nil
}

// byKey signs in with an API key or an operator's key.
func (a *API) byKey(m *meter.Meter, secret string) (*caller, error) {
	if strings.HasPrefix(secret, directory.OperatorPrefix) {
		k, ok := m.Directory.Operators.Find(secret)
		if !ok || a.Operator == nil {
			return nil, ErrSignedOut
		}
		return &caller{scopes: k.Scopes}, nil
	}
	k, err := m.Identify(secret)
	if err != nil {
		return nil, errors.Join(ErrSignedOut, err)
	}
	return &caller{seats: []directory.Seat{{Account: k.Account, Role: RoleOf(m, k.Account, k.Member)}}, member: k.Member}, nil
}

// RoleOf is what a key may do: that of its member. A key that belongs to nobody
// in particular is the account's own, and an admin.
func RoleOf(m *meter.Meter, account, member string) directory.Role {
	if member == "" {
		return directory.RoleAdmin
	}
	if x, err := m.Directory.Members.Get(account, member); err == nil {
		return x.Role
	}
	return directory.RoleMember
}

// secretOf reads the key from where the SDKs put it.
func secretOf(h http.Header) string {
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return h.Get("X-Api-Key")
}

// choose finds the account that the request is about: ?account=, or the only
// or first one of the session. Nobody reaches an account without a seat in it.
func (w *caller) choose(c *call, needed bool) error {
	wanted := c.URL.Query().Get("account")
	if w.operator() {
		w.account, w.role, w.seesAll = wanted, directory.RoleAdmin, true
		if wanted == "" && needed {
			return invalid("say which account: ?account=…")
		}
		return nil
	}
	for _, s := range w.seats {
		if wanted == "" || s.Account == wanted {
			if c.m.Directory.Members.Removed(s.Account, w.member) {
				return ErrForbidden
			}
			w.account, w.role = s.Account, s.Role
			return nil
		}
	}
	return ErrForbidden
}

// seat applies what the account says of the member now: a session that was
// opened as an admin is not one any more when the member was demoted.
func (w *caller) seat(m *meter.Meter) {
	if w.operator() || w.member == "" {
		w.seesAll = w.seesAll || w.admin()
		return
	}
	if x, err := m.Directory.Members.Get(w.account, w.member); err == nil {
		w.role = lesser(w.role, x.Role)
		w.seesAll = x.SeesAll
	}
	w.seesAll = w.seesAll || w.admin()
}

var rank = map[directory.Role]int{directory.RoleViewer: 1, directory.RoleMember: 2, directory.RoleAdmin: 3}

func lesser(a, b directory.Role) directory.Role {
	if rank[a] < rank[b] {
		return a
	}
	return b
}

// sameSite refuses what a browser sends with the cookie on behalf of another
// site. SameSite=Strict does so already; this holds where that does not, such
// as other ports of the same host.
func sameSite(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return ErrCrossSite
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) {
			return ErrCrossSite
		}
	}
	if ct := r.Header.Get("Content-Type"); r.ContentLength != 0 && !strings.HasPrefix(ct, "application/json") {
		return invalid("send the body as Content-Type: application/json")
	}
	return nil
}

// ServeTrusted is Serve for whoever reaches Caddy's own admin endpoint: an
// operator that may do everything.
func (a *API) ServeTrusted(m *meter.Meter, w http.ResponseWriter, r *http.Request) {
	a.Serve(m, w, r.WithContext(context.WithValue(r.Context(), trusted{}, true)))
}
