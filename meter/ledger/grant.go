package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Give grants credits: a pack that was bought, or an operator's grant. A repeated
// Give with the same idempotency key or the same grant id grants nothing.
type Give struct {
	Grant       GrantID
	Type        string
	Name        string
	Pack        string // "" if an operator gives it
	Amount      money.Amount
	Paid        bool
	Expires     calendar.Duration // from now; zero: ExpiresAt
	ExpiresAt   time.Time         // zero: never
	OnlyFor     selector.Selector
	NotFor      selector.Selector
	OnlyPlans   []string // empty: any plan may buy it
	Reason      string
	Idempotency string
	Hash        [32]byte
}

func (c Give) apply(w *work) error {
	if w.a.Seq == 0 {
		return ErrNoAccount
	}
	if done, err := w.replay(c.Idempotency, c.Hash); done || err != nil {
		if done {
			if w.res.Grant = w.a.Grant(w.Remembered.Grant); w.res.Grant == nil { // used up or expired since
				w.res.Grant = &Grant{ID: w.Remembered.Grant, Amount: w.Remembered.Amount}
			}
		}
		return err
	}
	if done, err := c.again(w); done || err != nil {
		return err
	}
	if len(c.OnlyPlans) > 0 && !slices.Contains(c.OnlyPlans, w.a.Sub.Plan) {
		return ErrSubscriptionRequired
	}
	if err := c.valid(w); err != nil {
		return err
	}
	g := &Grant{
		ID: c.Grant, Type: c.Type, Name: c.Name, Paid: c.Paid,
		EffectiveAt: w.Now, ExpiresAt: c.expiry(w), OnlyFor: c.OnlyFor, NotFor: c.NotFor,
	}
	if c.Pack != "" {
		g.Origin = Origin{Kind: FromPack, Pack: c.Pack}
	}
	w.issue(g, c.Amount, Entry{Reason: c.Reason})
	w.res.Grant, w.res.Amount = w.a.Grant(g.ID), c.Amount
	if c.Idempotency != "" {
		w.res.Remember = &Remembered{Key: c.Idempotency, Hash: c.Hash, Grant: g.ID, At: w.Now, Amount: c.Amount}
	}
	return nil
}

// valid reports why the amount or the expiry cannot be granted now.
func (c *Give) valid(w *work) error {
	if c.Amount <= 0 {
		return ErrInvalidAmount
	}
	if c.Amount > MaxAmount || w.a.volume() > maxVolume {
		return fmt.Errorf("granting %d: %w", c.Amount, money.ErrOverflow)
	}
	if at := c.expiry(w); !at.IsZero() && !at.After(w.Now) {
		return fmt.Errorf("%w: it would have expired at %s", ErrInvalidAmount, at.Format(time.RFC3339))
	}
	return nil
}

func (c *Give) expiry(w *work) time.Time {
	if c.Expires.Count > 0 {
		return utc(c.Expires.After(w.Now, w.Terms.Zone))
	}
	return utc(c.ExpiresAt)
}

// again reports whether the grant with that id was given before.
func (c Give) again(w *work) (bool, error) {
	g := w.a.Grant(c.Grant)
	switch {
	case g == nil && !w.Granted:
		return false, nil
	case g == nil: // used up or expired since
		g = &Grant{ID: c.Grant, Type: c.Type, Amount: c.Amount}
	case g.Amount != c.Amount || g.Type != c.Type || g.Paid != c.Paid || g.Origin.Pack != c.Pack:
		return false, fmt.Errorf("%w: grant %s was given before with other terms", ErrIdempotencyConflict, c.Grant)
	}
	w.res.Grant, w.res.Amount, w.res.Replayed = g, c.Amount, true
	return true, nil
}

// Void takes back what is left of a grant. Credits in open holds are revoked when
// the holds return them.
type Void struct {
	Grant  GrantID
	Reason string
}

func (c Void) apply(w *work) error {
	g := w.a.Grant(c.Grant)
	if g == nil || g.Voided {
		return fmt.Errorf("%w: %s", ErrNoGrant, c.Grant)
	}
	w.res.Amount = g.Available
	w.post(Entry{Kind: KindVoid, Reason: c.Reason, Postings: []Posting{
		{Book: BookAvailable, Grant: g.ID, Amount: -g.Available}, {Book: BookRevoked, Grant: g.ID, Amount: g.Available},
	}})
	return nil
}

// issue creates g with amount, of which debt is paid first.
func (w *work) issue(g *Grant, amount money.Amount, e Entry) {
	e.Kind, e.Grants = KindGrant, append(e.Grants, g)
	amount = min(amount, w.headroom())
	if !g.Unlimited && amount > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookIssued, Grant: g.ID, Amount: -amount}, Posting{Book: BookAvailable, Grant: g.ID, Amount: amount})
		if pay := min(w.a.Debt, amount); pay > 0 {
			e.Postings = append(e.Postings, Posting{Book: BookAvailable, Grant: g.ID, Amount: -pay}, Posting{Book: BookDebt, Grant: g.ID, Amount: pay})
		}
	}
	w.post(e)
}

// headroom is how much more the books can count. No real account gets near it.
func (w *work) headroom() money.Amount { return max(0, 2*maxVolume-w.a.volume()) }
