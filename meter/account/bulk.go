package account

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Granted is what a grant to many accounts did, or would do.
type Granted struct {
	Accounts int // that the filter selects
	Granted  int
	Before   int          // had the grant under the same key already
	Total    money.Amount // of what was granted now
	Failed   int
	Problems []GrantProblem // the first ones
}

// GrantProblem is why an account got nothing.
type GrantProblem struct {
	Account string `json:"account"`
	Problem string `json:"problem"`
}

const mostGrantProblems = 100

// GrantAll grants the same to each account of a filter, once for each idempotency
// key: if it ended halfway, another run with the same key grants what is missing.
func (f Filter) GrantAll(ctx context.Context, s *Accounts, r GrantRequest, dryRun bool) (*Granted, error) {
	one, err := s.give(r)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	one.Idempotency, one.Hash = r.Idempotency, sha256.Sum256(raw)
	var ids []ledger.AccountID
	if err := s.Select(ctx, "", f, func(a *ledger.Account) bool { ids = append(ids, a.ID); return true }); err != nil {
		return nil, err
	}
	g := &grantingAll{Accounts: s, done: &Granted{Accounts: len(ids)}}
	if dryRun {
		return g.done, g.tryAll(ctx, ids, &one)
	}
	slots := make(chan struct{}, importsAtOnce)
	for _, id := range ids {
		if g.over(ctx) {
			break
		}
		slots <- struct{}{}
		g.under.Add(1)
		give, err := s.give(r) // with an id of its own
		if err != nil {
			return nil, err
		}
		give.Idempotency, give.Hash = one.Idempotency, one.Hash
		new(writer.Companion).Go(ctx, s.writer, id, give, func(r ledger.Result, err error) {
			g.ended(id, r.Amount, r.Replayed, err)
			<-slots
			g.under.Done()
		})
	}
	g.under.Wait()
	if g.failed != nil {
		return nil, fmt.Errorf("%w; %d accounts were granted credits, run it again with the same idempotency key for the others", g.failed, g.done.Granted)
	}
	return g.done, nil
}

type grantingAll struct {
	*Accounts
	under  sync.WaitGroup
	mu     sync.Mutex
	done   *Granted
	failed error
}

func (g *grantingAll) over(ctx context.Context) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil && ctx.Err() != nil {
		g.failed = context.Cause(ctx)
	}
	return g.failed != nil
}

// ended counts an account.
func (g *grantingAll) ended(id ledger.AccountID, n money.Amount, before bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch d := g.done; {
	case err != nil && stops(err):
		if g.failed == nil {
			g.failed = err
		}
	case err != nil:
		d.Failed++
		if len(d.Problems) < mostGrantProblems {
			d.Problems = append(d.Problems, GrantProblem{string(id), problemText(err)})
		}
	case before:
		d.Before++
	default:
		d.Granted++
		d.Total += n
	}
}

// tryAll finds out what the grant would do, on copies of the accounts.
func (g *grantingAll) tryAll(ctx context.Context, ids []ledger.AccountID, one *ledger.Give) error {
	env := ledger.Env{Now: g.writer.Now(), Terms: g.books.InForce().Terms}
	return g.writer.View(ctx, func(v store.Snapshot) error {
		for _, id := range ids {
			raw, err := v.Get(store.ID{Kind: store.Account, Account: string(id)})
			if err != nil {
				return err
			}
			a, err := ledger.DecodeAccount(raw)
			if err == nil {
				env.Remembered, err = writer.GrantedBefore(v, id, one.Idempotency)
			}
			if err != nil {
				return err
			}
			r, err := ledger.Apply(a, *one, env)
			g.ended(id, r.Amount, r.Replayed, err)
		}
		return nil
	})
}
