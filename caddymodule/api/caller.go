package api

import (
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
	by       string   // who is recorded with what an operator changes: the id of the key
	byCookie bool
	session  *directory.Session
}

func (w *caller) operator() bool { return len(w.scopes) > 0 }
func (w *caller) admin() bool    { return w.role == directory.RoleAdmin }

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

// identify finds out who calls, and whether the endpoint is for them: the one
// place where rights are checked.
func (e *endpoint) identify(c *call) error {
	if e.customers == operatorsOnly && !c.trusted && !c.api.Console {
		return ErrNotFound
	}
	w, err := c.signedIn()
	if err != nil {
		if e.customers == anyone || e.public && c.api.PublicPrices {
			c.who, err = &caller{}, nil
		}
		return err
	}
	c.who = w
	if w.byCookie {
		if err := sameSite(c.Request); err != nil {
			return err
		}
	}
	if w.operator() {
		return e.admitOperator(c)
	}
	if err := e.admitCustomer(c); err != nil || e.operators == read { // which changes nothing
		return err
	}
	return c.m.Directory.Attempts.Change(w.account)
}

// admitOperator checks the scope. An operator is an admin of every account.
func (e *endpoint) admitOperator(c *call) error {
	if !slices.Contains(c.who.scopes, e.operators) {
		return ErrForbidden
	}
	c.who.role, c.who.seesAll = directory.RoleAdmin, true
	if e.customers == operatorsOnly {
		c.who.account = c.PathValue("id")
		return nil
	}
	c.who.account = c.URL.Query().Get("account")
	if c.who.account == "" && e.customers > signedIn && !e.withoutAccount {
		return invalid("say which account: ?account=…")
	}
	return nil
}

// admitCustomer finds the account that the request is about: ?account=, or the
// only or first one of the session. A caller without a seat in that account is refused.
func (e *endpoint) admitCustomer(c *call) error {
	w, wanted := c.who, c.URL.Query().Get("account")
	i := slices.IndexFunc(w.seats, func(s directory.Seat) bool { return wanted == "" || s.Account == wanted })
	if e.customers == operatorsOnly || i < 0 || c.m.Directory.Members.Removed(w.seats[i].Account, w.member) {
		return ErrForbidden
	}
	w.account, w.role = w.seats[i].Account, w.seats[i].Role
	if e.customers <= signedIn {
		return nil
	}
	w.seat(c.m)
	if e.customers == admins && !w.admin() || e.customers == members && w.role == directory.RoleViewer {
		return ErrForbidden
	}
	return nil
}

// signedIn reads key or cookie.
func (c *call) signedIn() (*caller, error) {
	if c.trusted {
		return &caller{scopes: []string{read, grant, admin}, by: "command line"}, nil
	}
	if secret := secretOf(c.Header); secret != "" {
		return c.byKey(secret)
	}
	cookie, err := c.Cookie(c.api.cookieName(c.Request))
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
	w := &caller{seats: s.Seats, member: s.Member, scopes: s.Scopes, byCookie: true, session: &s, by: s.APIKey}
	if w.operator() && !c.api.Console { // a console's session opens no portal elsewhere
		return nil, ErrSignedOut
	}
	return w, nil
}

// byKey signs in with an API key or an operator's key.
func (c *call) byKey(secret string) (*caller, error) {
	if strings.HasPrefix(secret, directory.OperatorPrefix) {
		k, ok := c.m.Directory.Operators.Find(secret)
		if !ok || !c.api.Console {
			return nil, ErrSignedOut
		}
		return &caller{scopes: k.Scopes, by: k.ID}, nil
	}
	k, err := c.m.Identify(secret)
	if err != nil {
		return nil, errors.Join(ErrSignedOut, err)
	}
	return &caller{seats: []directory.Seat{{Account: k.Account, Role: roleOf(c.m, k.Account, k.Member)}}, member: k.Member}, nil
}

// roleOf is the role of a key: that of its member. A key without a member is the
// account's own, and an admin.
func roleOf(m *meter.Gateway, account, member string) directory.Role {
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

// seat applies what the account says of the member now: a session that was
// opened as an admin is not one any more when the member was demoted.
func (w *caller) seat(m *meter.Gateway) {
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
