package api

import (
	"github.com/farebox-dev/farebox/caddymodule/notifier"
	"github.com/farebox-dev/farebox/meter/event"
)

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
