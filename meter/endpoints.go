package meter

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/notify"
	"github.com/farebox-dev/farebox/meter/store"
)

// firstEndpoints are those of Options, for what happens before Notify.
func (m *Meter) firstEndpoints(ctx context.Context) error {
	if m.opt.Endpoints == nil {
		return nil
	}
	m.notices.mu.Lock()
	defer m.notices.mu.Unlock()
	m.notices.opt.Endpoints = m.opt.Endpoints
	return m.loadEndpoints(ctx)
}

// loadEndpoints joins the operator's endpoints and the accounts' own, without
// those that are off. It needs notices.mu.
func (m *Meter) loadEndpoints(ctx context.Context) error {
	n := &m.notices
	n.own, n.off = map[string]notify.Endpoint{}, map[string]bool{}
	err := m.opt.Store.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Endpoint}, false, func(id store.ID, raw []byte) error {
			if id.Account == "" {
				n.off[id.Name] = true
				return nil
			}
			var w AccountWebhook
			if err := json.Unmarshal(raw, &w); err != nil {
				return fmt.Errorf("reading the webhook of account %s: %w", id.Account, err)
			}
			n.own[id.Account] = w.Endpoint(id.Account)
			return nil
		})
	})
	n.join()
	return err
}

// EndpointState is an endpoint, and whether it gets events.
type EndpointState struct {
	notify.Endpoint
	Off bool // it answered 410
}

// AllEndpoints are those that get events and those that are switched off, in
// order of name.
func (m *Meter) AllEndpoints() []EndpointState {
	n := &m.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []EndpointState
	for _, e := range slices.Concat(n.opt.Endpoints, slices.Collect(maps.Values(n.own))) {
		list = append(list, EndpointState{e, n.off[e.Name]})
	}
	slices.SortFunc(list, func(a, b EndpointState) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// TestEndpoint sends an event to one endpoint, whichever types it wants.
func (m *Meter) TestEndpoint(ctx context.Context, name string) (event string, err error) {
	for _, e := range m.Endpoints() {
		if e.Name != name {
			continue
		}
		now := m.opt.Now().UTC()
		x := eventOf(e.Account, notify.Test, "test-"+now.Format("20060102T150405.000000000"), map[string]any{"endpoint": name, "sent_at": now}, now)
		e.Only = nil
		return x.ID, m.postTo(ctx, []notify.Endpoint{e}, &x)
	}
	return "", input.Errorf("there is no endpoint %q that gets events; see farebox meter webhook list", name)
}

func (n *notices) join() {
	list := []notify.Endpoint{}
	for _, e := range n.opt.Endpoints {
		if !n.off[e.Name] {
			list = append(list, e)
		}
	}
	for _, e := range n.own {
		if !n.off[e.Name] {
			list = append(list, e)
		}
	}
	n.endpoints.Store(&list)
}

// turnOff stops an endpoint that said 410, for good: it is on again when its
// address changes, or when it is switched on by hand.
func (m *Meter) turnOff(ctx context.Context, name string) { _ = m.switchEndpoint(ctx, name, true) }

// SwitchOn lets an endpoint that said 410 have events again.
func (m *Meter) SwitchOn(ctx context.Context, name string) error {
	if !slices.ContainsFunc(m.AllEndpoints(), func(e EndpointState) bool { return e.Name == name }) {
		return input.Errorf("there is no endpoint %q; see farebox meter webhook list", name)
	}
	return m.switchEndpoint(ctx, name, false)
}

func (m *Meter) switchEndpoint(ctx context.Context, name string, off bool) error {
	id := store.ID{Kind: store.Endpoint, Name: name}
	err := m.bank.Update(ctx, func(tx store.Tx) error {
		if off {
			return tx.Put(id, []byte(m.opt.Now().UTC().Format(time.RFC3339)))
		}
		return tx.Delete(id)
	})
	n := &m.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.off == nil {
		n.off = map[string]bool{}
	}
	if n.off[name] = off; !off {
		delete(n.off, name)
	}
	n.join()
	return err
}

// AccountWebhook is where an account's own people want to be told.
type AccountWebhook struct {
	URL       string    `json:"url"`
	Secret    string    `json:"secret"`
	CreatedAt time.Time `json:"created_at"`
}

// Endpoint is the webhook as one of those that get events.
func (w *AccountWebhook) Endpoint(account string) notify.Endpoint {
	sum := sha256.Sum256([]byte(w.URL + "\x00" + w.Secret))
	return notify.Endpoint{Name: fmt.Sprintf("account-%s-%x", account, sum[:4]), Kind: "webhook", Address: w.URL, Account: account}
}

// SetWebhook sets the account's own webhook; "" removes it. The secret that
// signs is made here and returned.
func (m *Meter) SetWebhook(ctx context.Context, account, url string) (w AccountWebhook, err error) {
	if _, err := m.bank.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return w, err
	}
	w = AccountWebhook{URL: url, Secret: notify.NewSecret(), CreatedAt: m.opt.Now().UTC()}
	raw, err := json.Marshal(w)
	if err != nil {
		return w, err
	}
	id := store.ID{Kind: store.Endpoint, Account: account}
	err = m.bank.Update(ctx, func(tx store.Tx) error {
		if url == "" {
			return tx.Delete(id)
		}
		return tx.Put(id, raw)
	})
	if err != nil {
		return w, err
	}
	n := &m.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.own == nil { // nobody delivers yet
		return w, nil
	}
	if n.own[account] = w.Endpoint(account); url == "" {
		delete(n.own, account)
	}
	n.join()
	return w, nil
}

// OwnWebhook is the account's own webhook; ok is false if it has none.
func (m *Meter) OwnWebhook(ctx context.Context, account string) (w AccountWebhook, ok bool, err error) {
	err = m.bank.View(ctx, func(s store.Snapshot) error {
		raw, err := s.Get(store.ID{Kind: store.Endpoint, Account: account})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		ok = err == nil
		return errors.Join(err, json.Unmarshal(raw, &w))
	})
	return w, ok, err
}
