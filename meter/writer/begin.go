package writer

import (
	"context"
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// Pending is a command that was applied, and may not be durable yet.
type Pending struct {
	Result ledger.Result

	applied chan struct{} // Result is there
	durable chan struct{} // err is there

	mu   sync.Mutex
	err  error
	lost func()
	done bool
}

// Begin applies a command and returns before it is durable, if it succeeded. Later
// commands see what it did. If it cannot be written after all, Wait returns
// ErrUnavailable, and it did nothing. A command that fails, or that was applied
// before, is answered when that is final, as by Do.
func (w *Writer) Begin(ctx context.Context, account ledger.AccountID, c ledger.Command) (*Pending, error) {
	p := &Pending{applied: make(chan struct{}), durable: make(chan struct{})}
	if err := w.send(ctx, &job{account: account, command: c, awaited: true, pending: p, answer: p.end}); err != nil {
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
	if j.err == nil && !j.result.Replayed && !p.begun() {
		p.Result = j.result
		close(p.applied)
	}
}

func (p *Pending) begun() bool {
	select {
	case <-p.applied:
		return true
	default:
		return false
	}
}

// end is called when the command is durable, or was not written.
func (p *Pending) end(r ledger.Result, err error) {
	p.mu.Lock()
	p.err, p.done = err, true
	lost := p.lost
	p.mu.Unlock()
	begun := p.begun()
	if !begun {
		p.Result = r
	}
	close(p.durable)
	if !begun {
		close(p.applied)
	} else if err != nil && lost != nil {
		lost()
	}
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
