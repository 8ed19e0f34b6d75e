// Package writer is the ledger's one writer. It takes all commands that wait,
// applies them to account state in memory, commits them in one transaction with
// one fsync, and then answers all callers. So no two requests ever race for a
// balance, and the cost of durability is shared.
package writer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
)

// Errors of the writer itself; everything else is the ledger's.
var (
	// ErrUnavailable: the ledger cannot be written now. Nothing happened, unless
	// the answer of a commit was lost: the same command, with the same ids, can be
	// sent again and happens once.
	ErrUnavailable = errors.New("the ledger cannot be written")
	// ErrClosed: the writer was closed.
	ErrClosed = errors.New("the ledger is closed")
)

// Options of a Writer. Now and Terms are required.
type Options struct {
	Now   func() time.Time
	Terms *ledger.Terms
	// Elapsed is a monotonic clock. The default is the one in what Now returns;
	// without either, a jump of Now cannot be told from time that has passed.
	Elapsed func() time.Duration
	// Abandoned says what becomes of holds that a dead process left behind, or
	// whose Lease (default DefaultLease; negative: endless) nobody renewed.
	Abandoned Abandoned
	Lease     time.Duration
	// Keep, if set, says which open holds of the last process somebody still
	// settles: their leases begin anew instead.
	Keep func(ledger.ChargeID) bool
	// Problem is told once if an invariant is violated; the writer then refuses
	// every command. It is told of ErrClockJumped and ErrClockBehind, too.
	Problem func(error)
	// OnApply, if set, runs in the commit of each command, after it: a is the account
	// then. An error fails the whole batch.
	OnApply func(tx store.Tx, a *ledger.Account, r *ledger.Result, err error, now time.Time) error
	// Changed, if set, is told of each account that a commit changed. It must not
	// block.
	Changed func(ledger.AccountID)
	// Committed, if set, is told the size of each batch and how long it took.
	Committed func(commands int, took time.Duration)
}

// Abandoned is a policy for holds that nobody will settle any more.
type Abandoned uint8

// Policies: charge what was seen delivered (the default), all of the hold, or nothing.
const (
	CaptureObserved Abandoned = iota
	CaptureHold
	ReleaseAll
)

// Writer writes the ledger. Its methods are safe for concurrent use.
type Writer struct {
	store store.Store
	opt   Options
	queue chan *job
	done  chan struct{}

	mu     sync.RWMutex // guards closed against sends on queue
	closed bool

	plans sync.Map // ledger.AccountID → string: the plan as of the last commit

	clock      *clock
	leases     *leases
	stop       chan struct{} // closed: no more sweeps
	sweeping   sync.WaitGroup
	anyWaiting atomic.Bool

	// Owned by the writer goroutine.
	terms   *ledger.Terms
	cache   map[ledger.AccountID]*ledger.Account
	sums    map[store.ID]usage.Sum // usage rows of late
	broken  error
	waiting []*job // could not be written and will be tried again
	tried   time.Time
	stamp   time.Time // of the clock in the batch that is being written
}

// maxBatch keeps a batch far below what one transaction of any store can hold.
const maxBatch = 512

// maxCached bounds the accounts, and the usage rows, in memory.
const maxCached = 50_000

type job struct {
	account ledger.AccountID
	command ledger.Command             // or
	read    func(*ledger.Account)      // or
	update  func(store.Tx) error       // or
	lapsed  ledger.ChargeID            // or
	why     string                     // it was abandoned
	retry   bool                       // or
	terms   *ledger.Terms              //
	last    bool                       // it cannot be tried again
	awaited bool                       // someone waits for the answer
	soon    bool                       // does not linger
	answer  func(ledger.Result, error) // called once, after the commit
	result  ledger.Result              //
	err     error                      //
}

// Open starts the writer on a store, after it has resolved the holds that the
// last process left open. The store must have been made for the same decimals.
func Open(ctx context.Context, s store.Store, o Options) (*Writer, error) {
	b := &Writer{
		store: s, opt: o, terms: o.Terms, queue: make(chan *job, 4*maxBatch), done: make(chan struct{}),
		cache: map[ledger.AccountID]*ledger.Account{}, sums: map[store.ID]usage.Sum{}, clock: newClock(&o), leases: newLeases(&o), stop: make(chan struct{}),
	}
	if err := b.checkFormat(ctx); err != nil {
		return nil, err
	}
	if err := b.startClock(ctx); err != nil {
		return nil, err
	}
	go b.run()
	if b.leases.length > 0 {
		b.sweeping.Add(1)
		go b.sweeper(min(b.leases.length/4+time.Millisecond, 5*time.Second), b.stop)
	}
	if err := b.recover(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Do applies a command to an account and waits until it is durable. A ctx that
// ends while the command waits does not take it back.
func (b *Writer) Do(ctx context.Context, account ledger.AccountID, c ledger.Command) (ledger.Result, error) {
	return b.wait(ctx, &job{account: account, command: c})
}

// Go applies a command without waiting; then, if not nil, is called from the
// writer when it is durable or has failed and must not block. A command that
// could not be written is tried again until Close.
func (b *Writer) Go(account ledger.AccountID, c ledger.Command, then func(ledger.Result, error)) {
	b.post(&job{account: account, command: c, answer: orNothing(then)})
}

// GoSoon is Go for a command whose durability someone is waiting for by other
// means: it does not linger for company.
func (b *Writer) GoSoon(account ledger.AccountID, c ledger.Command, then func(ledger.Result, error)) {
	b.post(&job{account: account, command: c, answer: orNothing(then), soon: true})
}

func orNothing(then func(ledger.Result, error)) func(ledger.Result, error) {
	if then == nil {
		return func(ledger.Result, error) {}
	}
	return then
}

// post sends a job that nobody waits for.
func (b *Writer) post(j *job) {
	if err := b.send(context.Background(), j); err != nil {
		j.answer(ledger.Result{}, err)
	}
}

// Account is a copy of an account's state, with everything booked that was
// asked for or due before.
func (b *Writer) Account(ctx context.Context, account ledger.AccountID) (*ledger.Account, error) {
	var got *ledger.Account
	_, err := b.wait(ctx, &job{account: account, command: ledger.Touch{}, read: func(a *ledger.Account) { got = a.Clone() }})
	return got, err
}

// Accounts calls fn for every account in order of id, beginning at from, until
// it returns false. What is due by the clock may not be booked in them yet.
func (b *Writer) Accounts(ctx context.Context, from string, fn func(*ledger.Account) bool) error {
	return b.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Account, Account: from}, false, func(_ store.ID, v []byte) error {
			a, err := ledger.DecodeAccount(v)
			if err != nil {
				return err
			}
			if !fn(a) {
				return store.ErrStop
			}
			return nil
		})
	})
}

// Update runs fn in the writer, in order with all commands, and commits what it
// writes. fn checks before it writes: what it has put is committed even if it
// then returns an error.
func (b *Writer) Update(ctx context.Context, fn func(store.Tx) error) error {
	_, err := b.wait(ctx, &job{update: fn})
	return err
}

// GoUpdate is Update without waiting.
func (b *Writer) GoUpdate(fn func(store.Tx) error, then func(error)) {
	if err := b.send(context.Background(), &job{update: fn, answer: func(_ ledger.Result, err error) { then(err) }}); err != nil {
		then(err)
	}
}

// SetTerms takes effect for commands that come after it.
func (b *Writer) SetTerms(t *ledger.Terms) {
	_ = b.send(context.Background(), &job{terms: t, answer: func(ledger.Result, error) {}})
}

// View reads the store. It may miss commands that have not been committed yet.
func (b *Writer) View(ctx context.Context, fn func(store.Snapshot) error) error {
	return b.store.View(ctx, fn)
}

// Plan is the account's plan as of its last commit: a hint to price with, which
// Reserve checks. Not ok: the account was not used since the start.
func (b *Writer) Plan(account ledger.AccountID) (plan string, ok bool) {
	v, ok := b.plans.Load(account)
	if !ok {
		return "", false
	}
	return v.(string), true //nolint:forcetypeassert // only strings are stored
}

// Now is the ledger's clock: it never goes back, and not ahead of what has
// really passed, see ClockProblem.
func (b *Writer) Now() time.Time { return b.clock.now() }

// ClockProblem is ErrClockJumped, with details, while the system's clock is not
// believed; else nil.
func (b *Writer) ClockProblem() error { return b.clock.problemNow() }

// ConfirmClock accepts the time that the system's clock shows now.
func (b *Writer) ConfirmClock() { b.clock.confirm() }

// Close waits for everything that was asked for to be durable and stops the
// writer. It does not close the store.
func (b *Writer) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.stop)
		close(b.queue)
	}
	b.mu.Unlock()
	b.sweeping.Wait()
	<-b.done
}

func (b *Writer) send(ctx context.Context, j *job) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return ErrClosed
	}
	select {
	case b.queue <- j:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

func (b *Writer) wait(ctx context.Context, j *job) (ledger.Result, error) {
	j.awaited = true
	answered := make(chan struct{})
	var result ledger.Result
	var err error
	j.answer = func(r ledger.Result, e error) {
		result, err = r, e
		close(answered)
	}
	if e := b.send(ctx, j); e != nil {
		return ledger.Result{}, e
	}
	<-answered
	return result, err
}
