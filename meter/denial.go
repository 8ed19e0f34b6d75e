package meter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/bank"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Reasons of denials besides those of package pricing and of ledger.Refusal.
const (
	NoKey                = "no_key"
	UnknownKey           = "unknown_key"
	KeyRevoked           = "key_revoked"
	KeyExpired           = "key_expired"
	UnknownAccount       = "unknown_account"
	AccountSuspended     = "account_suspended"
	SubscriptionRequired = "subscription_required"
	IdempotencyConflict  = "idempotency_conflict"
	Unavailable          = "meter_unavailable"
)

// Denial is why a request did not run. It cost nothing and left no hold. Which
// HTTP status a reason has is the business of whoever answers.
type Denial struct {
	Reason  string
	Field   string // that the reason is about
	Message string // for people: what is wrong and what to do
	Facts   *Facts // of a refusal for lack of credits
	Err     error
}

func (d *Denial) Error() string { return d.Reason + ": " + d.Message }

func (d *Denial) Unwrap() error { return d.Err }

// Facts are the "credits" member of a refusal. Amounts are decimal strings.
type Facts struct {
	Reason      string        `json:"reason"`
	LimitSource string        `json:"limit_source,omitempty"`
	Needed      string        `json:"needed,omitempty"`
	Available   string        `json:"available,omitempty"`
	Held        string        `json:"held,omitempty"`
	Missing     string        `json:"missing,omitempty"`
	Unit        string        `json:"unit,omitempty"`
	Operation   string        `json:"operation,omitempty"`
	Model       string        `json:"model,omitempty"`
	Field       string        `json:"field,omitempty"`
	Balances    []TypeBalance `json:"balances,omitempty"`
	Options     []Option      `json:"options,omitempty"`
	Account     string        `json:"account,omitempty"`
	Book        string        `json:"book,omitempty"`
	Docs        string        `json:"docs,omitempty"`

	RetryAfter time.Duration `json:"-"` // where waiting helps within a day
}

// TypeBalance is what is left of one type of credits.
type TypeBalance struct {
	Type      string     `json:"type"`
	Remaining string     `json:"remaining"`
	RenewsAt  *time.Time `json:"renews_at,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Option is a way on.
type Option struct {
	Do      string           `json:"do"` // top_up, wait, reduce, upgrade
	URL     string           `json:"url,omitempty"`
	Packs   []PackOffer      `json:"packs,omitempty"`
	Until   *time.Time       `json:"until,omitempty"`
	Credits string           `json:"credits,omitempty"`
	Set     map[string]int64 `json:"set,omitempty"`
}

// PackOffer is a pack that the account may buy.
type PackOffer struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Credits string `json:"credits,omitempty"`
	Price   string `json:"price"`
}

// JSON is the facts as an object.
func (f *Facts) JSON() []byte {
	if f == nil {
		return nil
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil // strings and times always marshal
	}
	return b
}

// denialOf turns errors of the rooms below into one.
func denialOf(err error) error {
	var p *pricing.Refusal
	var d *Denial
	switch {
	case err == nil:
		return nil
	case errors.As(err, &d):
		return d
	case errors.As(err, &p):
		return &Denial{Reason: p.Reason, Field: p.Field, Message: p.Message, Err: err}
	case errors.Is(err, ledger.ErrNoAccount):
		return &Denial{Reason: UnknownAccount, Message: "There is no such account.", Err: err}
	case errors.Is(err, ledger.ErrSuspended):
		return &Denial{Reason: AccountSuspended, Message: "This account is suspended. Its credits are safe; ask support.", Err: err}
	case errors.Is(err, ledger.ErrSubscriptionRequired):
		return &Denial{Reason: SubscriptionRequired, Message: "The account's plan may not buy this; another plan may.", Err: err}
	case errors.Is(err, ledger.ErrIdempotencyConflict):
		return &Denial{Reason: IdempotencyConflict, Message: "This Idempotency-Key was used for another request; use a new one.", Err: err}
	case errors.Is(err, money.ErrOverflow):
		return &Denial{Reason: pricing.QuantityTooLarge, Message: "The price of this request is more than an account can hold.", Err: err}
	case errors.Is(err, bank.ErrUnavailable), errors.Is(err, bank.ErrClosed):
		return &Denial{Reason: Unavailable, Message: "Credits cannot be booked right now, so nothing was charged. Try again in a moment.", Err: err}
	}
	return err
}

// short explains a refusal for lack of credits with every way on.
func (a *admission) short(r *ledger.Refusal, acc *ledger.Account) *Denial {
	b := a.book
	text := func(x money.Amount) string { return x.Text(b.Credit.Decimals) }
	missing := max(0, r.Needed-r.Available)
	f := &Facts{
		Reason: r.Reason, LimitSource: r.LimitSource, Needed: text(r.Needed), Available: text(r.Available), Held: text(r.Held),
		Missing: text(missing), Unit: b.Credit.Name, Operation: a.price.Subject().Operation, Model: a.price.ModelAsked(),
		Account: a.req.Caller.Account, Book: b.Digest(),
	}
	d := &Denial{Reason: r.Reason, Facts: f, Err: r}
	switch {
	case r.Reason == ledger.InFlightHolds:
		d.Message = fmt.Sprintf("Credits are occupied by requests that are still running: this request needs up to %s %s, %s are free and %s are held. Nothing was charged. Try again in a moment.",
			text(r.Needed), b.Credit.Plural, text(r.Available), text(r.Held))
		f.RetryAfter = time.Second
	case r.LimitSource != ledger.LimitBalance:
		d.Message = fmt.Sprintf("A limit is reached (%s): this request needs up to %s %s. Nothing was charged.",
			strings.ReplaceAll(r.LimitSource, "_", " "), text(r.Needed), b.Credit.Plural)
	default:
		d.Message = fmt.Sprintf("Not enough credits: this request needs up to %s %s, %s are available (%s missing). Nothing was charged.",
			text(r.Needed), b.Credit.Plural, text(r.Available), text(missing))
	}
	if acc != nil {
		a.balances(f, acc)
	}
	a.options(d, r, acc)
	return d
}

func (a *admission) balances(f *Facts, acc *ledger.Account) {
	now := a.m.opt.Now()
	if now.Before(acc.Clock) {
		now = acc.Clock
	}
	index := map[string]int{}
	for _, g := range acc.Grants {
		if !g.Live(now) {
			continue
		}
		i, ok := index[g.Type]
		if !ok {
			i = len(f.Balances)
			index[g.Type] = i
			f.Balances = append(f.Balances, TypeBalance{Type: g.Type, Remaining: "0"})
		}
		t := &f.Balances[i]
		have, _ := money.ParseAmount(t.Remaining, a.book.Credit.Decimals)
		t.Remaining = (have + g.Available).Text(a.book.Credit.Decimals)
		if g.Renewed {
			t.RenewsAt = timeOrNil(g.ExpiresAt)
		} else if t.ExpiresAt == nil || g.ExpiresAt.Before(*t.ExpiresAt) {
			t.ExpiresAt = timeOrNil(g.ExpiresAt)
		}
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *admission) options(d *Denial, r *ledger.Refusal, acc *ledger.Account) {
	f, b := d.Facts, a.book
	if r.LimitSource == ledger.LimitBalance && r.Reason == ledger.InsufficientCredits {
		plan := ""
		if acc != nil {
			plan = acc.Sub.Plan
		}
		o := Option{Do: "top_up", URL: b.Links.TopUp, Packs: offers(b.Book, plan)}
		if o.URL != "" || len(o.Packs) > 0 {
			f.Options = append(f.Options, o)
		}
		if o.URL != "" {
			d.Message += " Top up: " + o.URL
		}
		a.wait(d, acc)
	}
	if bound, ok := a.largest(r.Available); ok {
		f.Options = append(f.Options, Option{Do: "reduce", Set: map[string]int64{"max_tokens": bound}})
		d.Message += fmt.Sprintf(" Or set max_tokens to at most %d.", bound)
	}
	if b.Links.Upgrade != "" {
		f.Options = append(f.Options, Option{Do: "upgrade", URL: b.Links.Upgrade})
	}
}

// wait tells when the next allowance comes, and Retry-After if that is soon.
func (a *admission) wait(d *Denial, acc *ledger.Account) {
	if acc == nil {
		return
	}
	at, amount, ok := NextGrant(acc, a.book.Plan(acc.Sub.Plan), a.m.opt.Now(), a.book.Policies.Timezone)
	if !ok {
		return
	}
	credits := amount.Text(a.book.Credit.Decimals)
	d.Facts.Options = append(d.Facts.Options, Option{Do: "wait", Until: &at, Credits: credits})
	d.Message += fmt.Sprintf(" Or wait for %s %s at %s.", credits, a.book.Credit.Plural, at.Format(time.RFC3339))
	if in := at.Sub(a.m.opt.Now()); in < 24*time.Hour {
		d.Facts.RetryAfter = in
	}
}

func offers(b *pricing.Book, plan string) (list []PackOffer) {
	for _, p := range b.Packs {
		if !p.SellsTo(plan) {
			continue
		}
		o := PackOffer{ID: p.ID, Name: p.Name, Price: p.Price.String()}
		if !p.ByPrice {
			o.Credits = p.Credits.Text(b.Credit.Decimals)
		}
		if p.MaxPrice != nil {
			o.Price += " to " + p.MaxPrice.String()
		}
		list = append(list, o)
	}
	return list
}
