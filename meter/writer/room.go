package writer

import (
	"fmt"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
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
