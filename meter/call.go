package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/money"
)

// Call is an admitted request. It is a *Charge, whose credits are held, or a
// *Free or an *Unmetered one, which hold none.
//
// Begin, Observe and End belong to one goroutine. Settle may be called from any
// goroutine and any number of times; the first call counts.
type Call interface {
	Info() Info
	// Outgoing is the request as it goes upstream.
	Outgoing() *Outgoing
	// Begin takes the status and the header of the answer, before its first byte.
	Begin(status int, header map[string][]string)
	// Observe reads the next decoded bytes of the answer and returns those to
	// forward. ErrExhausted means: forward them, then nothing more.
	Observe(ctx context.Context, p []byte) ([]byte, error)
	// End ends a complete answer. It returns the bytes that were held back, to
	// forward them.
	End() []byte
	// Settle books the end of the call. It returns when the booking is durable, or
	// when ctx ends; then it is still booked. keep is stored for replays of the request's
	// idempotency key, if it has one.
	Settle(ctx context.Context, o Outcome, keep []byte) Receipt
	// KeepAlive renews the lease of the call's hold until stop is called:
	//
	//	defer call.KeepAlive()()
	KeepAlive() (stop func())
}

// Metered is a call that has a charge: a *Charge or a *Free.
type Metered interface {
	Call
	// Unreadable says that the answer's encoding is unknown: it costs what is held.
	Unreadable()
	// Socket is a WebSocket that the upstream has agreed to, instead of Begin.
	Socket(header map[string][]string) *Socket
}

var (
	_ Metered = (*Charge)(nil)
	_ Metered = (*Free)(nil)
	_ Call    = (*Unmetered)(nil)
)

// Info says what a call is, and what is held for it.
type Info struct {
	ID, Plan    string
	Operation   string // id; "" if it has none
	Model       string // that was asked for
	Stream      bool   // the client asked for one
	TokenPriced bool   // the cost depends on the usage in the answer
	Held        money.Amount
	Remaining   money.Amount // available after the hold
	Unlimited   bool         // Remaining has no end
}

// Unmetered is a call without a charge: it has no operation, or only polls a job.
type Unmetered struct{ exchange }

// Settle implements Call. Nothing is booked.
func (u *Unmetered) Settle(context.Context, Outcome, []byte) Receipt {
	u.close()
	return Receipt{}
}
