package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/money"
)

// Errors of commands. A command that fails changes nothing except what was due by
// the clock.
var (
	ErrNoAccount            = errors.New("there is no such account")
	ErrAccountExists        = errors.New("the account exists already")
	ErrNoPlan               = errors.New("there is no such plan")
	ErrNoCharge             = errors.New("there is no such charge")
	ErrPastRetention        = errors.New("the charge is older than the retention of the ledger: its details have left, its cost is in the totals")
	ErrNoGrant              = errors.New("there is no such grant")
	ErrNothingToRenew       = errors.New("the account has no subscription that waits for a payment")
	ErrConflict             = errors.New("the charge was already resolved with another cost")
	ErrIdempotencyConflict  = errors.New("the same idempotency key was used for another request")
	ErrSubscriptionRequired = errors.New("the account's plan may not buy this pack")
	ErrSuspended            = errors.New("the account is suspended")
	ErrNotSuspended         = errors.New("the account is not suspended; close it first")
	ErrRefundTooLarge       = errors.New("more than is left of the charge")
	ErrNotSettled           = errors.New("the charge is still open")
	ErrInvalidAmount        = errors.New("the amount must be more than 0")
)

// MaxAmount is the largest amount of one command, and of all that an account may
// ever be granted or spend. The sum of a few of them does not overflow.
const MaxAmount money.Amount = money.Max / 8

// maxVolume is the volume above which an account takes no more grants and holds.
// What is in progress by then can double it without an overflow.
const maxVolume = 2 * MaxAmount

// volume is the sum of all amounts that ever came into the account's books.
func (a *Account) volume() money.Amount { return a.Issued + a.Overage + a.Debt + a.Absorbed }

// Env is what a command depends on besides the account.
type Env struct {
	Now        time.Time
	Terms      *Terms
	Remembered *Remembered // the first result under the command's idempotency key
	Charge     *Charge     // the resolved charge that the command names
	Granted    bool        // a grant with the command's id was given before
	Left       bool        // the charge that the command names is older than what is kept
}

// Remembered is the first result under an idempotency key.
type Remembered struct {
	Key    string
	Hash   [32]byte // of the request
	Charge ChargeID
	Grant  GrantID
	At     time.Time
	Amount money.Amount // granted, refunded, or the charge's cost
	Answer []byte       // the first answer to the client, if it was kept
}

// Command is a requested change.
type Command interface {
	apply(w *work) error
}

// Bounded is a command as it may be kept: none of its texts is longer than
// input.LongestText, wherever it is. What would begin with a longer one is refused with
// an *input.TooLong. What ends something that has begun is not; its texts, which an
// upstream wrote, are cut.
func Bounded(c Command) (Command, error) {
	switch x := c.(type) {
	case Touch, Extend, Observe: // of a charge that has begun
	case Settle:
		if x.Outcome.long() {
			x.Outcome = x.Outcome.cut()
			return x, nil
		}
	case Release:
		if x.Outcome.long() {
			x.Outcome = x.Outcome.cut()
			return x, nil
		}
	default:
		return c, bounded(reflect.ValueOf(c))
	}
	return c, nil
}

// bounded looks for a text in a value that is too long.
func bounded(v reflect.Value) error {
	text, field := longText(v)
	if text == "" {
		return nil
	}
	return input.Bounded(strings.ToLower(field), text)
}

// longText is a text in a value that is too long, and the field that has it. Names of
// fields are looked up only then: it runs for each hold.
func longText(v reflect.Value) (text, field string) {
	switch v.Kind() { //nolint:exhaustive // the others hold no text
	case reflect.String:
		if v.Len() > input.LongestText {
			return v.String(), ""
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return longText(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if text, field = longText(v.Field(i)); text != "" {
				return text, cmp.Or(field, v.Type().Field(i).Name)
			}
		}
	case reflect.Slice:
		if v.Len() == 0 || v.Type().Elem().Kind() == reflect.Uint8 { // an answer is kept whole
			return "", ""
		}
		for i := range v.Len() {
			if text, field = longText(v.Index(i)); text != "" {
				return text, field
			}
		}
	}
	return "", ""
}

// Result is what a command did.
type Result struct {
	Entries   []Entry
	Charge    *Charge // as it is now; the caller must not change it
	Grant     *Grant
	Amount    money.Amount // granted, refunded
	Available money.Amount // after the command
	Unlimited bool
	Replayed  bool        // nothing happened: this is the first result under the same key
	Remember  *Remembered // to store under the idempotency key
	Forget    string      // idempotency key to free
	Alerts    []Alert     // warnings that are due
	Expired   []*Grant    // grants that lost credits to the clock, as they were before
}

// Apply runs one command at env.Now. It changes a only by folding the entries that
// it returns. Renewals and expiry that are due are booked first; an error means
// that the command itself did nothing.
//
// A broken invariant panics with *Broken: discard the account then.
func Apply(a *Account, c Command, env Env) (Result, error) {
	env.Now = utc(env.Now)
	if env.Now.Before(a.Clock) {
		env.Now = a.Clock // what has expired stays expired
	}
	w := &work{a: a, Env: env}
	before := w.levels(a.Clock)
	if a.Seq > 0 && w.advance() {
		before = w.warn(before)
	}
	err := c.apply(w)
	if len(w.res.Entries) > 0 {
		w.warn(before)
	}
	if len(w.res.Entries) > 0 {
		if bad := a.Check(); bad != nil {
			panic(&Broken{bad})
		}
	}
	w.res.Available, w.res.Unlimited = a.Available(env.Now)
	return w.res, err
}

// Broken is a violated invariant.
type Broken struct{ Err error }

func (b *Broken) Error() string { return "ledger invariant violated: " + b.Err.Error() }

func (b *Broken) Unwrap() error { return b.Err }

type work struct {
	Env
	a   *Account
	res Result
}

// post seals e, folds it into the account and adds it to the result.
func (w *work) post(e Entry) {
	e.Account, e.Seq = w.a.ID, w.a.Seq+1
	if e.At.IsZero() {
		e.At = w.Now
	}
	if e.At.Before(w.a.Clock) {
		e.At = w.a.Clock
	}
	if s := e.sum(); s != 0 {
		panic(&Broken{fmt.Errorf("%s entry %d of account %s sums to %d", e.Kind, e.Seq, e.Account, s)})
	}
	e.seal(w.a.Head)
	w.a.Fold(&e)
	w.res.Entries = append(w.res.Entries, e)
}

// noCharge is the error for a charge that is not in the ledger.
func (w *work) noCharge(id ChargeID) error {
	if w.Left {
		return fmt.Errorf("%w: %s", ErrPastRetention, id)
	}
	return fmt.Errorf("%w: %s", ErrNoCharge, id)
}

// Touch only books what is due by the clock.
type Touch struct{}

func (Touch) apply(w *work) error {
	if w.a.Seq == 0 {
		return ErrNoAccount
	}
	return nil
}

// Open creates the account and starts Plan, or the default plan if Plan is "".
type Open struct {
	ID   AccountID
	Name string
	Plan string
}

func (c Open) apply(w *work) error { return c.open(w, contract{}) }

func (c Open) open(w *work, of contract) error {
	if w.a.Seq > 0 {
		return ErrAccountExists
	}
	plan := c.Plan
	if plan == "" {
		plan = w.Terms.DefaultPlan
	} else if w.Terms.Plans[plan] == nil {
		return fmt.Errorf("%w: %q", ErrNoPlan, plan)
	}
	w.a.ID = c.ID
	w.post(Entry{Kind: KindOpened, Name: c.Name})
	w.start(plan, w.Now, of)
	return nil
}

// Import creates an account with all that it had elsewhere, or not at all. A
// repeated Import with the same hash does nothing.
type Import struct {
	Open
	RenewsAt  time.Time // see SetPlan; zero: the billing period begins now
	Balances  []Give    // granted in addition to the plan's allowance
	Suspended bool
	Hash      [32]byte // of all that is imported
}

// ImportKey is the idempotency key of every Import: an account is imported once.
const ImportKey = "import"

func (c Import) apply(w *work) error {
	if done, err := w.replay(ImportKey, c.Hash); done || errors.Is(err, ErrIdempotencyConflict) {
		return err
	}
	if err := c.check(w); err != nil {
		return err
	}
	if err := c.Open.open(w, contract{anchor: utc(c.RenewsAt), reason: "import"}); err != nil {
		return err
	}
	for _, g := range c.Balances { // they cannot fail now: an account that is half there must not be
		if err := g.apply(w); err != nil {
			panic(&Broken{fmt.Errorf("importing account %s: %w", c.ID, err)})
		}
	}
	if c.Suspended {
		w.post(Entry{Kind: KindAttribute, Name: c.Name, Suspend: true, Reason: "import"})
	}
	w.res.Grant, w.res.Amount = nil, 0 // they are of one grant
	w.res.Remember = &Remembered{Key: ImportKey, Hash: c.Hash, At: w.Now}
	return nil
}

// check finds everything for which an Import could fail halfway.
func (c Import) check(w *work) error {
	plan := c.Plan
	if plan == "" {
		plan = w.Terms.DefaultPlan
	}
	if end := c.RenewsAt; !end.IsZero() {
		p := calendar.At(end, w.Terms.plan(plan).Billing, w.Now, w.Terms.Zone)
		if plan == "" || !p.End.Equal(end) {
			return ErrRenewsAt
		}
	}
	sum := w.planGrants(plan)
	for i := range c.Balances {
		g := &c.Balances[i]
		if err := g.valid(w); err != nil {
			return err
		}
		if sum += g.Amount; sum > maxVolume {
			return fmt.Errorf("importing %d: %w", sum, money.ErrOverflow)
		}
	}
	return nil
}

// planGrants is at most what a plan grants when it starts.
func (w *work) planGrants(plan string) (sum money.Amount) {
	for _, s := range w.Terms.plan(plan).Credits {
		sum = min(maxVolume, sum+s.Amount)
	}
	return sum
}

// SetAttributes changes the name and the suspension of an account.
type SetAttributes struct {
	Name      *string
	Suspended *bool
	Reason    string
}

func (c SetAttributes) apply(w *work) error {
	if w.a.Seq == 0 {
		return ErrNoAccount
	}
	e := Entry{Kind: KindAttribute, Name: w.a.Name, Suspend: w.a.Suspended, Reason: c.Reason}
	if c.Name != nil {
		e.Name = *c.Name
	}
	if c.Suspended != nil {
		e.Suspend = *c.Suspended
	}
	w.post(e)
	return nil
}
