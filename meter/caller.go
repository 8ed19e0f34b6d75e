package meter

import (
	"github.com/farebox-dev/farebox/meter/ledger"
)

// Identify finds whose key this is. The error is a *Refusal.
func (m *Gateway) Identify(secret string) (Caller, error) {
	k, err := m.Directory.Keys.Find(secret)
	if err != nil {
		return Caller{}, refusalOf(err)
	}
	return Caller{Account: k.Account, Member: k.Member, Key: k.ID}, nil
}

// memberCaps are the caps of the caller's own.
func (m *Gateway) memberCaps(c Caller) []ledger.Cap {
	return m.Directory.Members.Caps(c.Account, c.Member)
}

// mayBuy reports whether the caller is offered credits.
func (m *Gateway) mayBuy(c Caller) bool { return m.Directory.Members.MayBuy(c.Account, c.Member) }
