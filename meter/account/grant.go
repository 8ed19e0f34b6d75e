package account

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/selector"
	"github.com/farebox-dev/farebox/meter/ulid"
)

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
func (s *Accounts) Grant(ctx context.Context, id string, r GrantRequest) (ledger.Result, error) {
	give, err := s.give(r)
	if err != nil {
		return ledger.Result{}, err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return ledger.Result{}, err
	}
	give.Idempotency, give.Hash = r.Idempotency, sha256.Sum256(raw)
	return s.Do(ctx, id, give)
}

func (s *Accounts) give(r GrantRequest) (ledger.Give, error) {
	b := s.books.InForce()
	g := ledger.Give{Grant: ledger.GrantID(ulid.New("gr_", s.now())), Reason: r.Reason}
	if r.Pack != "" {
		err := FromPack(&g, b.Book, r)
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
	g.Amount, g.ExpiresAt, g.OnlyFor, g.NotFor = amount, r.ExpiresAt, r.OnlyFor, r.NotFor
	return g, nil
}

// FromPack fills a grant from a pack of the price file.
func FromPack(g *ledger.Give, b *pricing.Book, r GrantRequest) error {
	p := b.Pack(r.Pack)
	if p == nil {
		return input.Errorf("there is no pack %q in the price file", r.Pack)
	}
	if r.Amount != "" || r.Type != "" || r.Expires != "" || !r.ExpiresAt.IsZero() {
		return input.Errorf("a pack has its own amount, type and expiry; leave them out, or leave out the pack")
	}
	var price *pricing.Money
	if r.Price != "" {
		m, err := pricefile.ParseMoney(r.Price)
		if err != nil {
			return input.Errorf("price: %v", err)
		}
		price = &m
	}
	amount, err := p.Amount(price)
	if err != nil {
		return input.Errorf("pack %s: %v", p.ID, err)
	}
	g.Type, g.Name, g.Amount, g.Pack, g.Paid = p.Type, p.Name, amount, p.ID, true
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
