package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// reloader puts the price file in force as it is on disk.
type reloader func(ctx context.Context, force bool) error

// AccountView is an account as the operator's API shows it. Amounts are decimal
// strings in credits.
type AccountView struct {
	ID          string      `json:"id"`
	Name        string      `json:"name,omitempty"`
	Suspended   bool        `json:"suspended,omitempty"`
	Plan        string      `json:"plan,omitempty"`
	PlanName    string      `json:"plan_name,omitempty"`
	RenewsAt    *time.Time  `json:"renews_at,omitempty"`
	Unit        string      `json:"unit"`
	Available   string      `json:"available"`
	Worth       string      `json:"worth,omitempty"`
	Unlimited   bool        `json:"unlimited,omitempty"`
	Held        string      `json:"held"`
	Spent       string      `json:"spent"`
	Overage     string      `json:"overage"`
	Debt        string      `json:"debt"`
	Absorbed    string      `json:"absorbed"`
	Grants      []GrantView `json:"grants"`
	Holds       int         `json:"open_holds"`
	CreatedAt   time.Time   `json:"created_at"`
	Subscribing string      `json:"at_renewal,omitempty"`
}

// GrantView is a grant of an account.
type GrantView struct {
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Name      string     `json:"name,omitempty"`
	Amount    string     `json:"amount"`
	Used      string     `json:"used"`
	Held      string     `json:"held"`
	Remaining string     `json:"remaining"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func (o *operator) text(a money.Amount) string {
	b, _ := o.m.Book()
	return a.Text(b.Credit.Decimals)
}

func (o *operator) view(a *ledger.Account) AccountView {
	b, _ := o.m.Book()
	now := o.m.Now()
	available, unlimited := a.Available(now)
	v := AccountView{
		ID: string(a.ID), Name: a.Name, Suspended: a.Suspended, Plan: a.Sub.Plan, RenewsAt: timeOf(a.Sub.End), Unit: b.Credit.Plural,
		Available: o.text(available), Unlimited: unlimited, Held: o.text(a.HeldTotal()), Spent: o.text(a.SpentNet()),
		Overage: o.text(a.OveragePeriod + a.OverageHeld), Debt: o.text(a.Debt), Absorbed: o.text(a.Absorbed),
		Grants: []GrantView{}, Holds: len(a.Holds), CreatedAt: a.CreatedAt,
	}
	if worth, ok := b.Money(available); ok && !unlimited {
		v.Worth = worth.String()
	}
	if p := b.Plan(a.Sub.Plan); p != nil {
		v.PlanName = p.Name
	}
	switch a.Sub.Then {
	case ledger.ThenChange:
		v.Subscribing = "changes to " + a.Sub.ThenPlan
	case ledger.ThenCancel:
		v.Subscribing = "ends"
	case ledger.ThenRenew:
	}
	for _, g := range a.Grants {
		if g.Live(now) {
			v.Grants = append(v.Grants, o.grantView(g))
		}
	}
	return v
}

func (o *operator) grantView(g *ledger.Grant) GrantView {
	v := GrantView{
		ID: string(g.ID), Type: g.Type, Name: g.Name, Amount: o.text(g.Amount), Used: o.text(g.Used()), Held: o.text(g.Held),
		Remaining: o.text(g.Available), ExpiresAt: timeOf(g.ExpiresAt),
	}
	if g.Unlimited {
		v.Amount, v.Remaining = "unlimited", "unlimited"
	}
	return v
}

type list[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty"`
}

func (c *call) listAccounts() (any, error) {
	const most = 200
	out := list[AccountView]{Data: []AccountView{}}
	from, wanted := c.URL.Query().Get("cursor"), strings.ToLower(c.URL.Query().Get("q"))
	err := c.m.Accounts.Each(c.Context(), from, func(a *ledger.Account) bool {
		if !strings.Contains(strings.ToLower(string(a.ID)+"\n"+a.Name+"\n"+a.Sub.Plan), wanted) {
			return true
		}
		if len(out.Data) == most {
			out.NextCursor = string(a.ID)
			return false
		}
		out.Data = append(out.Data, c.view(a))
		return true
	})
	return out, err
}

func (c *call) createAccount() (any, error) {
	var in struct{ ID, Name, Plan string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	a, err := c.m.Accounts.Create(c.Context(), in.ID, in.Name, in.Plan)
	if err != nil {
		return nil, err
	}
	return c.view(a), nil
}

func (c *call) showAccount() (any, error) {
	a, err := c.m.Accounts.Get(c.Context(), c.id())
	if err != nil {
		return nil, err
	}
	return c.view(a), nil
}

// after runs a command and shows the account then.
func (c *call) after(cmd ledger.Command) (any, error) {
	if _, err := c.m.Accounts.Do(c.Context(), c.id(), cmd); err != nil {
		return nil, err
	}
	return c.showAccount()
}

func (c *call) patchAccount() (any, error) {
	var in struct {
		Name      *string
		Suspended *bool
		Reason    string
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return c.after(ledger.SetAttributes{Name: in.Name, Suspended: in.Suspended, Reason: in.Reason})
}

func (c *call) closeAccount() (any, error) {
	var in reasonIn
	if err := c.body(&in); err != nil {
		return nil, err
	}
	a, err := c.m.Accounts.Close(c.Context(), c.id(), in.Reason)
	if err != nil {
		return nil, err
	}
	return c.view(a), nil
}

func (c *call) setPlan() (any, error) {
	var in planIn
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if err := when(in.When); err != nil {
		return nil, err
	}
	return c.after(ledger.SetPlan{Plan: in.Plan, AtRenewal: in.When == "renewal", RenewsAt: in.RenewsAt, Reason: in.Reason})
}

func when(w string) error {
	if w != "" && w != "now" && w != "renewal" {
		return fmt.Errorf("%w: when is %q; write now or renewal", input.ErrInvalid, w)
	}
	return nil
}

func (c *call) cancelPlan() (any, error) {
	q := c.URL.Query().Get("when")
	if err := when(q); err != nil {
		return nil, err
	}
	return c.after(ledger.Cancel{Now: q == "now", Reason: c.URL.Query().Get("reason")})
}

func (c *call) renew() (any, error) {
	var in struct{ Reason string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	key, err := c.idempotency()
	if err != nil {
		return nil, err
	}
	return c.after(ledger.Renew{Reason: in.Reason, Idempotency: key, Hash: fingerprint(in)})
}

func (c *call) listKeys() (any, error) {
	if _, err := c.m.Accounts.Get(c.Context(), c.id()); err != nil {
		return nil, err
	}
	return list[directory.Key]{Data: append([]directory.Key{}, c.m.Directory.Keys.List(c.id())...)}, nil
}

func (c *call) createKey() (any, error) {
	var in struct {
		Member, Name string
		ExpiresAt    time.Time `json:"expires_at"`
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	secret, k, err := c.m.Directory.Keys.Create(c.Context(), directory.Key{Account: c.id(), Member: in.Member, Name: in.Name, ExpiresAt: in.ExpiresAt})
	if err != nil {
		return nil, err
	}
	return struct {
		directory.Key
		Secret string `json:"secret"`
	}{k, secret}, nil
}

func (c *call) revokeKey() (any, error) {
	return c.m.Directory.Keys.Revoke(c.Context(), c.id(), c.PathValue("key"))
}

func (c *call) showCharge() (any, error) {
	ch, err := c.m.Reports.Charge(c.Context(), c.id(), c.PathValue("charge"))
	if err != nil {
		return nil, err
	}
	return c.chargeView(ch), nil
}

func (c *call) health() (any, error) {
	b, since := c.m.Book()
	clock := "ok"
	if err := c.m.ClockProblem(); err != nil {
		clock = err.Error()
	}
	return map[string]any{"ok": clock == "ok", "clock": clock, "prices": map[string]any{"digest": b.Digest, "since": since.UTC()}, "now": c.m.Now().UTC()}, nil
}

// confirmClock accepts the system's clock after a jump; until then nothing
// expires or renews by it.
func (c *call) confirmClock() (any, error) {
	c.m.ConfirmClock()
	return c.health()
}

func (c *call) reloadPrices() (any, error) {
	if c.reload == nil {
		return nil, fmt.Errorf("%w: no server is running, so there are no prices to reload", input.ErrInvalid)
	}
	var in struct{ Force bool }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if err := c.reload(c.Context(), in.Force); err != nil {
		return nil, errors.Join(api.ErrPrices, err)
	}
	b, _ := c.m.Book()
	return map[string]string{"digest": b.Digest}, nil
}
