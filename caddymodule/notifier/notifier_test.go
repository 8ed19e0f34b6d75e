package notifier

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/farebox-dev/farebox/meter/event"
)

func example() *event.Event {
	return &event.Event{
		ID: "evt_acme_7_credits.low", Type: event.Low, Timestamp: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), Account: "acme",
		Data: map[string]any{"account": "acme", "account_name": "Acme\r\nBcc: evil@example.com", "available": "18", "threshold": "20%", "unit": "credits"},
	}
}

func key(t *testing.T, secret string) []byte {
	t.Helper()
	k, err := event.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The receivers here check signatures with the library of the standard itself.
func TestWebhooksAreSignedAsTheStandardHasIt(t *testing.T) {
	current, old := event.NewSecret(), event.NewSecret()
	verified := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, secret := range []string{current, old} { // receivers that have changed over, and those that have not
			wh, err := standardwebhooks.NewWebhook(secret)
			if err == nil {
				err = wh.Verify(body, r.Header)
			}
			if err != nil {
				t.Errorf("secret %.12s…: %v", secret, err)
			}
			if wh.Verify(append(body, ' '), r.Header) == nil {
				t.Error("a changed body passes")
			}
			verified++
		}
		if !strings.Contains(string(body), `"type":"credits.low"`) || !strings.Contains(string(body), `"available":"18"`) {
			t.Errorf("body %s", body)
		}
	}))
	defer srv.Close()
	s := &Sender{Targets: map[string]Target{"x": {Endpoint: event.Endpoint{Name: "x", Kind: "webhook", Address: srv.URL}, Secrets: [][]byte{key(t, current), key(t, old)}}}}
	s.Init()
	if a := s.Send(t.Context(), event.Endpoint{Name: "x"}, example()); a.Err != nil || a.Status != 200 || verified != 2 {
		t.Errorf("%+v, verified %d times", a, verified)
	}
}

func TestReceiversThatFailHangRedirectOrAreGone(t *testing.T) {
	hang := make(chan struct{})
	elsewhere := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of order", http.StatusInternalServerError)
	})
	mux.HandleFunc("/410", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("/302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere++ })
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-hang })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer close(hang)
	for path, want := range map[string]struct {
		status int
		gone   bool
	}{"/500": {500, false}, "/410": {410, true}, "/302": {302, false}, "/hang": {0, false}} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		a := webhook(ctx, client(nil), srv.URL+path, [][]byte{make([]byte, 24)}, example())
		cancel()
		if a.Err == nil || a.Status != want.status || a.Gone != want.gone {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
}

// An account's webhook leads nowhere private: not by its address, not by a name
// that resolves to one, not by an address in disguise.
func TestAccountsWebhooksReachNoPrivateNetwork(t *testing.T) {
	for _, address := range []string{
		"http://example.com/", "https://127.0.0.1/", "https://10.1.2.3/", "https://169.254.169.254/latest/meta-data/", "https://[::1]/", "https://[fd00::1]/",
		"https://[::ffff:127.0.0.1]/", "https://user:pw@example.com/", "https:///x", "ftp://example.com/", "https://0.0.0.0/", "https://100.64.1.1/", "https://[64:ff9b::7f00:1]/", "not a url",
	} {
		if err := CheckURL(address, false); !errors.Is(err, ErrURL) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := CheckURL("https://hooks.example.com/farebox?x=1", false); err != nil {
		t.Error(err)
	}
	if err := CheckURL("http://10.0.0.5/hook", true); err != nil {
		t.Errorf("allowed: %v", err)
	}
	for text, want := range map[string]bool{"8.8.8.8": true, "2606:4700::1111": true, "192.168.1.1": false, "172.16.0.1": false, "::": false, "ff02::1": false, "224.0.0.1": false, "2002:7f00:1::": false} {
		if public(netip.MustParseAddr(text)) != want {
			t.Errorf("%s: public is %v", text, !want)
		}
	}
	called := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer srv.Close()
	s := &Sender{Own: func(context.Context, string) (string, []byte, error) { // a name that leads to this machine
		return strings.Replace(strings.Replace(srv.URL, "http://", "https://", 1), "127.0.0.1", "localhost", 1), make([]byte, 32), nil
	}}
	s.Init()
	if a := s.Send(t.Context(), event.Endpoint{Account: "acme"}, example()); !errors.Is(a.Err, ErrURL) || called {
		t.Errorf("localhost: %+v, called %v", a, called)
	}
}

// mailServer speaks enough SMTP to take one mail.
func mailServer(t *testing.T) (address string, got chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // a test's
	got = make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close() //nolint:errcheck // a test's
		in := bufio.NewReader(c)
		say := func(s string) { _, _ = fmt.Fprint(c, s+"\r\n") }
		say("220 mail.test")
		var all strings.Builder
		for data := false; ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			all.WriteString(line)
			switch word := strings.ToUpper(strings.TrimSpace(line)); {
			case data && word == ".":
				data = false
				say("250 taken")
			case data:
			case strings.HasPrefix(word, "EHLO"):
				say("250 mail.test")
			case word == "DATA":
				data = true
				say("354 go on")
			case word == "QUIT":
				say("221 bye")
				got <- all.String()
				return
			default:
				say("250 ok")
			}
		}
	}()
	return l.Addr().String(), got
}

func TestMailGoesToTheAdminsAndNamesCannotAddHeaders(t *testing.T) {
	address, got := mailServer(t)
	target := Target{Endpoint: event.Endpoint{Name: "mail", Kind: "email"}, Server: "smtp://" + address + "?tls=off", From: "Billing <billing@example.com>"}
	if err := CheckMail(&target); err != nil {
		t.Fatal(err)
	}
	s := &Sender{Targets: map[string]Target{"mail": target}, Admins: func(account string) []string { return []string{"mira@example.com"} }}
	s.Init()
	if a := s.Send(t.Context(), event.Endpoint{Name: "mail"}, example()); a.Err != nil {
		t.Fatal(a.Err)
	}
	text := <-got
	for _, want := range []string{"MAIL FROM:<billing@example.com>", "RCPT TO:<mira@example.com>", "18 credits are left", "threshold: 20%", "evt_acme_7_credits.low@example.com"} {
		if !strings.Contains(text, want) {
			t.Errorf("the mail does not say %q:\n%s", want, text)
		}
	}
	head, _, _ := strings.Cut(text[strings.Index(text, "DATA"):], "\r\n\r\n")
	if strings.Contains(head, "\nBcc:") {
		t.Errorf("a name has added a header:\n%s", head)
	}
}

func TestWhatIsWrongWithAMailServerIsSaid(t *testing.T) {
	for server, from := range map[string]string{"http://x": "a@example.com", "smtp://": "a@example.com", "smtp://host:587": "no-address"} {
		if err := CheckMail(&Target{Server: server, From: from}); err == nil {
			t.Errorf("%s from %s passes", server, from)
		}
	}
}

func TestNobodyToMailIsNoFailure(t *testing.T) {
	s := &Sender{Targets: map[string]Target{"mail": {Endpoint: event.Endpoint{Name: "mail", Kind: "email"}, Server: "smtp://127.0.0.1:1", From: "a@example.com"}}}
	s.Init()
	if a := s.Send(t.Context(), event.Endpoint{Name: "mail"}, example()); a.Err != nil {
		t.Error(a.Err)
	}
}

func TestEveryEventHasATitle(t *testing.T) {
	for _, kind := range event.Types {
		if title := Title(&event.Event{Type: kind, Account: "acme", Data: map[string]any{}}); strings.HasSuffix(title, ": ") {
			t.Errorf("%s: %q", kind, title)
		}
	}
}
