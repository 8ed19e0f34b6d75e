package meter

import (
	"context"
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// Free is a call whose price is nothing. Nothing is held for it; its charge is
// recorded when it ends.
type Free struct {
	exchange
	reserve ledger.Reserve

	once    sync.Once
	receipt Receipt
}

// Begin implements Call.
func (f *Free) Begin(status int, header map[string][]string) {
	f.begin(status, header, true)
	f.read()
}

// Socket implements Metered.
func (f *Free) Socket(header map[string][]string) *Socket {
	return newSocket(&f.exchange, nil, header)
}

// Settle implements Call.
func (f *Free) Settle(ctx context.Context, o Outcome, _ []byte) Receipt {
	f.once.Do(func() { f.receipt = f.settle(ctx, o) })
	return f.receipt
}

func (f *Free) settle(ctx context.Context, o Outcome) Receipt {
	f.close()
	b := &bill{x: &f.exchange}
	e := b.end(o, f.result())
	return f.m.post(ledger.ChargeID(f.id), ledger.AccountID(f.req.Caller.Account), &f.reserve, &e, b).wait(ctx, e.Receipt)
}
