package writer

import (
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
)

// On a disk that is nearly full nothing new begins, so that what has begun can end:
// the holds of requests stop earlier than their settles.

// full is not nil while nothing new may begin; it wraps ErrUnavailable.
func (w *Writer) full() error {
	d, ok := w.store.(store.OnDisk)
	if !ok {
		return nil
	}
	if err := d.Full(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// bound makes sure that no text of a command is too long to be kept. It runs in the
// caller's goroutine.
func (j *job) bound() (err error) {
	if j.command != nil {
		j.command, err = ledger.Bounded(j.command)
	}
	return err
}

// door is the one way of a record into the store: none is larger than its kind may be,
// so that nothing that anybody sends makes a record that stays and has no bound. The
// error is that of the job that wrote it.
type door struct {
	store.Tx
	tooLarge error
}

// Put implements store.Tx.
func (d *door) Put(id store.ID, value []byte) error {
	most := id.Kind.Most()
	switch {
	case len(value) > most:
		d.tooLarge = input.Errorf("what is to be kept in %s has %d bytes, and at most %d are possible", id.Kind, len(value), most)
	case id.Len() > store.MostID:
		d.tooLarge = input.Errorf("the name of what is to be kept in %s has %d bytes, and at most %d are possible", id.Kind, id.Len(), store.MostID)
	default:
		return d.Tx.Put(id, value)
	}
	return d.tooLarge
}

// strict remembers that a write failed: then the batch must not be committed,
// whatever the update does with the error.
type strict struct {
	store.Tx
	err     error
	full    error // not nil: it may not write
	refused bool
	sums    map[store.ID]usage.Sum // which rows in memory are not any more
}

func (s *strict) Put(id store.ID, value []byte) error {
	if s.full != nil {
		s.refused = true
		return s.full
	}
	delete(s.sums, id)
	err := s.Tx.Put(id, value)
	s.err = errors.Join(s.err, err)
	return err
}

func (s *strict) Delete(id store.ID) error {
	if s.full != nil {
		s.refused = true
		return s.full
	}
	delete(s.sums, id)
	err := s.Tx.Delete(id)
	s.err = errors.Join(s.err, err)
	return err
}

// tooEarly reports whether a job may not begin now, or comes behind one that waits for
// that. The disk can become full between the two.
func (w *Writer) tooEarly(j *job) bool {
	if j.lapsed != "" {
		return false
	}
	charge := chargeOf(j.command)
	if begins(j.command) {
		j.err = w.full()
	}
	j.early = j.err != nil || charge != "" && w.behind[charge] && w.mayWait(j)
	if j.early && charge != "" && w.mayWait(j) {
		w.behind[charge] = true
	}
	return j.early
}

// begins reports whether a command begins something. Touch is a look at an account.
func begins(c ledger.Command) bool {
	switch c.(type) {
	case ledger.Settle, ledger.Release, ledger.Observe, ledger.Extend, ledger.Touch:
		return false
	}
	return true
}

// chargeOf is the charge that a command is about, if any.
func chargeOf(c ledger.Command) ledger.ChargeID {
	switch c := c.(type) {
	case ledger.Reserve:
		return c.Charge.ID
	case ledger.Extend:
		return c.Charge
	case ledger.Observe:
		return c.Charge
	case ledger.Settle:
		return c.Charge
	case ledger.Release:
		return c.Charge
	}
	return ""
}
