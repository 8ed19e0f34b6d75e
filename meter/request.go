package meter

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/concurrency"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Caller is who asks. Account is required.
type Caller struct {
	Account string
	Member  string
	Key     string // id of the API key, never the key itself
	// Attributes for key.<attr> and member.<attr> in the price file; "id" is there by itself.
	KeyAttributes, MemberAttributes map[string]string
	// Trusted: whoever named the account may also create it.
	Trusted bool
	// MaxConcurrent is the key's own limit of requests at once; 0: none.
	MaxConcurrent int
}

// counted is whose requests count together.
func (c *Caller) counted() concurrency.Caller {
	return concurrency.Caller{Account: c.Account, Member: c.Member, Key: c.Key}
}

// Identify finds whose key this is. The error is a *Refusal.
func (m *Gateway) Identify(secret string) (Caller, error) {
	k, err := m.Directory.Keys.Find(secret)
	if err != nil {
		return Caller{}, refusalOf(err)
	}
	return Caller{Account: k.Account, Member: k.Member, Key: k.ID, MaxConcurrent: k.MaxConcurrent}, nil
}

// memberCaps are the caps of the caller's own.
func (m *Gateway) memberCaps(c Caller) []ledger.Cap {
	return m.Directory.Members.Caps(c.Account, c.Member)
}

// mayBuy reports whether the caller is offered credits.
func (m *Gateway) mayBuy(c Caller) bool { return m.Directory.Members.MayBuy(c.Account, c.Member) }

// Request is what Admit has to know of a request.
type Request struct {
	Method      string
	URI         string // as sent: the escaped path with its query
	Header      map[string][]string
	Body        []byte // decoded
	ContentType string
	Caller      Caller
	// Idempotency is the client's Idempotency-Key, "" if none.
	Idempotency string
	// Origin is kept with a job that the request starts, for whoever asks how it
	// is; see Jobs.Due. It is written down only when there is one.
	Origin     interface{ JSON() []byte }
	UnknownIDs []string // see ownership.Request
	// Overlap lets the request run while its hold is being written. Nothing of the
	// answer may reach the client before Charge.Durable returns nil.
	Overlap bool
	// Place is that of the request among those under way, from Enter; a job that the
	// request starts keeps it. nil: the job is counted by itself.
	Place *concurrency.Place
}

// Concurrency limits how many requests may be under way at once, for each account,
// member and key. Its methods are safe for concurrent use.
type Concurrency struct {
	m       *Gateway
	counter concurrency.Counter
	most    atomic.Int64 // of accounts without a limit; 0: any number
}

// Enter counts a request as under way until place is left, if it may cost credits.
// Call it before the body is read. The error is a *Refusal if the account, the member
// or the key has as many under way as it may.
func (u *Concurrency) Enter(ctx context.Context, c *Caller, route *pricing.Route, place *concurrency.Place) error {
	if route.Free { // a client that waits for its own job must be able to ask for it
		return nil
	}
	full := u.counter.Enter(c.counted(), u.limits(ctx, c), place)
	if full == nil {
		return nil
	}
	return &Refusal{
		Reason: TooManyConcurrent, Err: full,
		Message: fmt.Sprintf("Too many requests at once: this %s may have %d under way, and has %d. Nothing was charged. Try again when one of them has ended.", full.Per, full.Limit, full.Open),
		Facts: &Facts{
			Reason: TooManyConcurrent, Account: c.Account, RetryAfter: time.Second,
			Concurrent: &ConcurrentFacts{Per: full.Per, Limit: full.Limit, Open: full.Open},
		},
	}
}

// limits are how many requests a caller may have under way. What the account has of
// its own, which only operators set, replaces what its plan says; what a member or a
// key has of its own can only be less. What the ledger cannot say is no limit: it will
// not admit the request either.
func (u *Concurrency) limits(ctx context.Context, c *Caller) (l concurrency.Limits) {
	m := u.m
	if book := m.Books.InForce(); book.LimitsConcurrency {
		if id, err := m.planOf(ctx, *c); err == nil {
			if plan := book.Plan(id); plan != nil {
				l = concurrency.Limits(plan.MaxConcurrent)
			}
		}
	}
	own, _ := m.Directory.Profiles.Get(c.Account)
	l.Account = cmp.Or(own.MaxConcurrent, l.Account, int(u.most.Load()))
	l.Member = concurrency.Least(l.Member, m.Directory.Members.MaxConcurrent(c.Account, c.Member))
	l.Key = concurrency.Least(l.Key, c.MaxConcurrent)
	return l
}

// Limit sets how many requests each account may have under way whose plan, and who
// itself, has no limit; 0: any number.
func (u *Concurrency) Limit(most int) { u.most.Store(int64(most)) }

// UnderWay is how many requests that may cost credits, and jobs that have not ended, a
// caller has.
func (u *Concurrency) UnderWay(c *Caller) concurrency.Limits { return u.counter.Open(c.counted()) }

// names is the part of a request that may name what belongs to others.
func (r *Request) names() *ownership.Request {
	return &ownership.Request{
		Account: r.Caller.Account, Method: r.Method, URI: r.URI, ContentType: r.ContentType, Body: r.Body, UnknownIDs: r.UnknownIDs,
	}
}

// attributes are those of a key or a member; without its id there are none.
func attributes(id string, more map[string]string) (a pricing.Attributes) {
	if id == "" {
		return a
	}
	return pricing.Attributes{ID: id, More: more}
}

// record is what the ledger keeps of the request. It refuses texts that are too long to be kept.
func (a *admission) record(id string) (*ledger.Charge, error) {
	if err := errors.Join(input.Bounded("model", a.price.Asked.Model), input.Bounded("member", a.req.Caller.Member), input.Bounded("key", a.req.Caller.Key), input.Bounded("Idempotency-Key", a.req.Idempotency)); err != nil {
		return nil, err
	}
	subject := a.price.Subject()
	c := &ledger.Charge{
		ID: ledger.ChargeID(id), Member: a.req.Caller.Member, Key: a.req.Caller.Key, Book: a.book.Digest,
		Model: a.price.Asked.Model, Subject: subject, Operation: subject.Operation,
	}
	for _, l := range a.book.Labels {
		v := a.price.Asked.Labels[l.Name]
		if err := input.Bounded("label "+l.Name, v); err != nil {
			return nil, err
		}
		if v != "" {
			c.Labels = append(c.Labels, ledger.Label{Name: l.Name, Value: input.Printable(v)})
		}
	}
	return c, nil
}

// fingerprint tells two requests under one idempotency key apart.
func (a *admission) fingerprint() (sum [32]byte) {
	if a.req.Idempotency == "" {
		return sum
	}
	h := sha256.New()
	for _, s := range []string{a.req.Method, a.req.URI, a.req.ContentType} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	h.Write(a.req.Body)
	h.Sum(sum[:0])
	return sum
}

// Replay is the error of a request that has run before under its idempotency key.
// It must not run again: the answer to it is the first one.
type Replay struct {
	Charge    *ledger.Charge
	Answer    []byte // as given to Settle; nil if there was none, or is none yet
	Remaining money.Amount
	Unlimited bool // Remaining has no end
}

func (r *Replay) Error() string {
	return "the request has run before, as charge " + string(r.Charge.ID)
}

func (m *Gateway) replay(ctx context.Context, res *ledger.Result) *Replay {
	r := &Replay{Charge: res.Charge, Answer: res.Remember.Answer, Remaining: res.Available, Unlimited: res.Unlimited}
	if m.Jobs.open.IsOpen(res.Charge.ID) {
		if rec, err := m.Jobs.open.Read(ctx, res.Charge.ID); err == nil {
			r.Answer = rec.Answer
		}
	}
	return r
}
