package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/apierr"
	"github.com/farebox-dev/farebox/meter"
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
	err := c.m.Accounts(c.Context(), from, func(a *ledger.Account) bool {
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
	a, err := c.m.CreateAccount(c.Context(), in.ID, in.Name, in.Plan)
	if err != nil {
		return nil, err
	}
	return c.view(a), nil
}

func (c *call) showAccount() (any, error) {
	a, err := c.m.Account(c.Context(), c.id())
	if err != nil {
		return nil, err
	}
	return c.view(a), nil
}

// after runs a command and shows the account then.
func (c *call) after(cmd ledger.Command) (any, error) {
	if _, err := c.m.Do(c.Context(), c.id(), cmd); err != nil {
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
		return fmt.Errorf("%w: when is %q; write now or renewal", meter.ErrInput, w)
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

// GrantResult is the answer to a grant.
type GrantResult struct {
	Grant     GrantView `json:"grant"`
	Granted   string    `json:"granted"`
	Available string    `json:"available"`
	Unit      string    `json:"unit"`
	Replayed  bool      `json:"replayed,omitempty"`
}

func (g GrantResult) header(h http.Header) {
	if g.Replayed {
		h.Set("Idempotency-Replayed", "true")
	}
}

func (c *call) grant() (any, error) {
	key, err := c.idempotency()
	if err != nil {
		return nil, err
	}
	var in meter.GrantRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	in.Idempotency = key
	r, err := c.m.Grant(c.Context(), c.id(), in)
	if err != nil {
		return nil, err
	}
	out := GrantResult{Granted: c.text(r.Amount), Available: c.text(r.Available), Unit: c.unit(), Replayed: r.Replayed}
	if r.Grant != nil {
		out.Grant = c.grantView(r.Grant)
	} else if r.Remember != nil {
		out.Grant.ID = string(r.Remember.Grant)
	}
	return out, nil
}

func (c *call) void() (any, error) {
	var in struct{ Reason string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Reason == "" {
		return nil, fmt.Errorf("%w: say why; a reason is kept in the ledger", meter.ErrInput)
	}
	grant := c.PathValue("grant")
	account, err := c.owner(grant)
	if err != nil {
		return nil, err
	}
	r, err := c.m.Do(c.Context(), account, ledger.Void{Grant: ledger.GrantID(grant), Reason: in.Reason})
	if err != nil {
		return nil, err
	}
	return MovedView{Account: account, ID: grant, Amount: c.text(r.Amount), Available: c.text(r.Available), Unit: c.unit()}, nil
}

// MovedView is what a refund or a void has moved.
type MovedView struct {
	Account   string `json:"account"`
	ID        string `json:"id"` // of the charge or grant
	Amount    string `json:"amount"`
	Available string `json:"available"`
	Unit      string `json:"unit"`
}

func (o *operator) unit() string {
	b, _ := o.m.Book()
	return b.Credit.Plural
}

func (c *call) refund() (any, error) {
	var in struct{ Amount, Reason string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Reason == "" {
		return nil, fmt.Errorf("%w: say why; a reason is kept in the ledger", meter.ErrInput)
	}
	key, err := c.idempotency()
	if err != nil {
		return nil, err
	}
	cmd := ledger.Refund{Charge: ledger.ChargeID(c.PathValue("charge")), Reason: in.Reason, Idempotency: key, Hash: fingerprint(in, c.PathValue("charge"))}
	if in.Amount != "" {
		b, _ := c.m.Book()
		a, err := money.ParseAmount(in.Amount, b.Credit.Decimals)
		if err != nil || a == 0 {
			return nil, fmt.Errorf("%w: amount %q: write how much comes back, or leave it out for all of it", meter.ErrInput, in.Amount)
		}
		cmd.Amount = a
	}
	account, err := c.owner(string(cmd.Charge))
	if err != nil {
		return nil, err
	}
	r, err := c.m.Do(c.Context(), account, cmd)
	if err != nil {
		return nil, err
	}
	return MovedView{Account: account, ID: string(cmd.Charge), Amount: c.text(r.Amount), Available: c.text(r.Available), Unit: c.unit()}, nil
}

// fingerprint tells two requests under one idempotency key apart.
func fingerprint(parts ...any) [32]byte {
	b, err := json.Marshal(parts)
	if err != nil {
		return [32]byte{} // strings always marshal
	}
	return sha256.Sum256(b)
}

func (c *call) listKeys() (any, error) {
	if _, err := c.m.Account(c.Context(), c.id()); err != nil {
		return nil, err
	}
	return list[meter.Key]{Data: append([]meter.Key{}, c.m.Keys(c.id())...)}, nil
}

func (c *call) createKey() (any, error) {
	var in struct {
		Member, Name string
		ExpiresAt    time.Time `json:"expires_at"`
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	secret, k, err := c.m.CreateKey(c.Context(), meter.Key{Account: c.id(), Member: in.Member, Name: in.Name, ExpiresAt: in.ExpiresAt})
	if err != nil {
		return nil, err
	}
	return struct {
		meter.Key
		Secret string `json:"secret"`
	}{k, secret}, nil
}

func (c *call) revokeKey() (any, error) {
	return c.m.RevokeKey(c.Context(), c.id(), c.PathValue("key"))
}

func (c *call) showCharge() (any, error) {
	ch, err := c.m.Charge(c.Context(), c.id(), c.PathValue("charge"))
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
	return map[string]any{"ok": clock == "ok", "clock": clock, "prices": map[string]any{"digest": b.Digest(), "since": since.UTC()}, "now": c.m.Now().UTC()}, nil
}

// confirmClock accepts the system's clock after a jump; until then nothing
// expires or renews by it.
func (c *call) confirmClock() (any, error) {
	c.m.ConfirmClock()
	return c.health()
}

func (c *call) verify() (any, error) {
	r, err := c.m.Verify(c.Context())
	if err != nil {
		return nil, err
	}
	return VerifyView{
		OK: r.Clean(), Accounts: r.Accounts, Grants: r.Grants, Entries: r.Entries, Charges: r.Charges, Holds: r.Holds,
		Problems: append([]string{}, r.Problems...),
	}, nil
}

// VerifyView is what a verification found.
type VerifyView struct {
	OK       bool     `json:"ok"`
	Accounts int      `json:"accounts"`
	Grants   int      `json:"grants"`
	Entries  int      `json:"entries"`
	Charges  int      `json:"charges"`
	Holds    int      `json:"open_holds"`
	Problems []string `json:"problems"`
}

func (c *call) reloadPrices() (any, error) {
	if c.reload == nil {
		return nil, fmt.Errorf("%w: no server is running, so there are no prices to reload", meter.ErrInput)
	}
	var in struct{ Force bool }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if err := c.reload(c.Context(), in.Force); err != nil {
		return nil, errors.Join(apierr.ErrPrices, err)
	}
	b, _ := c.m.Book()
	return map[string]string{"digest": b.Digest()}, nil
}
