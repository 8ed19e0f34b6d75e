package writer

import (
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// A settle that cannot be written has no caller that would send it again. The
// writer keeps it and retries, in order, until it is written or the writer closes.

const (
	retryEvery = time.Second
	maxWaiting = 16 * maxBatch
)

// mayWait reports whether j can be retried instead of failing now.
func (w *Writer) mayWait(j *job) bool {
	return !j.awaited && !j.last && j.command != nil && w.broken == nil && len(w.waiting) < maxWaiting
}

// queueBehind moves jobs that may wait behind those of the same charge that already
// do, so that they stay in order. It returns the others.
func (w *Writer) queueBehind(batch []*job) []*job {
	if len(w.waiting) == 0 {
		return batch
	}
	rest := batch[:0:0]
	for _, j := range batch {
		if w.mayWait(j) && w.behind[chargeOf(j.command)] {
			w.retryLater(j)
		} else {
			rest = append(rest, j)
		}
	}
	return rest
}

func (w *Writer) retryLater(j *job) {
	j.result, j.err, j.early = ledger.Result{}, nil, false
	if r, ok := j.command.(ledger.Reserve); ok { // it may have been written
		r.Fresh = false
		j.command = r
	}
	w.waiting = append(w.waiting, j)
	w.behind[chargeOf(j.command)] = true
	w.anyWaiting.Store(true)
}

// retryWaiting commits the waiting jobs one by one, so that a job that can't be
// written for a reason of its own does not block the others. last is the final try.
func (w *Writer) retryWaiting(last bool) {
	if len(w.waiting) == 0 || !last && time.Since(w.tried) < retryEvery {
		return
	}
	w.tried = time.Now()
	list := w.waiting
	w.waiting = nil
	clear(w.behind)
	for i, j := range list {
		if i > 0 && !last && w.Patience.passing() { // as the one before: the database does not answer
			w.retryLater(j)
			continue
		}
		if j.last = last; w.behind[chargeOf(j.command)] && w.mayWait(j) {
			w.retryLater(j)
			continue
		}
		w.commit([]*job{j})
	}
	w.anyWaiting.Store(len(w.waiting) > 0)
}

// tell ends a job. It reports false if the caller has left.
func (j *job) tell(r ledger.Result, err error) bool {
	if j.answer != nil {
		j.answer(r, err)
		return true
	}
	j.result, j.err = r, err
	if !atomic.CompareAndSwapInt32(&j.state, stateWaiting, stateAnswered) {
		return false
	}
	j.done <- struct{}{}
	return true
}
