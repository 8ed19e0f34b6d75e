package event

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/store"
)

// States of a delivery.
const (
	Pending   = "pending"
	Delivered = "delivered"
	Failed    = "failed" // given up
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID        string    `json:"id"` // for redelivery
	Event     string    `json:"event"`
	Type      string    `json:"type"`
	Account   string    `json:"account,omitempty"`
	Endpoint  string    `json:"endpoint"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at,omitzero"`
	DoneAt    time.Time `json:"done_at,omitzero"`
	Status    int       `json:"status,omitempty"` // HTTP, of the last attempt
	Error     string    `json:"error,omitempty"`  // of the last attempt
	Body      []byte    `json:"body"`             // of the event
}

// event is what a delivery carries, read back.
func (d *Delivery) event() (*Event, error) {
	e := &Event{}
	if err := json.Unmarshal(d.Body, e); err != nil {
		return nil, fmt.Errorf("reading event %s: %w", d.Event, err)
	}
	e.ID, e.Account = d.Event, d.Account
	return e, nil
}

// name sorts deliveries by time.
func name(at time.Time, event, endpoint string) string {
	return store.Sequence(uint64(max(0, at.UnixNano()))) + store.Tuple(event, endpoint) //nolint:gosec // not negative
}

// Backlog is what waits for delivery.
type Backlog struct {
	Deliveries int
	Oldest     time.Time // when the first of them was posted
}

// Backlog is what the last look at the outbox found.
func (d *Dispatcher) Backlog() Backlog {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.behind
}

// postedAt is the time in a name.
func postedAt(name string) time.Time {
	ns, _, _ := store.ParseSequence(name)
	return time.Unix(0, int64(ns)).UTC() //nolint:gosec // name wrote it
}

// mostLatest is how many deliveries to its own webhook an account can look at. They are listed with the account, so that
// a look at them costs the same however many deliveries there are.
const mostLatest = 20

// postAll puts events into the outbox, for each endpoint that wants them. It returns the ids of those to the account's own webhook.
func postAll(tx store.Tx, events []Event, endpoints []Endpoint, now time.Time) (own []string, err error) {
	for i := range events {
		e := &events[i]
		body := e.Body()
		for j := range endpoints {
			if !endpoints[j].Wants(e) {
				continue
			}
			d := Delivery{Event: e.ID, Type: e.Type, Account: e.Account, Endpoint: endpoints[j].Name, State: Pending, CreatedAt: now, NextAt: now, Body: body}
			at := name(e.Timestamp, e.ID, d.Endpoint)
			if err := put(tx, store.Outbox, at, &d); err != nil {
				return own, err
			}
			if endpoints[j].Account != "" {
				own = append(own, idOf(at))
			}
		}
	}
	return own, nil
}

// postFor is postAll with the notice of the events' account, which is written if it has changed.
func postFor(tx store.Tx, account string, n *Notice, changed bool, events []Event, endpoints []Endpoint, now time.Time) error {
	own, err := postAll(tx, events, endpoints, now)
	if err != nil {
		return err
	}
	if n.Latest = append(n.Latest, own...); len(n.Latest) > mostLatest {
		n.Latest = n.Latest[len(n.Latest)-mostLatest:]
	}
	if !changed && len(own) == 0 {
		return nil
	}
	return putNotice(tx, account, n)
}

func put(tx store.Tx, kind store.Kind, name string, d *Delivery) error {
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return tx.Put(store.ID{Kind: kind, Name: name}, raw)
}

// read decodes a delivery; its id is the name of its record.
func read(id store.ID, raw []byte) (*Delivery, error) {
	d := &Delivery{}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("reading delivery %x: %w", id.Name, err)
	}
	d.ID = idOf(id.Name)
	return d, nil
}

func idOf(name string) string { return fmt.Sprintf("dlv_%x", name) }

// waiting is where a delivery goes, and when it is due. It reads no more of the
// record than that: an outbox can be long.
func waiting(raw []byte) (endpoint string, due time.Time) {
	at, err := time.Parse(time.RFC3339Nano, gjson.GetBytes(raw, "next_at").Str)
	if err != nil {
		at = time.Time{} // now
	}
	return gjson.GetBytes(raw, "endpoint").Str, at
}

// parseID is the record's name of a delivery's id.
func parseID(id string) (string, bool) {
	text, ok := strings.CutPrefix(id, "dlv_")
	name, err := hex.DecodeString(text)
	return string(name), ok && err == nil && len(name) > 8
}

// Notice is what the rules remember of an account between commits.
type Notice struct {
	ExhaustedAt time.Time            `json:"exhausted_at,omitzero"` // last sent
	Exhausted   bool                 `json:"exhausted,omitempty"`   // sent, and not recovered since
	Overage     time.Time            `json:"overage,omitzero"`      // start of the period in which overage.started was sent
	Expiring    map[string]time.Time `json:"expiring,omitempty"`    // grant → when its expiry was announced
	RunsOut     time.Time            `json:"runs_out,omitzero"`     // start of the period in which it was sent
	AbsorbedAt  time.Time            `json:"absorbed_at,omitzero"`  // last sent
	Latest      []string             `json:"latest,omitempty"`      // ids of the last deliveries to the account's own webhook
}

// notice reads what the rules remember of an account.
func notice(tx store.Snapshot, account string) (*Notice, error) {
	n := &Notice{}
	raw, err := tx.Get(store.ID{Kind: store.Notice, Account: account})
	if errors.Is(err, store.ErrNotFound) {
		return n, nil
	}
	if err != nil {
		return nil, err
	}
	return n, json.Unmarshal(raw, n)
}

func putNotice(tx store.Tx, account string, n *Notice) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return tx.Put(store.ID{Kind: store.Notice, Account: account}, raw)
}

// Erase deletes the webhook of an account, what was and is to be delivered about it,
// and what it was notified of.
func (h *Hub) Erase(ctx context.Context, account string) error {
	if _, err := h.SetWebhook(ctx, account, ""); err != nil {
		return err
	}
	return h.writer.Update(ctx, func(tx store.Tx) error {
		gone := []store.ID{{Kind: store.Notice, Account: account}}
		for _, kind := range []store.Kind{store.Outbox, store.Delivery} {
			err := tx.Scan(store.ID{Kind: kind}, false, func(id store.ID, raw []byte) error {
				if gjson.GetBytes(raw, "account").Str == account {
					gone = append(gone, id)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		var err error
		for _, id := range gone {
			err = errors.Join(err, tx.Delete(id))
		}
		return err
	})
}

// record is what runs in the commit of a command: it works out what there is to
// tell and puts it into the outbox.
func record(tx store.Tx, d *Done, w *Words, endpoints []Endpoint) (told bool, err error) {
	if len(endpoints) == 0 || !Interesting(d, w) {
		return false, nil
	}
	n, err := notice(tx, string(d.Account.ID))
	if err != nil {
		return false, err
	}
	events, changed := Events(d, w, n)
	return len(events) > 0, postFor(tx, string(d.Account.ID), n, changed, events, endpoints, d.Now)
}

// post puts events that come from no command into the outbox; change, if not
// nil, is asked for them with the account's notice.
func post(tx store.Tx, account string, endpoints []Endpoint, now time.Time, change func(*Notice) ([]Event, bool)) (told bool, err error) {
	n, err := notice(tx, account)
	if err != nil {
		return false, err
	}
	events, changed := change(n)
	return len(events) > 0, postFor(tx, account, n, changed, events, endpoints, now)
}
