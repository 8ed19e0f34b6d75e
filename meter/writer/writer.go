// Package writer is the ledger's single writer. It takes all waiting commands,
// applies them to account state in memory, commits them in one transaction with
// one fsync, and then answers all callers. No two requests race for a balance,
// and they share the cost of durability.
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
	// ErrUnavailable: the ledger cannot be written now. Nothing happened, unless a
	// commit succeeded and its answer was lost. Send the same command with the same
	// ids again: it takes effect once.
	ErrUnavailable = errors.New("the ledger cannot be written")
	// ErrClosed: the writer was closed.
	ErrClosed = errors.New("the ledger is closed")
)

// Options of a Writer. Now and Terms are required.
type Options struct {
	Now   func() time.Time
	Terms *ledger.Terms
	// Elapsed is a monotonic clock. The default is the monotonic reading of what Now
	// returns; without either, a jump of Now looks like time that has passed.
	Elapsed func() time.Duration
	// Seen is when a process was last at work on the store, if that is known from
	// elsewhere; the ledger itself knows its last entry.
	Seen time.Time
	// Host explains a clock that is ahead. The default is this machine, if Now is its
	// clock.
	Host Host
	// Abandoned is the policy for holds that a dead process left behind, or whose
	// Lease (default DefaultLease; negative: no lease) was not renewed.
	Abandoned Abandoned
	Lease     time.Duration
	// Timeout is how long callers wait for the ledger, see Patience.Set.
	Timeout time.Duration
	// Presence is how long this process counts as alive, on a store that several share,
	// after it was last heard of. The default is DefaultPresence.
	Presence time.Duration
	// BookDigest, if set, is the price book in force here, for the others to compare.
	BookDigest func() string
	// Succeeds: another process goes on with the holds that are open: see Peers.Share.
	Succeeds bool
	// Keep, if set, reports which open holds of the last process will still be
	// settled: they get a new lease instead.
	Keep func(ledger.ChargeID) bool
	// Problem is called once if an invariant is violated; the writer then refuses
	// every command. It also gets ErrClockJumped and ErrClockBehind.
	Problem func(error)
	// OnApply, if set, is called after each command, within its commit: a is the
	// account as the command left it. An error fails the whole batch.
	OnApply func(tx store.Tx, a *ledger.Account, r *ledger.Result, err error, now time.Time) error
	// Changed, if set, is called with each account that a commit changed. It must
	// not block.
	Changed func(ledger.AccountID)
	// Committed, if set, is called with the size of each batch and its duration.
	Committed func(commands int, took time.Duration)
}

// Writer writes the ledger. It is safe for concurrent use.
type Writer struct {
	Patience *Patience
	Peers    *Peers

	store   store.Store
	sharing atomic.Pointer[store.Shared] // see db
	turn    sync.Mutex                   // held while a batch is written, or the store becomes another
	opt     Options
	queue   chan *job
	done    chan struct{}

	mu     sync.RWMutex // guards closed against sends on queue
	closed bool

	plans plans     // as of the last commit
	waits sync.Pool // jobs whose callers wait, to be used again

	clock      *Clock
	leases     *leases
	stop       chan struct{} // closed: no more sweeps
	sweeping   sync.WaitGroup
	anyWaiting atomic.Bool
	ledger     Ledger
	count      atomic.Int64 // of accounts

	// Owned by the writer goroutine.
	terms   *ledger.Terms
	cache   cache
	sums    map[store.ID]usage.Sum          // recently used rows
	hints   map[ledger.AccountID][]store.ID // see hintUsage
	broken  error
	waiting []*job                   // could not be written, to be retried
	behind  map[ledger.ChargeID]bool // charges of waiting
	tried   time.Time                // when waiting was last retried
	stamp   time.Time                // clock reading in the current batch
	opened  int64                    // accounts that the current batch opened

	shared bool // the last batch had several jobs

	// Of the current batch; kept for the next one to use again.
	door    door // of the commit that is being made
	leftOut bool // a job of it is not to be written
	dirty   map[ledger.AccountID]*ledger.Account
	used    rows
	named   map[ledger.AccountID]bool
	ids     []string
	buf     []byte // a record that is being written
}

// maxBatch keeps a batch far below what one transaction of any store can hold.
const maxBatch = 512

// job is one thing for the writer to do: command (then read), update, lapsed,
// retry or terms.
type job struct {
	account ledger.AccountID
	command ledger.Command
	read    func(*ledger.Account) // gets the account after command
	with    *Companion            // of command
	update  func(store.Tx) error
	within  []string        // accounts that update is about
	lapsed  ledger.ChargeID // a hold to resolve if its lease has lapsed
	why     string          // its outcome
	retry   bool            // only wakes the writer to retry what waits
	terms   *ledger.Terms

	awaited  bool                       // a caller waits, at done
	soon     bool                       // does not linger
	tooLarge error                      // what it would write is too large to be kept
	early    bool                       // may not begin now, see full
	last     bool                       // cannot be retried
	answer   func(ledger.Result, error) // called once, after the commit, unless a caller waits
	pending  *Pending                   // of Begin
	done     chan struct{}
	timer    *time.Timer
	state    int32 // of an awaited job: stateWaiting, …
	result   ledger.Result
	err      error
}

// Open starts the writer on a store and resolves the holds that the last process
// left open. The store must have been created with the same decimals.
func Open(ctx context.Context, s store.Store, o Options) (*Writer, error) {
	w := &Writer{
		store: s, opt: o, terms: o.Terms, queue: make(chan *job, 4*maxBatch), done: make(chan struct{}), plans: plans{of: map[ledger.AccountID]string{}},
		sums: map[store.ID]usage.Sum{}, clock: newClock(&o), leases: newLeases(&o), stop: make(chan struct{}),
		hints: map[ledger.AccountID][]store.ID{}, behind: map[ledger.ChargeID]bool{}, dirty: map[ledger.AccountID]*ledger.Account{}, used: rows{}, named: map[ledger.AccountID]bool{},
	}
	w.cache = newCache(&w.plans)
	w.share()
	w.Patience = newPatience(o.Timeout, w)
	if err := w.checkFormat(ctx); err != nil {
		return nil, err
	}
	if err := w.startState(ctx); err != nil {
		return nil, err
	}
	open, err := w.openHolds(ctx)
	if err != nil {
		return nil, err
	}
	go w.run()
	if err := w.Peers.open(ctx); err != nil {
		w.Close()
		return nil, err
	}
	if w.leases.length > 0 {
		w.sweeping.Add(1)
		go w.sweeper(min(w.leases.length/4+time.Millisecond, 5*time.Second), w.stop)
	}
	if err := w.recover(open); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Do applies a command to an account and waits until it is durable. Once the
// command is queued, the end of ctx does not cancel it.
func (w *Writer) Do(ctx context.Context, account ledger.AccountID, c ledger.Command) (ledger.Result, error) {
	return w.wait(ctx, job{account: account, command: c})
}

// Go applies a command without waiting. When it is durable or has failed, the
// writer calls then; then must not block. Without then the command may wait some
// milliseconds to share a commit with others. A command that cannot be written is
// retried until Close.
func (w *Writer) Go(account ledger.AccountID, c ledger.Command, then func(ledger.Result, error)) {
	w.post(&job{account: account, command: c, answer: orNothing(then), soon: then != nil})
}

func orNothing(then func(ledger.Result, error)) func(ledger.Result, error) {
	if then == nil {
		return func(ledger.Result, error) {}
	}
	return then
}

// post sends a job without waiting for its answer.
func (w *Writer) post(j *job) {
	if err := w.send(context.Background(), j); err != nil {
		j.tell(ledger.Result{}, err)
	}
}

// Account is a copy of an account's state, after all earlier commands and
// everything that was due by the clock.
func (w *Writer) Account(ctx context.Context, account ledger.AccountID) (*ledger.Account, error) {
	var got *ledger.Account
	_, err := w.wait(ctx, job{account: account, command: ledger.Touch{}, read: func(a *ledger.Account) { got = a.Clone() }})
	if err != nil {
		return nil, err // after a timeout, got is not ours
	}
	return got, nil
}

// Accounts calls fn for every account in order of id, beginning at from, until
// it returns false. Renewals and expiry that are due may not be booked yet.
func (w *Writer) Accounts(ctx context.Context, from string, fn func(*ledger.Account) bool) error {
	return w.View(ctx, func(s store.Snapshot) error {
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
// writes. fn must check before it writes: what it has put is committed even if it
// then returns an error.
func (w *Writer) Update(ctx context.Context, fn func(store.Tx) error) error {
	_, err := w.wait(ctx, job{update: fn})
	return err
}

// GoUpdate is Update without waiting.
func (w *Writer) GoUpdate(fn func(store.Tx) error, then func(error)) {
	if err := w.send(context.Background(), &job{update: fn, answer: func(_ ledger.Result, err error) { then(err) }}); err != nil {
		then(err)
	}
}

// SetTerms sets the terms of all later commands.
func (w *Writer) SetTerms(t *ledger.Terms) {
	_ = w.send(context.Background(), &job{terms: t, answer: func(ledger.Result, error) {}})
}

// View reads the store. Commands that are not committed yet are not in it.
func (w *Writer) View(ctx context.Context, fn func(store.Snapshot) error) error {
	return unavailable(w.store.View(ctx, fn))
}

// Plan is the account's plan as of its last commit: a hint for pricing, which
// Reserve checks. Not ok: the account has not been used since the start.
func (w *Writer) Plan(account ledger.AccountID) (plan string, ok bool) {
	return w.plans.get(account)
}

// Now is the ledger's clock. It never goes back, and does not follow a jump of
// the system's clock; see Clock.
func (w *Writer) Now() time.Time { return w.clock.now() }

// Clock is the ledger's clock.
func (w *Writer) Clock() *Clock { return w.clock }

// Close stops the writer when all queued commands are durable, or the disk hangs. It
// does not close the store.
func (w *Writer) Close() {
	w.Peers.close()
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.stop)
		close(w.queue)
	}
	w.mu.Unlock()
	w.sweeping.Wait()
	select {
	case <-w.done:
	case <-time.After(closeWithin):
	}
}

// closeWithin bounds how long Close waits for a disk that hangs; see Patience.Ended.
var closeWithin = 5 * time.Second

func (w *Writer) send(ctx context.Context, j *job) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ErrClosed
	}
	if err := j.bound(); err != nil {
		return err
	}
	select {
	case w.queue <- j:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

func (w *Writer) wait(ctx context.Context, of job) (ledger.Result, error) {
	if err := w.Patience.stuck(); err != nil {
		return ledger.Result{}, err
	}
	j, _ := w.waits.Get().(*job)
	if j == nil {
		j = &job{done: make(chan struct{}, 1)}
	}
	of.done, of.timer, of.awaited = j.done, j.timer, true
	*j = of
	err := w.send(ctx, j)
	if err == nil {
		if !j.await(w.Patience.within()) {
			return ledger.Result{}, w.Patience.late()
		}
		of.result, err = j.result, j.err
	}
	*j = job{done: j.done, timer: j.timer}
	w.waits.Put(j)
	return of.result, err
}
