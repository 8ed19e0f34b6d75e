package meter

import (
	"crypto/sha256"
	"testing"

	"github.com/farebox-dev/farebox/meter/internal/casefile"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// caseRequest is the request of a case as a server gets it.
func caseRequest(t *testing.T, c *casefile.Request) *Request {
	t.Helper()
	f, err := c.Facts()
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Method: f.Method, URI: f.URI, Header: f.Header, ContentType: f.ContentType, Body: f.Body}
}

// caller reads `member` and `key`.
func caller(s *casefile.Step, account string) Caller {
	c := Caller{Account: account}
	c.Member, c.MemberAttributes = casefile.Identity(s.Member)
	c.Key, c.KeyAttributes = casefile.Identity(s.Key)
	return c
}

func caseUsage(t *testing.T, counts map[string]any) *pricing.Usage {
	t.Helper()
	u, err := casefile.Usage(counts)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// estimated is what the estimator says: `estimate`, else the input side of `usage`.
func estimated(t *testing.T, s *casefile.Step) (est pricing.Usage) {
	t.Helper()
	counts := s.Estimate
	if counts == nil {
		counts = s.Usage
	}
	u := caseUsage(t, counts)
	for k := range pricing.NumKinds {
		if u != nil && !k.IsOutput() {
			est.Tokens[k] = u.Tokens[k]
		}
	}
	return est
}

// reserveOf is a charge outside the price file that costs exactly this much.
func reserveOf(s *casefile.Step, id ledger.ChargeID, amount money.Amount) ledger.Reserve {
	member, _ := casefile.Identity(s.Member)
	key, _ := casefile.Identity(s.Key)
	return ledger.Reserve{
		Charge: &ledger.Charge{ID: id, Member: member, Key: key}, Amount: amount, Plan: ledger.AnyPlan,
		Idempotency: s.Idempotency, Hash: sha256.Sum256([]byte("charge " + s.Charge)),
	}
}

// outcomeOf is how the upstream's answer ends, and the status that the client sees.
func outcomeOf(t *testing.T, a *casefile.Answer) (o Outcome, status int) {
	t.Helper()
	if a == nil {
		return Answered, 200
	}
	switch a.Error {
	case "":
	case "timeout":
		return TimedOut, 504
	case "connect":
		return NotReached, 502
	default:
		t.Fatalf("unknown upstream error %q", a.Error)
	}
	if status = a.Status; status == 0 {
		status = 200
	}
	if a.ClientAbort {
		return ClientLeft, status
	}
	return Answered, status
}
