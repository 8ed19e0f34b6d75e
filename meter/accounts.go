package meter

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
	"github.com/farebox-dev/farebox/meter/ulid"
)

// CreateAccount opens an account on a plan; "" is the default plan.
func (m *Meter) CreateAccount(ctx context.Context, id, name, plan string) (*ledger.Account, error) {
	if err := directory.ValidID(id); err != nil {
		return nil, err
	}
	if plan != "" && m.Books.InForce().Plan(plan) == nil {
		return nil, fmt.Errorf("%w: %q; the price file has %s", ledger.ErrNoPlan, plan, m.planNames())
	}
	if _, err := m.writer.Do(ctx, ledger.AccountID(id), ledger.Open{ID: ledger.AccountID(id), Name: name, Plan: plan}); err != nil {
		return nil, err
	}
	return m.Account(ctx, id)
}

// CloseAccount ends an account: its requests are refused, its plan ends now and
// its keys are revoked. Open requests run to their end; credits and journal
// stay, so that what was paid can still be given back. Cut short, it can be
// asked for again; resumed, the account needs new keys.
func (m *Meter) CloseAccount(ctx context.Context, id, reason string) (*ledger.Account, error) {
	suspended := true
	if _, err := m.writer.Do(ctx, ledger.AccountID(id), ledger.SetAttributes{Suspended: &suspended, Reason: reason}); err != nil {
		return nil, err
	}
	for _, k := range m.Directory.Keys.List(id) {
		if _, err := m.Directory.Keys.Revoke(ctx, id, k.ID); err != nil {
			return nil, err
		}
	}
	if _, err := m.writer.Do(ctx, ledger.AccountID(id), ledger.Cancel{Now: true, Reason: reason}); err != nil && !errors.Is(err, ledger.ErrNothingToRenew) {
		return nil, err
	}
	return m.Account(ctx, id)
}

func (m *Meter) planNames() string {
	names := ""
	for i, p := range m.Books.InForce().Plans {
		if i > 0 {
			names += ", "
		}
		names += p.ID
	}
	if names == "" {
		return "no plans"
	}
	return names
}

// Account is a copy of an account's state, up to now.
func (m *Meter) Account(ctx context.Context, id string) (*ledger.Account, error) {
	return m.writer.Account(ctx, ledger.AccountID(id))
}

// Accounts calls fn for every account in order of id, beginning at from, until
// it returns false. What is due by the clock may not be booked in them yet.
func (m *Meter) Accounts(ctx context.Context, from string, fn func(*ledger.Account) bool) error {
	return m.writer.Accounts(ctx, from, fn)
}

// Do runs any other command on an account and waits until it is durable.
func (m *Meter) Do(ctx context.Context, id string, c ledger.Command) (ledger.Result, error) {
	return m.writer.Do(ctx, ledger.AccountID(id), c)
}

// GrantRequest is what an operator grants: a pack, or type and amount.
type GrantRequest struct {
	Pack      string            `json:"pack,omitempty"`
	Price     string            `json:"price,omitempty"` // of a pack with credits: by_price, "25 USD"
	Type      string            `json:"type,omitempty"`
	Amount    string            `json:"amount,omitempty"`
	Expires   string            `json:"expires,omitempty"` // "90 days"
	ExpiresAt time.Time         `json:"expires_at,omitzero"`
	OnlyFor   selector.Selector `json:"only_for,omitzero"`
	NotFor    selector.Selector `json:"not_for,omitzero"`
	Reason    string            `json:"reason,omitempty"`
	// Idempotency is the payment's id: the same one grants once.
	Idempotency string `json:"-"`
}

// Grant grants credits to an account.
func (m *Meter) Grant(ctx context.Context, account string, r GrantRequest) (ledger.Result, error) {
	give, err := m.give(r)
	if err != nil {
		return ledger.Result{}, err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return ledger.Result{}, err
	}
	give.Idempotency, give.Hash = r.Idempotency, sha256.Sum256(raw)
	return m.writer.Do(ctx, ledger.AccountID(account), give)
}

func (m *Meter) give(r GrantRequest) (ledger.Give, error) {
	b := m.Books.InForce()
	g := ledger.Give{Grant: ledger.GrantID(ulid.New("gr_", m.opt.Now())), Reason: r.Reason}
	if r.Pack != "" {
		err := fromPack(&g, b.Book, r)
		return g, err
	}
	if r.Amount == "" {
		return g, input.Errorf(`say how much: an amount such as "500", or a pack`)
	}
	amount, err := money.ParseAmount(r.Amount, b.Credit.Decimals)
	if err != nil {
		return g, input.Errorf("the amount %q: %v", r.Amount, err)
	}
	if g.Type = r.Type; g.Type == "" {
		g.Type = "top_up"
	}
	if len(b.DrawOrder) > 0 && !slices.Contains(b.DrawOrder, g.Type) && g.Type != "courtesy" {
		return g, input.Errorf("type %q is not in the price file's draw_order %v; use one of them, or add it there", g.Type, b.DrawOrder)
	}
	if r.Expires != "" {
		if g.Expires, err = calendar.ParseDuration(r.Expires); err != nil {
			return g, input.Errorf("expires: %v", err)
		}
	}
	g.Amount, g.ExpiresAt, g.OnlyFor, g.NotFor, g.Source = amount, r.ExpiresAt, r.OnlyFor, r.NotFor, "operator"
	return g, nil
}

// fromPack fills a grant from a pack of the price file.
func fromPack(g *ledger.Give, b *pricing.Book, r GrantRequest) error {
	p := b.Pack(r.Pack)
	if p == nil {
		return input.Errorf("there is no pack %q in the price file", r.Pack)
	}
	if r.Amount != "" || r.Type != "" || r.Expires != "" || !r.ExpiresAt.IsZero() {
		return input.Errorf("a pack has its own amount, type and expiry; leave them out, or leave out the pack")
	}
	var price *pricing.Money
	if r.Price != "" {
		m, err := pricing.ParseMoney(r.Price)
		if err != nil {
			return input.Errorf("price: %v", err)
		}
		price = &m
	}
	amount, err := p.Amount(price)
	if err != nil {
		return input.Errorf("pack %s: %v", p.ID, err)
	}
	g.Type, g.Name, g.Amount, g.Source, g.Paid = p.Type, p.Name, amount, "pack "+p.ID, true
	g.OnlyPlans, g.OnlyFor, g.NotFor = p.OnlyPlans, pricebook.OrNone(p.OnlyFor), pricebook.OrNone(p.NotFor)
	if p.Expires != nil {
		g.Expires = *p.Expires
	}
	return nil
}

// NextGrant is the next renewal of an account's allowance: when, and how much
// of all lines that renew then.
func NextGrant(a *ledger.Account, p *pricing.Plan, now time.Time, zone *time.Location) (at time.Time, amount money.Amount, ok bool) {
	if p == nil || a.Sub.Then != ledger.ThenRenew || p.RenewsWhenPaid {
		return time.Time{}, 0, false
	}
	for _, g := range p.Grants {
		if !g.Renewed || g.Unlimited {
			continue
		}
		switch end := calendar.At(a.Sub.Anchor, g.Every, now, zone).End.UTC(); {
		case !ok || end.Before(at):
			at, amount, ok = end, g.Amount, true
		case end.Equal(at):
			amount += g.Amount
		}
	}
	return at, amount, ok
}
