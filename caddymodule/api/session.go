package api

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/farebox-dev/farebox/meter/directory"
)

// SessionView says who is signed in.
type SessionView struct {
	Account   string         `json:"account,omitempty"`
	Accounts  []SeatView     `json:"accounts"`
	Member    string         `json:"member,omitempty"`
	Role      directory.Role `json:"role,omitempty"`
	SeesAll   bool           `json:"sees_all"`
	Operator  bool           `json:"operator"`
	Scopes    []string       `json:"scopes,omitempty"`
	Console   bool           `json:"console"` // operators can sign in here
	ReturnURL string         `json:"return_url,omitempty"`
	Brand     Brand          `json:"brand"`
}

// SeatView is an account that the session opens.
type SeatView struct {
	ID   string         `json:"id"`
	Name string         `json:"name"`
	Role directory.Role `json:"role"`
}

func (c *call) showSession() (SessionView, error) {
	w := c.who
	v := SessionView{Accounts: []SeatView{}, Console: c.api.Console, Brand: c.api.Brand}
	if len(w.seats) == 0 && !w.operator() {
		return v, nil
	}
	if w.account != "" {
		w.seat(c.m)
	}
	v.Account, v.Member, v.Role, v.SeesAll, v.Operator, v.Scopes = w.account, w.member, w.role, w.seesAll, w.operator(), w.scopes
	if w.session != nil {
		v.ReturnURL = w.session.ReturnURL
	}
	for _, s := range w.seats {
		if a, err := c.m.Accounts.Get(c.Context(), s.Account); err == nil {
			v.Accounts = append(v.Accounts, SeatView{ID: s.Account, Name: nameOf(string(a.ID), a.Name), Role: s.Role})
		}
	}
	return v, nil
}

func nameOf(id, name string) string {
	if name == "" {
		return id
	}
	return name
}

type signInRequest struct {
	Key string `json:"key"`
}

// signIn turns a key into a session, for a browser.
func (c *call) signIn(in signInRequest) (SessionView, error) {
	if err := sameSite(c.Request); err != nil {
		return SessionView{}, err
	}
	if err := c.m.Directory.Attempts.FromAddress(c.address()); err != nil {
		return SessionView{}, err
	}
	w, err := c.byKey(strings.TrimSpace(in.Key))
	if err != nil {
		return SessionView{}, err
	}
	s := directory.Session{Seats: w.seats, Member: w.member, Scopes: w.scopes, APIKey: c.keyID(in.Key)}
	if err := c.m.Directory.Attempts.SignIn(s.APIKey); err != nil {
		return SessionView{}, err
	}
	cookie, s, err := c.m.Directory.Sessions.Open(c.Context(), s)
	if err != nil {
		return SessionView{}, err
	}
	c.setCookie(cookie)
	w.session = &s
	c.who = w
	return c.showSession()
}

// address is where the caller is, for limits. Who has one address of IPv6 has all of
// its /64.
func (c *call) address() string {
	text := c.RemoteAddr
	if c.api.Address != nil {
		text = c.api.Address(c.Request)
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	at, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	if at = at.Unmap().WithZone(""); at.Is6() {
		return netip.PrefixFrom(at, 64).Masked().String()
	}
	return at.String()
}

func (c *call) keyID(secret string) string {
	if k, ok := c.m.Directory.Operators.Find(strings.TrimSpace(secret)); ok {
		return k.ID
	}
	k, _ := c.m.Identify(strings.TrimSpace(secret))
	return k.Key
}

func (c *call) signOut() (map[string]bool, error) {
	if cookie, err := c.Cookie(c.api.cookieName(c.Request)); err == nil {
		if err := sameSite(c.Request); err != nil {
			return map[string]bool{}, err
		}
		if err := c.m.Directory.Attempts.FromAddress(c.address()); err != nil {
			return map[string]bool{}, err
		}
		if err := c.m.Directory.Sessions.Close(c.Context(), cookie.Value); err != nil {
			return map[string]bool{}, err
		}
	}
	c.setCookie("")
	return map[string]bool{"signed_out": true}, nil
}

// setCookie sets the session's cookie, or removes it. Whatever cookie the
// browser came with is replaced, so that a planted one is worth nothing.
func (c *call) setCookie(value string) {
	cookie := &http.Cookie{
		Name: c.api.cookieName(c.Request), Value: value, Path: c.api.Base + "/", HttpOnly: true, Secure: c.api.secure(c.Request), SameSite: http.SameSiteStrictMode,
		MaxAge: int(directory.SessionLasts.Seconds()),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.w, cookie)
}

// open takes a link to a session. It answers with a page that goes on by
// itself, not with a redirect: behind a redirect that another site began, the
// browser would not send a SameSite=Strict cookie.
func (c *call) open() {
	w, r := c.w, c.Request
	var cookie string
	var s directory.Session
	err := c.m.Directory.Attempts.FromAddress(c.address())
	if err == nil {
		cookie, s, err = c.m.Directory.Sessions.OpenLink(r.Context(), r.PathValue("token"))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
	if err != nil {
		status, _ := StatusOf(err)
		if status == http.StatusInternalServerError {
			status = http.StatusUnauthorized
		}
		retryAfter(w, err)
		w.WriteHeader(status)
		title, text := "Link used up", "This link can be opened once, within 5 minutes. Go back and open a new one."
		if status == http.StatusTooManyRequests {
			title, text = "Too many sign-ins", "There were too many sign-ins from this address. Wait a moment, then open the link again."
		}
		_, _ = fmt.Fprintf(w, page, title, "", text)
		return
	}
	c.setCookie(cookie)
	to := c.api.Base + "/"
	if len(s.Seats) > 0 {
		to += "?account=" + html.EscapeString(queryEscape(s.Seats[0].Account))
	}
	_, _ = fmt.Fprintf(w, page, "Opening…", `<meta http-equiv="refresh" content="0;url=`+to+`">`, `<a href="`+to+`">Continue</a>`)
}

const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>%s</title>%s<style>body{font:16px system-ui;margin:4rem auto;max-width:32rem;padding:0 1rem;color-scheme:light dark}</style></head><body><p>%s</p></body></html>
`
