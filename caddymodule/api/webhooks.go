package api

import (
	"slices"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/notifier"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
)

// WebhookView is the account's own webhook, and what came of the latest events.
type WebhookView struct {
	URL        string           `json:"url"` // "" if there is none
	Secret     string           `json:"secret,omitempty"`
	CreatedAt  *time.Time       `json:"created_at,omitempty"`
	Deliveries []event.Delivery `json:"deliveries"`
}

func (c *call) webhook() (WebhookView, error) {
	w, ok, err := c.m.Events.Webhook(c.Context(), c.who.account)
	v := WebhookView{Deliveries: []event.Delivery{}}
	if err != nil || !ok {
		return v, err
	}
	v.URL, v.Secret, v.CreatedAt = w.URL, w.Secret, timeOf(w.CreatedAt)
	if c.who.operator() && !slices.Contains(c.who.scopes, directory.ScopeAdmin) { // who has it can sign as we do
		v.Secret = ""
	}
	endpoint := w.Endpoint(c.who.account).Name
	err = c.m.Events.Outbox.List(c.Context(), func(d *event.Delivery) bool {
		if d.Endpoint == endpoint {
			v.Deliveries = append(v.Deliveries, *d)
		}
		return len(v.Deliveries) < 20
	})
	return v, err
}

// setWebhook sets where the account's events go; the answer has the secret that
// signs them.
func (c *call) setWebhook(in webhookRequest) (WebhookView, error) {
	if c.api.AccountWebhooks == "off" {
		return WebhookView{}, invalid("accounts have no webhooks of their own here")
	}
	if err := notifier.CheckURL(in.URL, c.api.AccountWebhooks == "private"); err != nil {
		return WebhookView{}, invalid("url: %v", err)
	}
	w, err := c.m.Events.SetWebhook(c.Context(), c.who.account, in.URL)
	return viewOf(w), err
}

func viewOf(w event.Webhook) WebhookView {
	return WebhookView{URL: w.URL, Secret: w.Secret, CreatedAt: timeOf(w.CreatedAt), Deliveries: []event.Delivery{}}
}

func (c *call) removeWebhook() (WebhookView, error) {
	_, err := c.m.Events.SetWebhook(c.Context(), c.who.account, "")
	return WebhookView{Deliveries: []event.Delivery{}}, err
}
