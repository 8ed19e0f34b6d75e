package writer

import (
	"context"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// Pending is a command that was applied, and may not be durable yet.
type Pending struct {
	Result ledger.Result

	applied chan struct{} // Result is there
	durable chan struct{} // err is there

	mu    sync.Mutex
	timer *time.Timer // ends the wait for the ledger; nil: it has no bound
	err   error
	lost  func()
	begun bool // applied is closed
	done  bool // durable is closed
}

// Begin applies a command and returns before it is durable, if it succeeded. Later
// commands see what it did. If it cannot be written after all, or not in time, Wait
// returns ErrUnavailable, and it did nothing: a hold that is written too late is
// released. A command that fails, or that was applied before, is answered when that is
// final, as by Do.
func (w *Writer) Begin(ctx context.Context, account ledger.AccountID, c ledger.Command) (*Pending, error) {
	if err := w.Patience.stuck(); err != nil {
		return nil, err
	}
	p := &Pending{applied: make(chan struct{}), durable: make(chan struct{})}
	if within := w.Patience.within(); within > 0 {
		p.mu.Lock()
		p.timer = time.AfterFunc(within, func() { p.end(ledger.Result{}, w.Patience.late()) })
		p.mu.Unlock()
	}
	j := &job{account: account, command: c, awaited: true, pending: p}
	j.answer = func(r ledger.Result, err error) {
		if !p.end(r, err) && err == nil {
			w.undo(account, c, &r)
		}
	}
	if err := w.send(ctx, j); err != nil {
		p.end(ledger.Result{}, err)
		return nil, err
	}
	<-p.applied
	select {
	case <-p.durable:
		return p, p.err
	default:
		return p, nil
	}
}

// begin passes on what the command did, if that is worth to go on with.
func (p *Pending) begin(j *job) {
	if j.err != nil || j.result.Replayed {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		p.Result, p.begun = j.result, true
		close(p.applied)
	}
}

// end is called when the command is durable, was not written, or its time is over. It
// reports false if it had ended before.
func (p *Pending) end(r ledger.Result, err error) bool {
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.done {
		p.mu.Unlock()
		return false
	}
	p.err, p.done = err, true
	begun, lost := p.begun, p.lost
	close(p.durable)
	if !begun {
		p.Result, p.begun = r, true
		close(p.applied)
	}
	p.mu.Unlock()
	if begun && err != nil && lost != nil {
		lost()
	}
	return true
}

func (p *Pending) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// Wait returns when the command is durable, or with an error if it was not written.
func (p *Pending) Wait() error {
	<-p.durable
	return p.err
}

// OnLost calls fn if the command turns out not to be written.
func (p *Pending) OnLost(fn func()) {
	p.mu.Lock()
	lost := p.done && p.err != nil
	p.lost = fn
	p.mu.Unlock()
	if lost {
		fn()
	}
}
