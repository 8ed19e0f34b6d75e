package notifier

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/wneessen/go-mail"

	"github.com/farebox-dev/farebox/meter/event"
)

// ErrServer: mail cannot be sent through this.
var ErrServer = errors.New("write the mail server as smtp://user:password@host:587, or smtps:// for TLS from the start")

// mailClient reads smtp://user:password@host:port; ?tls=off sends in the clear,
// to a relay on the same machine.
func mailClient(server string) (*mail.Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, ErrServer
	}
	options := []mail.Option{mail.WithTLSPolicy(mail.TLSMandatory)}
	switch {
	case u.Scheme == "smtps":
		options = []mail.Option{mail.WithSSL()}
	case u.Query().Get("tls") == "off":
		options = []mail.Option{mail.WithTLSPolicy(mail.NoTLS)}
	}
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil {
			return nil, ErrServer
		}
		options = append(options, mail.WithPort(n))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	return mail.NewClient(u.Hostname(), options...)
}

// CheckMail reports what is wrong with a target for mail, without sending any.
func CheckMail(t *Target) error {
	if _, err := mailClient(t.Server); err != nil {
		return err
	}
	m := mail.NewMsg()
	if err := m.From(t.From); err != nil {
		return fmt.Errorf("from %q is no mail address", t.From)
	}
	if len(t.To) > 0 {
		if err := m.To(t.To...); err != nil {
			return fmt.Errorf("to %q: %w", t.To, err)
		}
	}
	return nil
}

// mail sends an event to its account's admins, or to whom the target names.
func (s *Sender) mail(ctx context.Context, t *Target, e *event.Event) event.Answer {
	to := t.To
	if len(to) == 0 && e.Account != "" && s.Admins != nil {
		to = s.Admins(e.Account)
	}
	if len(to) == 0 { // no admin has an address; that is not an error
		return event.Answer{}
	}
	m := mail.NewMsg()
	if err := errors.Join(m.From(t.From), m.To(to...)); err != nil {
		return event.Answer{Err: err}
	}
	m.SetMessageIDWithValue(e.ID + "@" + host(t.From))
	m.SetDateWithValue(e.Timestamp)
	m.Subject(Title(e))
	m.SetBodyString(mail.TypeTextPlain, Title(e)+".\n\n"+facts(e)+"\n"+e.Type+" at "+e.Timestamp.Format("2006-01-02 15:04:05 MST")+"\n")
	c, err := mailClient(t.Server)
	if err != nil {
		return event.Answer{Err: err}
	}
	return event.Answer{Err: c.DialAndSendWithContext(ctx, m)}
}

func host(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return trimEnd(address[i+1:])
		}
	}
	return "localhost"
}

func trimEnd(s string) string {
	if n := len(s); n > 0 && s[n-1] == '>' {
		return s[:n-1]
	}
	return s
}
