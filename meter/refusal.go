package meter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Reasons of refusals, in addition to those of package pricing and of ledger.Refusal.
const (
	NoKey                = directory.NoKey
	UnknownKey           = directory.UnknownKey
	KeyRevoked           = directory.KeyRevoked
	KeyExpired           = directory.KeyExpired
	UnknownAccount       = "unknown_account"
	AccountSuspended     = "account_suspended"
	MemberRemoved        = directory.MemberRemoved
	ViewerCannotSpend    = directory.ViewerCannotSpend
	SubscriptionRequired = "subscription_required"
	IdempotencyConflict  = "idempotency_conflict"
	Unavailable          = "meter_unavailable"
	JobNotFound          = ownership.JobNotFound
	ObjectNotFound       = ownership.ObjectNotFound
	ListRefused          = ownership.ListRefused
	TextTooLong          = "text_too_long"
	TooManyConcurrent    = "too_many_concurrent_requests"
)

// Refusal is why a request did not run. It cost nothing and left no hold. Which
// HTTP status a reason has is up to the web server.
type Refusal struct {
	Reason  string
	Field   string // that the reason is about
	Message string // for people: what is wrong and what to do
	Facts   *Facts // of a refusal for lack of credits
	Err     error
	Strict  bool // of Unavailable: the request must not pass unmetered instead
}

func (d *Refusal) Error() string { return d.Reason + ": " + d.Message }

func (d *Refusal) Unwrap() error { return d.Err }

// Facts are the "credits" member of a refusal. Amounts are decimal strings.
type Facts struct {
	Reason      string           `json:"reason"`
	LimitSource string           `json:"limit_source,omitempty"`
	Charged     string           `json:"charged,omitempty"` // of a request that ran and failed
	Needed      string           `json:"needed,omitempty"`
	Available   string           `json:"available,omitempty"`
	Held        string           `json:"held,omitempty"`
	Missing     string           `json:"missing,omitempty"`
	Unit        string           `json:"unit,omitempty"`
	Operation   string           `json:"operation,omitempty"`
	Model       string           `json:"model,omitempty"`
	Breakdown   string           `json:"breakdown,omitempty"`
	Limit       *LimitFacts      `json:"limit,omitempty"`
	Concurrent  *ConcurrentFacts `json:"concurrent,omitempty"`
	Field       string           `json:"field,omitempty"`
	Balances    []TypeBalance    `json:"balances,omitempty"`
	Options     []Option         `json:"options,omitempty"`
	Account     string           `json:"account,omitempty"`
	Book        string           `json:"book,omitempty"`
	Docs        string           `json:"docs,omitempty"`

	RetryAfter time.Duration `json:"-"` // where waiting helps within a day
}

// LimitFacts are the cap that refused a request. Amounts are decimal strings.
type LimitFacts struct {
	Per      string    `json:"per"` // member, key, account
	Amount   string    `json:"amount"`
	Every    string    `json:"every"`
	Used     string    `json:"used"`
	Held     string    `json:"held"`
	Left     string    `json:"left"`
	ResetsAt time.Time `json:"resets_at"`
}

// ConcurrentFacts are the limit of requests at once that refused one.
type ConcurrentFacts struct {
	Per   string `json:"per"` // account, member, key
	Limit int    `json:"limit"`
	Open  int    `json:"open"`
}

// TypeBalance is what is left of one type of credits.
type TypeBalance struct {
	Type      string     `json:"type"`
	Remaining string     `json:"remaining"`
	RenewsAt  *time.Time `json:"renews_at,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Option is a way to continue.
type Option struct {
	Do      string           `json:"do"` // top_up, wait, reduce, use_model, upgrade
	URL     string           `json:"url,omitempty"`
	Packs   []PackOffer      `json:"packs,omitempty"`
	Until   *time.Time       `json:"until,omitempty"`
	Credits string           `json:"credits,omitempty"`
	Set     map[string]int64 `json:"set,omitempty"`
	Model   string           `json:"model,omitempty"`
	Needed  string           `json:"needed,omitempty"`
}

// PackOffer is a pack that the account may buy.
type PackOffer struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Credits string `json:"credits,omitempty"`
	Price   string `json:"price"`
	Times   int    `json:"times,omitempty"` // how many of it the request takes, if more than one
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

// refusalOf turns errors of the packages below into one.
func refusalOf(err error) error {
	var p *pricing.Refusal
	var d *Refusal
	var who *directory.Refusal
	var whose *ownership.Refusal
	var long *input.TooLong
	switch {
	case err == nil:
		return nil
	case errors.As(err, &d):
		return d
	case errors.As(err, &who):
		return &Refusal{Reason: who.Reason, Message: who.Message, Err: err}
	case errors.As(err, &long):
		return &Refusal{Reason: TextTooLong, Field: long.Field, Message: fmt.Sprintf("The %s is too long: it has %d bytes, and at most %d are allowed. Nothing was charged.", long.Field, long.Bytes, input.LongestText), Err: err}
	case errors.As(err, &whose):
		return &Refusal{Reason: whose.Reason, Field: whose.Field, Message: whose.Message, Err: err, Strict: whose.Reason == ownership.OwnerUnknown}
	case errors.As(err, &p):
		return &Refusal{Reason: p.Reason, Field: p.Field, Message: sentence(p.Message), Err: err}
	case errors.Is(err, ledger.ErrNoAccount):
		return &Refusal{Reason: UnknownAccount, Message: "There is no such account.", Err: err}
	case errors.Is(err, ledger.ErrSuspended):
		return &Refusal{Reason: AccountSuspended, Message: "This account is suspended. Its credits are safe; ask support.", Err: err}
	case errors.Is(err, ledger.ErrSubscriptionRequired):
		return &Refusal{Reason: SubscriptionRequired, Message: "The account's plan may not buy this; another plan may.", Err: err}
	case errors.Is(err, ledger.ErrIdempotencyConflict):
		return &Refusal{Reason: IdempotencyConflict, Message: "This Idempotency-Key was used for another request; use a new one.", Err: err}
	case errors.Is(err, money.ErrOverflow):
		return &Refusal{Reason: pricing.QuantityTooLarge, Message: "The price of this request is more than an account can hold.", Err: err}
	case errors.Is(err, writer.ErrUnavailable), errors.Is(err, writer.ErrClosed):
		return &Refusal{Reason: Unavailable, Message: "Credits cannot be booked right now, so nothing was charged. Try again in a moment.", Err: err}
	}
	return err
}

// sentence is a message of a package below as clients read it. Names of fields
// keep their case.
func sentence(message string) string {
	for _, word := range []string{"the ", "this ", "no "} {
		if strings.HasPrefix(message, word) {
			message = strings.ToUpper(message[:1]) + message[1:]
		}
	}
	return strings.TrimSuffix(message, ".") + "."
}
