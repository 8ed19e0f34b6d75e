// Package alarm tells operators of the ledger's problems.
package alarm

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/event"
)

// pause is the time between two ledger.problem events: a problem
// that comes with every request is one message a minute, not thousands.
const pause = time.Minute

// Alarm tells operators of the ledger's problems. Who rings it may be the
// ledger's writer itself, so telling, which waits for the writer, is done
// elsewhere.
type Alarm struct {
	log  *zap.Logger
	rung chan struct{} // holds one
	quit chan struct{}
	done sync.WaitGroup
	once sync.Once

	mu   sync.Mutex
	last error
	more int // that came since the last message, besides last
}

// New is an alarm; its messages go out after Start.
func New(log *zap.Logger) *Alarm {
	return &Alarm{log: log, rung: make(chan struct{}, 1), quit: make(chan struct{})}
}

// Ring logs a problem, and has it told soon. It never waits.
func (a *Alarm) Ring(err error) {
	a.log.Error("ledger.problem", zap.Error(err))
	a.mu.Lock()
	if a.last != nil {
		a.more++
	}
	a.last = err
	a.mu.Unlock()
	select {
	case a.rung <- struct{}{}:
	default:
	}
}

// Start begins to send, once a dispatcher exists. Problems from before
// are sent then.
func (a *Alarm) Start(m *meter.Gateway) {
	a.once.Do(func() {
		a.done.Go(func() { a.run(m) })
		a.done.Go(func() { a.watch(m) })
	})
}

// Stop ends the sending.
func (a *Alarm) Stop() {
	close(a.quit)
	a.done.Wait()
}

func (a *Alarm) run(m *meter.Gateway) {
	for {
		select {
		case <-a.rung:
		case <-a.quit:
			return
		}
		a.tell(m)
		select {
		case <-time.After(pause):
		case <-a.quit:
			return
		}
	}
}

// tell sends the last problem.
func (a *Alarm) tell(m *meter.Gateway) {
	a.mu.Lock()
	err, more := a.last, a.more
	a.last, a.more = nil, 0
	a.mu.Unlock()
	if err == nil {
		return
	}
	a.send(m, event.LedgerProblem, map[string]any{"problem": err.Error(), "more": more})
}

// send goes through the outbox, or past it if it cannot be written.
func (a *Alarm) send(m *meter.Gateway, kind string, data map[string]any) {
	what := fmt.Sprint(m.Now().UnixNano())
	if m.Events.Post(context.Background(), "", kind, what, data) == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pause/4)
	defer cancel()
	if err := m.Events.NotifyOperator(ctx, kind, what, data); err != nil {
		a.log.Warn("the event could not be sent", zap.String("event", kind), zap.Error(err))
	}
}
