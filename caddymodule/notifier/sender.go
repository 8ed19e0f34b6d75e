// Package notifier carries events to where they are wanted: webhooks, mail,
// Slack, and Caddy's own events.
package notifier

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/farebox-dev/farebox/meter/event"
)

// Target is an endpoint with what its carrier has to know.
type Target struct {
	event.Endpoint
	Secrets [][]byte // webhook: the current one first, then those that are still accepted
	From    string   // email
	To      []string // email; empty: the admins of the event's account
	Server  string   // email: smtp://user:password@host:port
}

// Sender implements event.Sender.
type Sender struct {
	Targets map[string]Target // by name
	// Own finds the webhook of an account that is none of the targets.
	Own func(ctx context.Context, account string) (url string, secret []byte, err error)
	// Admins are the mail addresses of an account's admins.
	Admins func(account string) []string
	// Emit hands an event to Caddy; nil: does not.
	Emit func(e *event.Event)
	// AllowPrivate lets accounts' webhooks be http and in private networks.
	AllowPrivate bool

	trusted, guarded *http.Client
}

// Init prepares the clients.
func (s *Sender) Init() {
	s.trusted = client(nil)
	s.guarded = client(publicOnly)
	if s.AllowPrivate {
		s.guarded = s.trusted
	}
}

// Close gives up idle connections.
func (s *Sender) Close() {
	s.trusted.CloseIdleConnections()
	s.guarded.CloseIdleConnections()
}

// Send implements event.Sender.
func (s *Sender) Send(ctx context.Context, to event.Endpoint, e *event.Event) event.Answer {
	if to.Account != "" {
		url, secret, err := s.Own(ctx, to.Account)
		if err != nil {
			return event.Answer{Err: err}
		}
		if err := CheckURL(url, s.AllowPrivate); err != nil {
			return event.Answer{Err: err}
		}
		return webhook(ctx, s.guarded, url, [][]byte{secret}, e)
	}
	t, ok := s.Targets[to.Name]
	if !ok {
		return event.Answer{Err: fmt.Errorf("there is no endpoint %s", to.Name)}
	}
	switch t.Kind {
	case "webhook":
		return webhook(ctx, s.trusted, t.Address, t.Secrets, e)
	case "slack":
		return slack(ctx, s.trusted, t.Address, e)
	case "email":
		return s.mail(ctx, &t, e)
	case "caddy":
		if s.Emit != nil {
			s.Emit(e)
		}
		return event.Answer{}
	}
	return event.Answer{Err: fmt.Errorf("%s is no kind of endpoint", t.Kind)}
}

// client follows no redirects: where events go is what was configured.
func client(dial dialer) *http.Client {
	t := &http.Transport{MaxIdleConns: 20, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10}
	if dial != nil {
		t.DialContext = dial
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// WithoutSecrets leaves out what an address may hold to authenticate: Slack's is
// all in the path.
func WithoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/…"}).String()
}
