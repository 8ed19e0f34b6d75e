package meter

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// A way out of a refusal is named only if it is one: each is tried on a copy of
// the account first. What others take meanwhile is all that can make it fail.

// trial is a copy of an account at some time.
type trial struct {
	account *ledger.Account
	terms   *ledger.Terms
	now     time.Time
}

func (a *admission) trial(acc *ledger.Account, now time.Time) *trial {
	return &trial{account: acc.Clone(), terms: a.book.Terms, now: now}
}

// do does a command on the copy.
func (t *trial) do(c ledger.Command) (ledger.Result, error) {
	return ledger.Apply(t.account, c, ledger.Env{Now: t.now, Terms: t.terms})
}

// admits reports whether a request would be admitted.
func (t *trial) admits(a *admission) bool {
	plan := t.account.Sub.Plan
	b := *a
	if b.plan = b.book.Plan(plan); b.price.PlanAllows(b.plan) != nil {
		return false
	}
	b.on = t
	record, err := b.record("ch_trial")
	if err != nil {
		return false
	}
	_, err = b.hold(context.Background(), ledger.Reserve{Charge: record, Plan: plan, Caps: b.m.memberCaps(b.req.Caller)})
	return err == nil
}

// mostPacks bounds how many of one pack are offered at once.
const mostPacks = 50

// packs is how many of a pack the request needs to be admitted; 0: no number that
// is offered is enough.
func (a *admission) packs(acc *ledger.Account, p *pricing.Pack, missing money.Amount) int {
	n := 1
	if !p.ByPrice && p.Credits > 0 {
		n = int(min((missing+p.Credits-1)/p.Credits, mostPacks+1))
	}
	for n = max(n, 1); n <= mostPacks; n++ {
		if a.buys(acc, p, n) {
			return n
		}
		if n > 1 && p.ByPrice {
			break
		}
	}
	return 0
}

// buys reports whether the request would be admitted after n of a pack.
func (a *admission) buys(acc *ledger.Account, p *pricing.Pack, n int) bool {
	t := a.trial(acc, a.m.Now())
	r := account.GrantRequest{Pack: p.ID}
	if p.ByPrice && p.MaxPrice != nil {
		r.Price = p.MaxPrice.String()
	} else if p.ByPrice {
		return true // as much as it takes
	}
	for i := range n {
		g := ledger.Give{Grant: ledger.GrantID("gr_trial" + strconv.Itoa(i))}
		if account.FromPack(&g, a.book.Book, r) != nil {
			return false
		}
		if _, err := t.do(g); err != nil {
			return false
		}
	}
	return t.admits(a)
}

// waits reports whether the request would be admitted at a later time.
func (a *admission) waits(acc *ledger.Account, at time.Time) bool { return a.trial(acc, at).admits(a) }

// with is the admission of the request with another body; nil if that is refused.
func (a *admission) with(body []byte) *admission {
	req := *a.req
	req.Body = body
	b := &admission{m: a.m, req: &req, book: a.book, began: a.began}
	if b.read() != nil || b.price.Operation() != a.price.Operation() {
		return nil
	}
	return b
}

// reduces reports whether the request would be admitted with an output limit.
func (a *admission) reduces(acc *ledger.Account, limit int64) bool {
	body, _, err := a.api.Prepare(a.req.Body, dialect.Edit{MaxOutput: limit})
	if err != nil {
		return false
	}
	b := a.with(body)
	return b != nil && a.trial(acc, a.m.Now()).admits(b)
}

// asks reports whether the request would be admitted for another model, and
// what it would hold.
func (a *admission) asks(acc *ledger.Account, model string) bool {
	if a.api.PathModel != "" { // the path names it
		return false
	}
	name, _ := json.Marshal(model) // strings always marshal
	body, err := dialect.SetMember(a.req.Body, "model", name)
	if err != nil {
		return false
	}
	b := a.with(body)
	return b != nil && b.price.Asked.Model == model && a.trial(acc, a.m.Now()).admits(b)
}
