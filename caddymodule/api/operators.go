package api

import (
	"fmt"
	"net/url"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
)

func (c *call) listOperatorKeys() (List[directory.Key], error) {
	keys, err := c.m.Directory.Operators.List()
	return List[directory.Key]{Data: append([]directory.Key{}, keys...)}, err
}

type operatorKeyRequest struct {
	Name      string    `json:"name,omitempty"`
	Scope     string    `json:"scope"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

func (c *call) createOperatorKey(in operatorKeyRequest) (NewKeyView, error) {
	secret, k, err := c.m.Directory.Operators.Create(c.Context(), in.Name, in.Scope, in.ExpiresAt)
	if err != nil {
		return NewKeyView{}, err
	}
	return NewKeyView{k, secret}, nil
}

func (c *call) revokeOperatorKey() (directory.Key, error) {
	return c.m.Directory.Operators.Revoke(c.Context(), c.PathValue("key"))
}

// PortalSession asks for a link that opens the portal once.
type PortalSession struct {
	Account   string           `json:"account"`
	Role      directory.Role   `json:"role"`               // default: the member's, or admin without a member
	Accounts  []directory.Seat `json:"accounts,omitempty"` // further ones of the same person
	Member    string           `json:"member,omitempty"`
	ReturnURL string           `json:"return_url,omitempty"`
	Portal    string           `json:"portal,omitempty"` // where it is: https://app.example.com/_meter; default: only the path is given
}

// PortalLink is the link.
type PortalLink struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (c *call) createPortalSession(in PortalSession) (PortalLink, error) {
	if in.ReturnURL != "" {
		if u, err := url.Parse(in.ReturnURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return PortalLink{}, fmt.Errorf("%w: return_url is %q; write the whole address, https://…", input.ErrInvalid, in.ReturnURL)
		}
	}
	if in.Role == "" {
		in.Role = roleOf(c.m, in.Account, in.Member)
	}
	s := directory.Session{Seats: append([]directory.Seat{{Account: in.Account, Role: in.Role}}, in.Accounts...), Member: in.Member, ReturnURL: in.ReturnURL}
	token, err := c.m.Directory.Sessions.CreateLink(c.Context(), s)
	if err != nil {
		return PortalLink{}, err
	}
	at := in.Portal
	if at == "" {
		at = "/_meter"
	}
	return PortalLink{URL: at + "/open/" + token, ExpiresAt: c.m.Now().Add(directory.LinkLasts).UTC()}, nil
}

// HoldView is an open hold.
type HoldView struct {
	Account   string    `json:"account"`
	Charge    string    `json:"charge"`
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	Model     string    `json:"model,omitempty"`
	Member    string    `json:"member,omitempty"`
	Held      string    `json:"held"`
	Observed  string    `json:"observed"` // cost of what has been delivered
}

// listHolds are the requests that are running, oldest first.
func (c *call) listHolds() (List[HoldView], error) {
	out := List[HoldView]{Data: []HoldView{}}
	err := c.m.Reports.Holds(c.Context(), func(h *ledger.Charge) {
		out.Data = append(out.Data, HoldView{
			Account: string(h.Account), Charge: string(h.ID), At: h.At.UTC(), Operation: h.Operation, Model: h.Model, Member: h.Member,
			Held: c.text(h.HeldTotal()), Observed: c.text(h.Observed),
		})
	})
	return out, err
}

type overlapRequest struct {
	Overlap string `json:"overlap,omitempty"`
}

// rotateKey makes a new key for the same member and name; the old one lives on
// for a while, so that programs can change over.
func (c *call) rotateKey(in overlapRequest) (NewKeyView, error) {
	overlap := 24 * time.Hour
	if in.Overlap != "" {
		var err error
		if overlap, err = time.ParseDuration(in.Overlap); err != nil || overlap < 0 {
			return NewKeyView{}, fmt.Errorf("%w: overlap is %q; write how long the old key lives on, such as 24h", input.ErrInvalid, in.Overlap)
		}
	}
	secret, k, err := c.m.Directory.Keys.Rotate(c.Context(), c.who.account, c.PathValue("key"), overlap)
	if err != nil {
		return NewKeyView{}, err
	}
	return NewKeyView{k, secret}, nil
}

// PeriodView is a billing period that has closed: what an invoice is reconciled
// with.
type PeriodView struct {
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"`
	Overage      string    `json:"overage"`
	OverageWorth string    `json:"overage_worth,omitempty"`
	Seq          uint64    `json:"seq"` // of the journal's entry
}

// listPeriods are the closed billing periods, newest first.
func (c *call) listPeriods() (List[PeriodView], error) {
	limit, err := number(c.URL.Query(), "limit", 1000)
	if err != nil {
		return List[PeriodView]{}, err
	}
	if limit == 0 {
		limit = 24
	}
	b, _ := c.m.Book()
	out := List[PeriodView]{Data: []PeriodView{}}
	if out.DetailsSince, err = c.since(); err != nil {
		return out, err
	}
	err = c.m.Reports.JournalBack(c.Context(), c.who.account, 0, func(e *ledger.Entry) bool {
		if p := e.Closed; p != nil {
			v := PeriodView{Start: p.Start.UTC(), End: p.End.UTC(), Overage: c.text(p.Overage), Seq: e.Seq}
			if worth, ok := b.Credit.Money(p.Overage); ok {
				v.OverageWorth = worth.String()
			}
			out.Data = append(out.Data, v)
		}
		return uint64(len(out.Data)) < limit
	})
	return out, err
}
