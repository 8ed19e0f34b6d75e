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
	latest, err := c.m.Events.Outbox.Latest(c.Context(), c.who.account, w.Endpoint(c.who.account).Name)
	v.Deliveries = append(v.Deliveries, latest...)
	return v, err
}

type webhookRequest struct {
	URL string `json:"url"`
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

// EndpointView is an endpoint and how it does.
type EndpointView struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Address string   `json:"address,omitempty"`
	Account string   `json:"account,omitempty"`
	Only    []string `json:"only,omitempty"`
	Off     bool     `json:"off,omitempty"` // it answered 410
}

func (c *call) listWebhooks() (List[EndpointView], error) {
	out := List[EndpointView]{Data: []EndpointView{}}
	for _, e := range c.m.Events.All() {
		out.Data = append(out.Data, EndpointView{Name: e.Name, Kind: e.Kind, Address: notifier.WithoutSecrets(e.Address), Account: e.Account, Only: e.Only, Off: e.Off})
	}
	return out, nil
}

func (c *call) listDeliveries() (List[event.Delivery], error) {
	limit, err := number(c.URL.Query(), "limit", 1000)
	if err != nil {
		return List[event.Delivery]{}, err
	}
	if limit == 0 {
		limit = 50
	}
	q := c.URL.Query()
	out := List[event.Delivery]{Data: []event.Delivery{}}
	err = c.m.Events.Outbox.List(c.Context(), func(d *event.Delivery) bool {
		if (!q.Has("state") || d.State == q.Get("state")) && (!q.Has("endpoint") || d.Endpoint == q.Get("endpoint")) {
			out.Data = append(out.Data, *d)
		}
		return uint64(len(out.Data)) < limit
	})
	return out, err
}

func (c *call) redeliver() (event.Delivery, error) {
	d, err := c.m.Events.Outbox.Redeliver(c.Context(), c.PathValue("delivery"))
	if err != nil {
		return event.Delivery{}, err
	}
	return *d, nil
}

func (c *call) testWebhook() (map[string]string, error) {
	event, err := c.m.Events.Test(c.Context(), c.PathValue("webhook"))
	if err != nil {
		return map[string]string{}, err
	}
	return map[string]string{"event": event}, nil
}

func (c *call) enableWebhook() (List[EndpointView], error) {
	if err := c.m.Events.SwitchOn(c.Context(), c.PathValue("webhook")); err != nil {
		return List[EndpointView]{}, err
	}
	return c.listWebhooks()
}
