package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/farebox-dev/farebox/meter/account/intake"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Imported is what an import did, or would do.
type Imported struct {
	Lines     int // with an account or a problem
	Created   int
	Unchanged int // imported before from the same line
	Failed    int // with problems
	Members   int // of created accounts, as what follows
	Keys      int
	Plans     map[string]int
	Balances  map[string]money.Amount // by type
	Problems  []ImportProblem         // the first ones
	More      int                     // further ones
}

// ImportProblem is what is wrong with a line, and what to do.
type ImportProblem struct {
	Line    int    `json:"line"`
	Account string `json:"account,omitempty"`
	Problem string `json:"problem"`
}

// mostImportProblems bounds how many are reported.
const mostImportProblems = 1000

// importsAtOnce is how many accounts wait for one commit. More would be faster, but
// a paid request that comes meanwhile waits for all of them.
const importsAtOnce = 256

// Import opens the accounts of a list. An account is there with all that its line
// says, or not at all: its line is one command. What was imported before stays as
// it is, so that an import that ended halfway is run again. The error is one of the
// ledger or the list; problems of lines do not end an import.
func (s *Accounts) Import(ctx context.Context, list intake.Reader, dryRun bool) (*Imported, error) {
	i := &importing{
		Accounts: s, dryRun: dryRun, slots: make(chan struct{}, importsAtOnce), lines: map[string]int{}, keys: map[[32]byte]int{},
		done: &Imported{Plans: map[string]int{}, Balances: map[string]money.Amount{}},
	}
	err := i.readAll(ctx, list)
	i.under.Wait()
	return i.done, errors.Join(err, i.failed)
}

type importing struct {
	*Accounts
	dryRun bool
	lines  map[string]int   // account → its line
	keys   map[[32]byte]int // key → its line

	slots chan struct{}
	under sync.WaitGroup

	mu     sync.Mutex
	done   *Imported
	failed error // of the ledger
}

func (i *importing) readAll(ctx context.Context, list intake.Reader) error {
	for {
		if err := i.over(ctx); err != nil {
			return nil //nolint:nilerr // Import returns it
		}
		l, err := list.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		i.line(ctx, &l)
	}
}

// over is why the import ends early.
func (i *importing) over(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failed == nil && ctx.Err() != nil {
		i.failed = context.Cause(ctx)
	}
	return i.failed
}

func (i *importing) line(ctx context.Context, l *intake.Line) {
	c, n, problems := i.prepare(l)
	if first := i.lines[l.Account.ID]; first > 0 {
		problems = append(problems, fmt.Sprintf("the account is in line %d already; remove one of the two lines", first))
	} else if l.Account.ID != "" {
		i.lines[l.Account.ID] = l.Number
	}
	for k, of := range n.Hashes() {
		if first := i.keys[of]; first > 0 && first != l.Number {
			problems = append(problems, fmt.Sprintf("the key %s is in line %d already; a key belongs to one account", n.Hint(k), first))
		} else {
			i.keys[of] = l.Number
		}
	}
	switch {
	case len(problems) > 0:
		i.problem(l, problems...)
	case i.dryRun:
		i.try(ctx, l, c, n)
	default:
		i.slots <- struct{}{}
		i.under.Add(1)
		line := *l
		n.Companion().Go(ctx, i.writer, c.ID, c, func(r ledger.Result, err error) {
			n.Forget()
			i.ended(&line, &c, n, r.Replayed, err)
			<-i.slots
			i.under.Done()
		})
	}
}

// try finds out what an import of the line would do.
func (i *importing) try(ctx context.Context, l *intake.Line, c ledger.Import, n *directory.Newcomers) {
	before := false
	err := i.writer.View(ctx, func(v store.Snapshot) error {
		_, err := v.Get(store.ID{Kind: store.Account, Account: l.Account.ID})
		if errors.Is(err, store.ErrNotFound) {
			if err = n.Check(v); err == nil {
				_, err = ledger.Apply(&ledger.Account{ID: c.ID}, c, ledger.Env{Now: i.writer.Now(), Terms: i.books.InForce().Terms})
			}
			return err
		}
		if err != nil {
			return err
		}
		before, err = writer.ImportedBefore(v, c)
		return err
	})
	i.ended(l, &c, n, before, err)
}

// ended counts a line that was applied, or would be.
func (i *importing) ended(l *intake.Line, c *ledger.Import, n *directory.Newcomers, before bool, err error) {
	if err != nil && !stops(err) {
		i.problem(l, importProblem(err))
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch d := i.done; {
	case err != nil:
		if i.failed == nil {
			i.failed = err
		}
	case before:
		d.Lines++
		d.Unchanged++
	default:
		d.Lines++
		d.Created++
		members, keys := n.Count()
		d.Members, d.Keys = d.Members+members, d.Keys+keys
		plan := c.Plan
		if plan == "" {
			plan = i.books.InForce().Terms.DefaultPlan
		}
		d.Plans[plan]++
		for _, g := range c.Balances {
			d.Balances[g.Type] += g.Amount
		}
	}
}

func (i *importing) problem(l *intake.Line, texts ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	d := i.done
	d.Lines++
	d.Failed++
	for _, text := range texts {
		if len(d.Problems) == mostImportProblems {
			d.More++
			continue
		}
		d.Problems = append(d.Problems, ImportProblem{Line: l.Number, Account: l.Account.ID, Problem: text})
	}
}

// stops reports whether an error is of the ledger, not of the line.
func stops(err error) bool {
	return errors.Is(err, writer.ErrUnavailable) || errors.Is(err, writer.ErrClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func importProblem(err error) string {
	if errors.Is(err, ledger.ErrAccountExists) || errors.Is(err, ledger.ErrIdempotencyConflict) {
		return "the account exists, and was not imported from a line like this one; an import does not change accounts: remove the line, or change the account with account set-plan, grant, member add"
	}
	return problemText(err)
}
