package caddymodule

import (
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// EntryView is a line of the journal.
type EntryView struct {
	Seq       uint64    `json:"seq"`
	At        time.Time `json:"at"`
	Kind      string    `json:"kind"`
	Charge    string    `json:"charge,omitempty"`
	Grant     string    `json:"grant,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Model     string    `json:"model,omitempty"`
	Member    string    `json:"member,omitempty"`
	Key       string    `json:"key,omitempty"`
	Amount    string    `json:"amount"` // what changed hands: held, charged, given back, granted, expired
	Usage     string    `json:"usage,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Plan      string    `json:"plan,omitempty"`
	Postings  []Posting `json:"postings"`
}

// Posting is one side of an entry.
type Posting struct {
	Book   string `json:"book"`
	Grant  string `json:"grant,omitempty"`
	Amount string `json:"amount"`
}

func (c *call) entryView(e *ledger.Entry) EntryView {
	v := EntryView{Seq: e.Seq, At: e.At.UTC(), Kind: e.Kind.String(), Charge: string(e.Charge), Reason: e.Reason, Postings: []Posting{}}
	if h := e.Opened; h != nil {
		v.Operation, v.Model, v.Member, v.Key = h.Operation, h.Model, h.Member, h.Key
	}
	if o := e.Outcome; o != nil {
		v.Usage = o.Usage
		if v.Reason == "" {
			v.Reason = o.Text
		}
		if o.Model != "" {
			v.Model = o.Model
		}
	}
	if e.Sub != nil {
		v.Plan = e.Sub.Plan
	}
	for _, g := range e.Grants {
		v.Grant = string(g.ID)
	}
	v.Amount = c.text(moved(e))
	for _, p := range e.Postings {
		v.Postings = append(v.Postings, Posting{Book: p.Book.String(), Grant: string(p.Grant), Amount: c.text(p.Amount)})
	}
	return v
}

// moved is the amount that an entry is about.
func moved(e *ledger.Entry) (sum money.Amount) {
	book := map[ledger.Kind]ledger.Book{
		ledger.KindHold: ledger.BookHeld, ledger.KindExtend: ledger.BookHeld, ledger.KindSettle: ledger.BookSpent,
		ledger.KindGrant: ledger.BookIssued, ledger.KindKept: ledger.BookExpired, ledger.KindExpire: ledger.BookExpired, ledger.KindVoid: ledger.BookRevoked,
	}[e.Kind]
	for _, p := range e.Postings {
		switch {
		case p.Book == book && book == ledger.BookIssued:
			sum -= p.Amount
		case p.Book == book:
			sum += p.Amount
		case book == 0 && p.Amount < 0: // a refund or release: what left held or spent
			sum -= p.Amount
		}
	}
	return sum
}

func (c *call) history() (any, error) {
	limit, err := c.number("limit", 10_000)
	if err != nil {
		return nil, err
	}
	after, err := c.number("after", 1<<62)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = 100
	}
	out := list[EntryView]{Data: []EntryView{}}
	latest := c.URL.Query().Get("after") == ""
	opened := map[ledger.ChargeID]*ledger.Charge{}
	err = c.m.Reports.Journal(c.Context(), c.id(), after, func(e *ledger.Entry) bool {
		if e.Kind == ledger.KindHold {
			opened[e.Charge] = e.Opened
		} else if e.Opened == nil {
			e.Opened = opened[e.Charge] // a settle shows what its hold was for
			if e.Kind != ledger.KindObserve {
				delete(opened, e.Charge)
			}
		}
		out.Data = append(out.Data, c.entryView(e))
		if !latest {
			return uint64(len(out.Data)) < limit
		}
		if uint64(len(out.Data)) >= 2*limit { // the newest are wanted: forget the oldest as they pass
			out.Data = slices.Delete(out.Data, 0, len(out.Data)-int(limit)) //nolint:gosec // at most 10,000
		}
		return true
	})
	if n := len(out.Data) - int(limit); n > 0 { //nolint:gosec // see above
		out.Data = out.Data[n:]
	}
	return out, err
}

// ChargeView is a charge as the operator's API shows it.
type ChargeView struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	State     string            `json:"state"`
	Operation string            `json:"operation,omitempty"`
	Model     string            `json:"model,omitempty"`
	Member    string            `json:"member,omitempty"`
	Key       string            `json:"key,omitempty"`
	Held      string            `json:"held"`
	Cost      string            `json:"cost"`
	Refunded  string            `json:"refunded"`
	Drawn     map[string]string `json:"drawn"`
	Usage     string            `json:"usage,omitempty"`
	Estimated bool              `json:"estimated,omitempty"`
	Outcome   string            `json:"outcome,omitempty"`
	Status    int               `json:"status,omitempty"`
	SettledAt *time.Time        `json:"settled_at,omitempty"`
	Book      string            `json:"book"`
}

func (c *call) chargeView(h *ledger.Charge) ChargeView {
	v := ChargeView{
		ID: string(h.ID), At: h.At, State: h.State.String(), Operation: h.Operation, Model: h.Model, Member: h.Member, Key: h.Key,
		Held: c.text(h.HeldTotal()), Cost: c.text(h.Cost), Refunded: c.text(h.Refunded), Drawn: map[string]string{},
		Usage: h.Usage, Estimated: h.Estimated, Outcome: h.Outcome, Status: h.Status, SettledAt: timeOf(h.SettledAt), Book: h.Book,
	}
	for typ, a := range h.Drawn() {
		v.Drawn[typ] = c.text(a)
	}
	return v
}
