//go:build linux

package main

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

const (
	recordSize = 200
	logSize    = 64 << 20 // written round and round: old records are of no use here
	maxBatch   = 4096     // records
	maxYields  = 3
)

// groupLog writes the records of all who wait at once, and syncs once for them.
// Its file is full of zeros from the start: a write changes no metadata, which
// makes its sync as cheap as it can be.
type groupLog struct {
	file  *os.File
	queue chan *waiter
	pool  sync.Pool
	ended chan struct{}
}

type waiter struct{ done chan error }

func openLog(path string) (*groupLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the bench's own directory
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for n := 0; n < logSize; n += len(zeros) {
		if _, err := f.Write(zeros); err != nil {
			return nil, err
		}
	}
	l := &groupLog{file: f, queue: make(chan *waiter, maxBatch), ended: make(chan struct{})}
	l.pool.New = func() any { return &waiter{make(chan error, 1)} }
	go l.run()
	return l, f.Sync()
}

func (l *groupLog) close() error {
	close(l.queue)
	<-l.ended
	return l.file.Close()
}

func (l *groupLog) hold(string) error { return l.append() }

func (l *groupLog) settle(string) error { return l.append() }

// append returns when a record is durable.
func (l *groupLog) append() error {
	w := l.pool.Get().(*waiter)
	l.queue <- w
	err := <-w.done
	l.pool.Put(w)
	return err
}

// run commits, batch after batch.
func (l *groupLog) run() {
	defer close(l.ended)
	buf := make([]byte, maxBatch*recordSize)
	for i := range buf {
		buf[i] = byte(i)
	}
	var batch []*waiter
	var off int64
	for first := range l.queue {
		batch = l.gather(append(batch[:0], first))
		n := int64(len(batch) * recordSize)
		if off+n > logSize {
			off = 0
		}
		_, err := l.file.WriteAt(buf[:n], off)
		if err == nil {
			err = syscall.Fdatasync(int(l.file.Fd()))
		}
		off += n
		for _, w := range batch {
			w.done <- err
		}
	}
}

// gather takes all who wait. It lets others run a few times before it is content:
// those who are about to ask share the sync.
func (l *groupLog) gather(batch []*waiter) []*waiter {
	for yields := 0; len(batch) < maxBatch; {
		select {
		case w, ok := <-l.queue:
			if !ok {
				return batch
			}
			batch = append(batch, w)
		default:
			if yields++; yields > maxYields {
				return batch
			}
			runtime.Gosched()
		}
	}
	return batch
}
