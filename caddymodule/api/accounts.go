package api

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/erasure"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// AccountView is an account as the operator's API shows it. Amounts are decimal
// strings in credits.
type AccountView struct {
	ID        string     `json:"id"`
	Name      string     `json:"name,omitempty"`
	Suspended bool       `json:"suspended,omitempty"`
	Plan      string     `json:"plan,omitempty"`
	PlanName  string     `json:"plan_name,omitempty"`
	RenewsAt  *time.Time `json:"renews_at,omitempty"`
	Unit      string     `json:"unit"`
	FundsView
	Spent       string    `json:"spent"`
	Absorbed    string    `json:"absorbed"`
	ChangedAt   time.Time `json:"changed_at"` // of the last journal entry
	Holds       int       `json:"open_holds"`
	CreatedAt   time.Time `json:"created_at"`
	Subscribing string    `json:"at_renewal,omitempty"`
	directory.Profile
}

func (c *call) accountView(a *ledger.Account) AccountView {
	v := AccountView{
		FundsView: c.funds(a), ID: string(a.ID), Name: a.Name, Suspended: a.Suspended, Plan: a.Sub.Plan, RenewsAt: timeOf(a.Sub.End),
		Unit: c.unit(), Spent: c.text(a.SpentNet()), Absorbed: c.text(a.Absorbed), Holds: len(a.Holds), CreatedAt: a.CreatedAt, ChangedAt: a.Clock.UTC(),
	}
	if available, unlimited := a.Available(c.m.Now()); !unlimited {
		v.Worth = c.exactWorth(available)
	}
	v.Profile, _ = c.m.Directory.Profiles.Get(v.ID) // the account was read a moment ago
	if p := c.bookNow().Plan(a.Sub.Plan); p != nil {
		v.PlanName = p.Name
	}
	switch a.Sub.Then {
	case ledger.ThenChange:
		v.Subscribing = "changes to " + a.Sub.ThenPlan
	case ledger.ThenCancel:
		v.Subscribing = "ends"
	case ledger.ThenRenew:
	}
	return v
}

func (c *call) listAccounts() (List[AccountView], error) {
	out := List[AccountView]{Data: []AccountView{}}
	q := c.URL.Query()
	size, err := limit(q, 200, 1000)
	if err != nil {
		return out, err
	}
	f, err := filterOf(q)
	if err != nil {
		return out, err
	}
	if sort := q.Get("sort"); sort != "" && sort != "id" {
		page, next, err := c.m.Accounts.Sorted(c.Context(), f, sort, q.Get("cursor"), size)
		for _, a := range page {
			out.Data = append(out.Data, c.accountView(a))
		}
		out.NextCursor = next
		return out, err
	}
	err = c.m.Accounts.Select(c.Context(), q.Get("cursor"), f, func(a *ledger.Account) bool {
		if len(out.Data) == size {
			out.NextCursor = string(a.ID)
			return false
		}
		out.Data = append(out.Data, c.accountView(a))
		return true
	})
	return out, err
}

// filterOf are the accounts that the parameters select.
func filterOf(q url.Values) (f account.Filter, err error) {
	f = account.Filter{Text: q.Get("q"), Plan: q.Get("plan"), State: q.Get("state")}
	f.Labels, err = account.ParseLabels(q.Get("label"))
	return f, err
}

type accountRequest struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Plan string `json:"plan,omitempty"`
	profileRequest
}

// profileRequest is what is to be set in a profile.
type profileRequest struct {
	Labels        map[string]string `json:"labels,omitempty"`         // an empty value removes one
	MaxConcurrent *int              `json:"max_concurrent,omitempty"` // 0: as the plan says
}

func (p profileRequest) change() directory.ProfileChange {
	return directory.ProfileChange{Labels: p.Labels, MaxConcurrent: p.MaxConcurrent}
}

func (c *call) createAccount(in accountRequest) (AccountView, error) {
	o := account.Opening{ID: in.ID, Name: in.Name, Plan: in.Plan, Profile: in.change()}
	a, err := o.Open(c.Context(), c.m.Accounts)
	if err != nil {
		return AccountView{}, err
	}
	return c.accountView(a), nil
}

func (c *call) showAccount() (AccountView, error) {
	a, err := c.m.Accounts.Get(c.Context(), c.who.account)
	if err != nil {
		return AccountView{}, err
	}
	return c.accountView(a), nil
}

// after runs a command and shows the account then.
func (c *call) after(cmd ledger.Command) (AccountView, error) {
	if _, err := c.m.Accounts.Do(c.Context(), c.who.account, cmd); err != nil {
		return AccountView{}, err
	}
	return c.showAccount()
}

type patchRequest struct {
	Name      *string `json:"name,omitempty"`
	Suspended *bool   `json:"suspended,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	profileRequest
}

func (c *call) patchAccount(in patchRequest) (AccountView, error) {
	if in.Labels != nil || in.MaxConcurrent != nil {
		if _, err := c.m.Directory.Profiles.Set(c.Context(), c.who.account, in.change()); err != nil {
			return AccountView{}, err
		}
	}
	if in.Name == nil && in.Suspended == nil {
		return c.showAccount()
	}
	return c.after(ledger.SetAttributes{Name: in.Name, Suspended: in.Suspended, Reason: in.Reason})
}

func (c *call) closeAccount(in reasonRequest) (AccountView, error) {
	a, err := c.m.Accounts.Close(c.Context(), c.who.account, in.Reason)
	if err != nil {
		return AccountView{}, err
	}
	return c.accountView(a), nil
}

// EraseRequest erases an account.
type EraseRequest struct {
	By string `json:"by"` // who asked for it: it stays in the journal
}

func (c *call) eraseAccount(in EraseRequest) (AccountView, error) {
	if by := strings.TrimSpace(in.By); by == "" || len(by) > 128 {
		return AccountView{}, input.Errorf("by is %q: say in up to 128 characters who erases the account", in.By)
	}
	of := erasure.Of{Accounts: c.m.Accounts, Directory: c.m.Directory, Events: c.m.Events, Upkeep: c.m.Upkeep}
	if err := of.Account(c.Context(), c.who.account, strings.TrimSpace(in.By)); err != nil {
		return AccountView{}, err
	}
	return c.showAccount()
}

// eraseMember erases what names a member, but its id.
func (c *call) eraseMember() (directory.Member, error) {
	return c.m.Directory.Members.EraseOne(c.Context(), c.who.account, c.PathValue("member"))
}

// PlanRequest moves an account to a plan.
type PlanRequest struct {
	Plan string `json:"plan"`
	When string `json:"when,omitempty"` // now, renewal
	// RenewsAt is when the first billing period ends, if the payment system says so.
	RenewsAt time.Time `json:"renews_at,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

func (c *call) setPlan(in PlanRequest) (AccountView, error) {
	if err := when(in.When); err != nil {
		return AccountView{}, err
	}
	return c.after(ledger.SetPlan{Plan: in.Plan, AtRenewal: in.When == "renewal", RenewsAt: in.RenewsAt, Reason: in.Reason})
}

func when(w string) error {
	if w != "" && w != "now" && w != "renewal" {
		return fmt.Errorf("%w: when is %q; write now or renewal", input.ErrInvalid, w)
	}
	return nil
}

func (c *call) cancelPlan() (AccountView, error) {
	return c.after(ledger.Cancel{Now: c.URL.Query().Get("when") == "now", Reason: c.URL.Query().Get("reason")})
}

func (c *call) renew(in reasonRequest) (AccountView, error) {
	return c.after(ledger.Renew{Reason: in.Reason, Idempotency: c.key, Hash: fingerprint(struct{ Reason string }{in.Reason})})
}
