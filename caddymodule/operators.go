package caddymodule

import (
	"fmt"
	"net/url"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
)

func (c *call) listOperatorKeys() (any, error) {
	return list[directory.Key]{Data: append([]directory.Key{}, c.m.Directory.Operators.List()...)}, nil
}

// OperatorKeyView is a new operator's key with its secret, which nobody can
// read again.
type OperatorKeyView struct {
	directory.Key
	Secret string `json:"secret"`
}

func (c *call) createOperatorKey() (any, error) {
	var in struct {
		Name, Scope string
		ExpiresAt   time.Time `json:"expires_at"`
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	secret, k, err := c.m.Directory.Operators.Create(c.Context(), in.Name, in.Scope, in.ExpiresAt)
	if err != nil {
		return nil, err
	}
	return OperatorKeyView{k, secret}, nil
}

func (c *call) revokeOperatorKey() (any, error) {
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

func (c *call) createPortalSession() (any, error) {
	var in PortalSession
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.ReturnURL != "" {
		if u, err := url.Parse(in.ReturnURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("%w: return_url is %q; write the whole address, https://…", input.ErrInvalid, in.ReturnURL)
		}
	}
	if in.Role == "" {
		in.Role = c.roleOf(in.Account, in.Member)
	}
	s := directory.Session{Seats: append([]directory.Seat{{Account: in.Account, Role: in.Role}}, in.Accounts...), Member: in.Member, ReturnURL: in.ReturnURL}
	token, err := c.m.Directory.Sessions.CreateLink(c.Context(), s)
	if err != nil {
		return nil, err
	}
	at := in.Portal
	if at == "" {
		at = "/_meter"
	}
	return PortalLink{URL: at + "/open/" + token, ExpiresAt: c.m.Now().Add(directory.LinkLasts).UTC()}, nil
}

func (c *call) roleOf(account, member string) directory.Role {
	if member == "" {
		return directory.RoleAdmin
	}
	if x, err := c.m.Directory.Members.Get(account, member); err == nil {
		return x.Role
	}
	return directory.RoleMember
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
func (c *call) listHolds() (any, error) {
	out := list[HoldView]{Data: []HoldView{}}
	err := c.m.Reports.Holds(c.Context(), func(h *ledger.Charge) {
		out.Data = append(out.Data, HoldView{
			Account: string(h.Account), Charge: string(h.ID), At: h.At.UTC(), Operation: h.Operation, Model: h.Model, Member: h.Member,
			Held: c.text(h.HeldTotal()), Observed: c.text(h.Observed),
		})
	})
	return out, err
}

// rotateKey makes a new key for the same member and name; the old one lives on
// for a while, so that programs can change over.
func (c *call) rotateKey() (any, error) {
	var in struct{ Overlap string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	overlap := 24 * time.Hour
	if in.Overlap != "" {
		var err error
		if overlap, err = time.ParseDuration(in.Overlap); err != nil || overlap < 0 {
			return nil, fmt.Errorf("%w: overlap is %q; write how long the old key lives on, such as 24h", input.ErrInvalid, in.Overlap)
		}
	}
	secret, k, err := c.m.Directory.Keys.Rotate(c.Context(), c.id(), c.PathValue("key"), overlap)
	if err != nil {
		return nil, err
	}
	return OperatorKeyView{k, secret}, nil
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
func (c *call) listPeriods() (any, error) {
	limit, err := c.number("limit", 1000)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = 24
	}
	b, _ := c.m.Book()
	out := list[PeriodView]{Data: []PeriodView{}}
	err = c.m.Reports.JournalBack(c.Context(), c.id(), 0, func(e *ledger.Entry) bool {
		if p := e.Closed; p != nil {
			v := PeriodView{Start: p.Start.UTC(), End: p.End.UTC(), Overage: c.text(p.Overage), Seq: e.Seq}
			if worth, ok := b.Money(p.Overage); ok {
				v.OverageWorth = worth.String()
			}
			out.Data = append(out.Data, v)
		}
		return uint64(len(out.Data)) < limit
	})
	return out, err
}
