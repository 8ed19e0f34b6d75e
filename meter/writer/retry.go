package writer

import (
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// Nobody would send a settle again if it could not be written: the writer keeps
// it and tries again, in order, until it can be, or until the writer is closed.

const (
	retryEvery = time.Second
	maxWaiting = 16 * maxBatch
)

// mayWait reports whether j can be tried again instead of failing now.
func (b *Writer) mayWait(j *job) bool {
	return !j.awaited && !j.last && j.command != nil && b.broken == nil && len(b.waiting) < maxWaiting
}

// behind moves what nobody waits for behind what waits already.
func (b *Writer) behind(batch []*job) []*job {
	if len(b.waiting) == 0 {
		return batch
	}
	rest := batch[:0:0]
	for _, j := range batch {
		if b.mayWait(j) {
			b.keep(j)
		} else {
			rest = append(rest, j)
		}
	}
	return rest
}

func (b *Writer) keep(j *job) {
	j.result, j.err = ledger.Result{}, nil
	b.waiting = append(b.waiting, j)
	b.anyWaiting.Store(true)
}

// again tries what waits, one by one, so that one that can't be written for a
// reason of its own is in nobody's way. last: there is no other time.
func (b *Writer) again(last bool) {
	if len(b.waiting) == 0 || !last && time.Since(b.tried) < retryEvery {
		return
	}
	b.tried = time.Now()
	list := b.waiting
	b.waiting = nil
	for _, j := range list {
		j.last = last
		b.commit([]*job{j})
	}
	b.anyWaiting.Store(len(b.waiting) > 0)
}
