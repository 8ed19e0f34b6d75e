package integration

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/event"
)

// mailbox is a mail server that takes everything.
type mailbox struct {
	addr string
	mu   sync.Mutex
	got  []string // each mail: the whole talk
}

func mails(t testing.TB) *mailbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	m := &mailbox{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.talk(c)
		}
	}()
	return m
}

func (m *mailbox) talk(c net.Conn) {
	defer c.Close() //nolint:errcheck // a test's
	say := func(s string) { _, _ = io.WriteString(c, s+"\r\n") }
	say("220 mail.test")
	var all strings.Builder
	data := false
	for in := bufio.NewScanner(c); in.Scan(); {
		line := in.Text()
		all.WriteString(line + "\n")
		switch word := strings.ToUpper(line); {
		case data && word != ".":
		case data:
			data = false
			m.mu.Lock()
			m.got = append(m.got, all.String())
			m.mu.Unlock()
			say("250 taken")
		case word == "DATA":
			data = true
			say("354 go on")
		case word == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (m *mailbox) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

func TestMailToAdmins(t *testing.T) {
	t.Parallel()
	post, slack := mails(t), receive(t, "")
	server := "smtp://" + post.addr + "?tls=off"
	g := start(t, setup{caddyfile: telling(t,
		"notify email "+server+" billing@example.com only "+event.Granted+" "+event.KeyCreated,
		"notify email "+server+" billing@example.com ops@example.com only "+event.PricesRefused,
		"notify slack http://"+slack.addr+"/services/T0/B0/x only "+event.Granted)})
	g.account("acme", "0") // and its key: no mail yet, because no admin has an address
	g.cli("member", "add", "acme", "mira", "--role", "admin", "--email", "mira@example.com").want(t, "mira", 0)
	g.cli("member", "add", "acme", "ben", "--email", "ben@example.com").want(t, "ben", 0)
	g.cli("grant", "acme", "120", "--reason", "invoice 2041").want(t, "grant", 0)
	g.eventually("mail", func() bool { return len(post.all()) == 1 })
	for _, want := range []string{"MAIL FROM:<billing@example.com>", "RCPT TO:<mira@example.com>", "Subject: acme: 120 credits were added", "invoice 2041"} {
		if text := post.all()[0]; !strings.Contains(text, want) || strings.Contains(text, "ben@example.com") {
			t.Errorf("no %q, or it goes to who is no admin:\n%s", want, text)
		}
	}
	g.eventually("Slack", func() bool { return len(slack.all()) == 1 })
	if text := gjson.Get(slack.all()[0].body, "text").String(); !strings.Contains(text, "acme: 120 credits were added") {
		t.Errorf("Slack reads %q", text)
	}
	g.cli("webhook", "list").want(t, "list", 0, "!services/T0") // Slack's secret is its path
	g.edit("pricing.yaml", "{per_image: 24}", "{per_imag: 24}")
	g.cli("prices", "reload").want(t, "a wrong price file", 2, "per_imag")
	g.eventually("mail to the operators", func() bool { return len(post.all()) == 2 })
	if text := post.all()[1]; !strings.Contains(text, "RCPT TO:<ops@example.com>") || !strings.Contains(text, "per_imag") {
		t.Errorf("%s", text)
	}
}
