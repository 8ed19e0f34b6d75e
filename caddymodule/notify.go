package caddymodule

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/caddymodule/notifier"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
)

// NotifyTarget is where events are sent. Values may hold placeholders such as
// {env.METER_WEBHOOK_SECRET}.
type NotifyTarget struct {
	// Kind is webhook, email or slack.
	Kind string `json:"kind"`
	// URL of a webhook, or of the mail server (smtp://user:password@host:587).
	URL string `json:"url"`
	// Secrets sign a webhook (whsec_…): the current one, and an old one while
	// receivers change over.
	Secrets []string `json:"secrets,omitempty"`
	// From is the sender of mail.
	From string `json:"from,omitempty"`
	// To are the recipients of mail. Default: the admins of the account.
	To []string `json:"to,omitempty"`
	// Only are the types of events that it gets. Default: all.
	Only []string `json:"only,omitempty"`
}

// target resolves placeholders and checks everything.
func (t *NotifyTarget) target(repl *caddy.Replacer) (x notifier.Target, err error) {
	address := repl.ReplaceAll(t.URL, "")
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return x, fmt.Errorf("notify %s: %q is no address; if it comes from the environment, is it set?", t.Kind, t.URL)
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{address}, t.To...), "\x00"))) // another address is another endpoint
	x = notifier.Target{Endpoint: event.Endpoint{Name: fmt.Sprintf("%s-%s-%x", t.Kind, u.Hostname(), sum[:4]), Kind: t.Kind, Address: address, Only: t.Only}}
	for _, only := range t.Only {
		if !slices.Contains(event.Types, only) {
			return x, fmt.Errorf("notify %s: there is no event %q; there are %s", t.Kind, only, strings.Join(event.Types, ", "))
		}
	}
	switch t.Kind {
	case "webhook":
		err = webhookTarget(&x, t, repl)
	case "slack":
	case "email":
		x.Server, x.Address = address, ""
		if u.User != nil {
			if password, _ := u.User.Password(); password == "" {
				return x, errors.New("notify email: the password is empty; if it comes from the environment, is it set?")
			}
		}
		x.From = repl.ReplaceAll(t.From, "")
		for _, to := range t.To {
			x.To = append(x.To, repl.ReplaceAll(to, ""))
		}
		err = notifier.CheckMail(&x)
	default:
		err = fmt.Errorf("unknown notifier %q (want webhook, email or slack)", t.Kind)
	}
	if err != nil {
		err = fmt.Errorf("notify %s: %w", t.Kind, err)
	}
	return x, err
}

func webhookTarget(x *notifier.Target, t *NotifyTarget, repl *caddy.Replacer) error {
	if len(t.Secrets) == 0 {
		return errors.New("it needs a secret: notify webhook <url> {env.METER_WEBHOOK_SECRET}")
	}
	for _, s := range t.Secrets {
		value := repl.ReplaceAll(s, "")
		if value == "" {
			return fmt.Errorf("the secret %s is empty; set it in the environment", s)
		}
		key, err := event.ParseSecret(value)
		if err != nil {
			return err
		}
		x.Secrets = append(x.Secrets, key)
	}
	return nil
}

// provisionNotify checks the targets; nothing is sent.
func (a *App) provisionNotify(ctx caddy.Context) error {
	a.sender = &notifier.Sender{Targets: map[string]notifier.Target{}, AllowPrivate: a.AccountWebhooks == "private"}
	repl := caddy.NewReplacer()
	for i := range a.Notify {
		t, err := a.Notify[i].target(repl)
		if err != nil {
			return err
		}
		if _, twice := a.sender.Targets[t.Name]; twice {
			return fmt.Errorf("notify %s: %s is there twice; write all events that it gets in one line", t.Kind, cmp.Or(notifier.WithoutSecrets(t.Address), a.Notify[i].URL))
		}
		a.sender.Targets[t.Name] = t
	}
	a.sender.Targets["caddy"] = notifier.Target{Endpoint: event.Endpoint{Name: "caddy", Kind: "caddy"}}
	if events, err := ctx.AppIfConfigured("events"); err == nil {
		if app, ok := events.(*caddyevents.App); ok {
			a.sender.Emit = func(e *event.Event) {
				app.Emit(ctx, "meter_"+strings.ReplaceAll(e.Type, ".", "_"), e.Data)
			}
		}
	}
	if a.sender.Emit == nil {
		delete(a.sender.Targets, "caddy")
	}
	a.sender.Init()
	return oneOf("account_webhooks", a.AccountWebhooks, "", "public", "private", "off")
}

func (a *App) endpoints() []event.Endpoint {
	list := []event.Endpoint{}
	for _, t := range a.sender.Targets {
		list = append(list, t.Endpoint)
	}
	return list
}

// startNotify puts this configuration's targets in force.
func (a *App) startNotify(e *engine) error {
	s := a.sender
	s.Own = func(ctx context.Context, account string) (string, []byte, error) {
		w, ok, err := e.Events.Webhook(ctx, account)
		if err == nil && (!ok || a.AccountWebhooks == "off") {
			err = fmt.Errorf("account %s has no webhook", account)
		}
		if err != nil {
			return "", nil, err
		}
		key, err := event.ParseSecret(w.Secret)
		return w.URL, key, err
	}
	s.Admins = func(account string) (to []string) {
		members, err := e.Directory.Members.List(account)
		if err != nil {
			a.log.Error("looking for the admins of an account", zap.String("account", account), zap.Error(err))
		}
		for _, m := range members {
			if m.Role == directory.RoleAdmin && m.Email != "" {
				to = append(to, m.Email)
			}
		}
		return to
	}
	o := event.DeliveryOptions{Sender: s, Told: func(d *event.Delivery) {
		a.metrics.delivered(d.State)
		if d.State != event.Delivered {
			a.log.Warn("event not delivered", zap.String("event", d.Event), zap.String("endpoint", d.Endpoint), zap.Int("attempts", d.Attempts), zap.String("error", d.Error))
		}
	}}
	o.Endpoints = a.endpoints()
	if err := e.Events.Deliver(context.Background(), o); err != nil {
		return err
	}
	e.alarm.Start(e.Gateway)
	return nil
}

// parseNotify reads one line of the global option:
//
//	notify webhook <url> <secret> [<old secret>] [only <events>…]
//	notify slack <url> [only <events>…]
//	notify email <smtp://…> <from> [<to>…] [only <events>…]
func (a *App) parseNotify(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("notify takes a way and an address: notify webhook <url> <secret>, notify email <smtp://…> <from>, or notify slack <url>")
	}
	t := NotifyTarget{Kind: args[0], URL: args[1]}
	rest := args[2:]
	if i := slices.Index(rest, "only"); i >= 0 {
		if t.Only = rest[i+1:]; len(t.Only) == 0 {
			return d.Err("only needs the types of events, such as: only credits.low credits.exhausted")
		}
		rest = rest[:i]
	}
	switch t.Kind {
	case "webhook":
		t.Secrets = rest
	case "email":
		if len(rest) == 0 {
			return d.Err("notify email needs a sender: notify email smtp://… billing@example.com")
		}
		t.From, t.To = rest[0], rest[1:]
	case "slack":
		if len(rest) > 0 {
			return d.Errf("notify slack takes an address, and only <events>…, not %q", rest[0])
		}
	default:
		return d.Errf("unknown notifier %q (want webhook, email or slack)", t.Kind)
	}
	a.Notify = append(a.Notify, t)
	return nil
}
