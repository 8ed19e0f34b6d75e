package writer

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// A disk can hang: a sync takes seconds, or never returns. A caller waits for the ledger
// for a bounded time and then leaves. If the writer has not begun its command, it skips
// it. If it has, it releases the hold as soon as it can. Settles do not leave: they wait
// in the writer for as long as it takes.

// DefaultTimeout is how long a caller waits for the ledger.
const DefaultTimeout = 5 * time.Second

// Patience is how long callers wait for the ledger, and why they would wait.
type Patience struct {
	timeout atomic.Int64 // 0: for as long as it takes
	began   time.Time
	commit  atomic.Int64          // since when the commit that runs has been running, after began; 0: none runs
	failed  atomic.Pointer[error] // of the last commit
	full    func() error
	ended   chan struct{} // closed when the writer has ended
}

func newPatience(timeout time.Duration, w *Writer) *Patience {
	p := &Patience{began: time.Now(), full: w.full, ended: w.done}
	p.Set(timeout)
	return p
}

// Set sets how long callers wait; 0 is DefaultTimeout, negative: for as long as it takes.
func (p *Patience) Set(timeout time.Duration) {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	p.timeout.Store(int64(max(0, timeout)))
}

func (p *Patience) within() time.Duration { return time.Duration(p.timeout.Load()) }

func (p *Patience) late() error {
	return fmt.Errorf("%w: it has not answered within %s; the disk may hang", ErrUnavailable, p.within())
}

// stuck is an error while the commit that runs takes longer than callers wait: those
// that come now need not wait at all.
func (p *Patience) stuck() error {
	since, within := p.commit.Load(), p.within()
	if since == 0 || within == 0 || time.Since(p.began)-time.Duration(since) < within {
		return nil
	}
	return p.late()
}

// Trouble is why paid requests are refused; nil: they are not.
func (p *Patience) Trouble() error {
	if err := p.stuck(); err != nil {
		return err
	}
	if err := p.full(); err != nil {
		return err
	}
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Ended reports whether a writer that was closed has ended: only then may its store be
// closed.
func (p *Patience) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// CommitAge is how long the commit that runs has been running.
func (p *Patience) CommitAge() time.Duration {
	since := p.commit.Load()
	if since == 0 {
		return 0
	}
	return time.Since(p.began) - time.Duration(since)
}

func (p *Patience) beginCommit() { p.commit.Store(max(1, int64(time.Since(p.began)))) }

func (p *Patience) endCommit(err error) {
	p.commit.Store(0)
	if err != nil && !errors.Is(err, store.ErrTooBig) {
		p.failed.Store(&err)
	} else if p.failed.Load() != nil {
		p.failed.Store(nil)
	}
}

// States of a job whose caller waits.
const (
	stateWaiting int32 = iota
	stateAnswered
	stateLeft // the caller has left
)

// await waits for the answer. It reports false if the caller leaves: then the job is
// the writer's alone.
func (j *job) await(within time.Duration) bool {
	if within == 0 {
		<-j.done
		return true
	}
	if j.timer == nil {
		j.timer = time.NewTimer(within)
	} else {
		j.timer.Reset(within)
	}
	select {
	case <-j.done:
		j.timer.Stop()
		return true
	case <-j.timer.C:
		if atomic.CompareAndSwapInt32(&j.state, stateWaiting, stateLeft) {
			return false
		}
		<-j.done
		return true
	}
}

// left reports whether the caller has left.
func (j *job) left() bool {
	return atomic.LoadInt32(&j.state) == stateLeft || j.pending != nil && j.pending.ended()
}

// undo releases a hold that was written after its caller had left. The release is
// retried until it is written, like a settle.
func (w *Writer) undo(account ledger.AccountID, c ledger.Command, r *ledger.Result) {
	if _, ok := c.(ledger.Reserve); !ok || r.Charge == nil || r.Charge.State != ledger.Held || r.Replayed {
		return
	}
	w.retryLater(&job{account: account, answer: func(ledger.Result, error) {}, command: ledger.Release{
		Charge: r.Charge.ID, Failed: true, Outcome: ledger.Outcome{Text: "the ledger answered too late"},
	}})
}
