package event

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// loadEndpoints joins the operator's endpoints and the accounts' own, without
// those that are off. It needs h.mu.
func (h *Hub) loadEndpoints(ctx context.Context) error {
	h.own, h.off = map[string]Endpoint{}, map[string]bool{}
	err := h.o.Store.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Endpoint}, false, func(id store.ID, raw []byte) error {
			if id.Account == "" {
				h.off[id.Name] = true
				return nil
			}
			var w Webhook
			if err := json.Unmarshal(raw, &w); err != nil {
				return fmt.Errorf("reading the webhook of account %s: %w", id.Account, err)
			}
			h.own[id.Account] = w.Endpoint(id.Account)
			return nil
		})
	})
	h.join()
	return err
}

// reloadEndpoints takes over what another gateway has changed. What can't be read stays
// as it was.
func (h *Hub) reloadEndpoints() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.own == nil { // nothing is delivered yet
		return
	}
	own, off := h.own, h.off
	if err := h.loadEndpoints(context.Background()); err != nil {
		h.own, h.off = own, off
		h.join()
		h.o.Problem(fmt.Errorf("reading the endpoints that another gateway has changed: %w", err))
	}
}

// EndpointState is an endpoint, and whether it gets events.
type EndpointState struct {
	Endpoint
	Off bool // it answered 410
}

// All are those that get events and those that are switched off, in
// order of name.
func (h *Hub) All() []EndpointState {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []EndpointState
	for _, e := range slices.Concat(h.opt.Endpoints, slices.Collect(maps.Values(h.own))) {
		list = append(list, EndpointState{e, h.off[e.Name]})
	}
	slices.SortFunc(list, func(a, b EndpointState) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Test sends an event to one endpoint, whichever types it wants.
func (h *Hub) Test(ctx context.Context, name string) (event string, err error) {
	e, ok := h.endpoints.named(name)
	if !ok {
		return "", input.Errorf("there is no endpoint %q that gets events; see farebox meter webhook list", name)
	}
	now := h.o.Now().UTC()
	x := eventOf(e.Account, Test, "test-"+now.Format("20060102T150405.000000000"), map[string]any{"endpoint": name, "sent_at": now}, now)
	e.Only = nil
	return x.ID, h.postTo(ctx, []Endpoint{e}, &x)
}

// join makes the live endpoints what they should be.
func (h *Hub) join() {
	list := []Endpoint{}
	for _, e := range slices.Concat(h.opt.Endpoints, slices.Collect(maps.Values(h.own))) {
		if !h.off[e.Name] {
			list = append(list, e)
		}
	}
	h.endpoints.set(list)
}

// live is the endpoints that get events. There may be as many as accounts, and
// every commit asks for those of its accounts, so it finds them without a search.
type live struct {
	mu        sync.RWMutex
	operators []Endpoint // it is replaced, never changed
	byAccount map[string]Endpoint
	byName    map[string]Endpoint
}

func (l *live) set(list []Endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.operators, l.byAccount, l.byName = nil, map[string]Endpoint{}, map[string]Endpoint{}
	for _, e := range list {
		l.add(e)
	}
}

func (l *live) add(e Endpoint) {
	l.byName[e.Name] = e
	if e.Account == "" {
		l.operators = append(l.operators, e)
	} else {
		l.byAccount[e.Account] = e
	}
}

// replace makes an account's own endpoint e, or none if on is false.
func (l *live) replace(e Endpoint, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byName, l.byAccount[e.Account].Name)
	delete(l.byAccount, e.Account)
	if on {
		l.add(e)
	}
}

// of are the endpoints that can get events of an account: the operator's, and its
// own. They must not be changed.
func (l *live) of(account string) []Endpoint {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if e, ok := l.byAccount[account]; ok {
		return append(l.operators[:len(l.operators):len(l.operators)], e)
	}
	return l.operators
}

func (l *live) named(name string) (Endpoint, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e, ok := l.byName[name]
	return e, ok
}

// turnOff stops an endpoint that said 410, for good: it is on again when its
// address changes, or when it is switched on by hand.
func (h *Hub) turnOff(ctx context.Context, name string) { _ = h.switchEndpoint(ctx, name, true) }

// SwitchOn lets an endpoint that said 410 have events again.
func (h *Hub) SwitchOn(ctx context.Context, name string) error {
	if !slices.ContainsFunc(h.All(), func(e EndpointState) bool { return e.Name == name }) {
		return input.Errorf("there is no endpoint %q; see farebox meter webhook list", name)
	}
	return h.switchEndpoint(ctx, name, false)
}

func (h *Hub) switchEndpoint(ctx context.Context, name string, off bool) error {
	id := store.ID{Kind: store.Endpoint, Name: name}
	err := h.writer.Update(ctx, func(tx store.Tx) error {
		if off {
			return tx.Put(id, []byte(h.o.Now().UTC().Format(time.RFC3339)))
		}
		return tx.Delete(id)
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.off == nil {
		h.off = map[string]bool{}
	}
	if h.off[name] = off; !off {
		delete(h.off, name)
	}
	h.join()
	return err
}

// Webhook is the endpoint that an account's admins have set.
type Webhook struct {
	URL       string    `json:"url"`
	Secret    string    `json:"secret"`
	CreatedAt time.Time `json:"created_at"`
}

// Endpoint is the webhook as one of those that get events.
func (w *Webhook) Endpoint(account string) Endpoint {
	sum := sha256.Sum256([]byte(w.URL + "\x00" + w.Secret))
	return Endpoint{Name: fmt.Sprintf("account-%s-%x", account, sum[:4]), Kind: "webhook", Address: w.URL, Account: account}
}

// SetWebhook sets the account's own webhook; "" removes it. The secret that
// signs is made here and returned.
func (h *Hub) SetWebhook(ctx context.Context, account, url string) (w Webhook, err error) {
	if _, err := h.writer.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return w, err
	}
	w = Webhook{URL: url, Secret: NewSecret(), CreatedAt: h.o.Now().UTC()}
	raw, err := json.Marshal(w)
	if err != nil {
		return w, err
	}
	id := store.ID{Kind: store.Endpoint, Account: account}
	err = h.writer.Update(ctx, func(tx store.Tx) error {
		if url == "" {
			return tx.Delete(id)
		}
		return tx.Put(id, raw)
	})
	if err != nil {
		return w, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.own == nil { // the dispatcher has not started yet
		return w, nil
	}
	if h.own[account] = w.Endpoint(account); url == "" {
		delete(h.own, account)
	}
	e := w.Endpoint(account)
	h.endpoints.replace(e, url != "" && !h.off[e.Name])
	return w, nil
}

// Webhook is the account's own webhook; ok is false if it has none.
func (h *Hub) Webhook(ctx context.Context, account string) (w Webhook, ok bool, err error) {
	err = h.writer.View(ctx, func(s store.Snapshot) error {
		raw, err := s.Get(store.ID{Kind: store.Endpoint, Account: account})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		ok = err == nil
		return errors.Join(err, json.Unmarshal(raw, &w))
	})
	return w, ok, err
}
