package meter

import (
	"context"
	"crypto/sha256"
	"errors"

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
}

// Identify finds whose key this is. The error is a *Refusal.
func (m *Gateway) Identify(secret string) (Caller, error) {
	k, err := m.Directory.Keys.Find(secret)
	if err != nil {
		return Caller{}, refusalOf(err)
	}
	return Caller{Account: k.Account, Member: k.Member, Key: k.ID}, nil
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
}

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
