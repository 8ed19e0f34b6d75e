package caddymodule

import (
	"errors"

	"github.com/farebox-dev/farebox/meter"
)

// With `hold overlap` a request goes upstream while its hold is being written. Its
// answer waits for that: no byte of it is sent for a hold that may not exist.

// durable waits until the hold is on disk. After an error nothing is sent to the
// client but a refusal.
func (t *response) durable() error {
	if c, ok := t.call.(*meter.Charge); ok {
		return c.Durable()
	}
	return nil
}

// cancelIfLost ends the request to the upstream if its hold is not on disk after all.
func (t *response) cancelIfLost() {
	if c, ok := t.call.(*meter.Charge); ok {
		c.OnLost(t.cancel)
	}
}

// errLost ends the copying of an answer that has no hold.
var errLost = errors.New("the hold could not be written")

// lost is the body of an answer whose hold could not be written: nothing is sent.
type lost struct{}

func (lost) write([]byte) error                    { return errLost }
func (lost) held() bool                            { return true }
func (lost) end(meter.Outcome)                     {}
func (lost) kept() []byte                          { return nil }
func (lost) settled(meter.Outcome, *meter.Receipt) {}
