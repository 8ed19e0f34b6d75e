// Package usage sums what accounts have used: by quarter of an hour, operation,
// feature, model, member, key and labels. The writer keeps the sums in the same
// commit as the charges that they sum, so that a report never shows another
// total than the ledger, and never has to read all charges.
//
// A charge counts at the time its request was made. What it costs in the end,
// a later refund included, is corrected there and nowhere else.
package usage

import (
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// Slot is the length of one bucket. Every zone in use differs from UTC by a
// multiple of it, so that days of all zones are sums of whole slots; those of
// India, Nepal or Newfoundland are not sums of UTC hours.
const Slot = 15 * time.Minute

// Key is what a row sums.
type Key struct {
	At        time.Time // start of the slot, UTC
	Operation string
	Feature   string
	Model     string // that priced it
	Member    string
	APIKey    string // id of the key
	Labels    []ledger.Label
}

// Sum is what a row has summed. Amounts are in the account's smallest step.
type Sum struct {
	Requests  int64        // resolved, whether paid for or given back
	Failed    int64        // of these: given back whole
	Estimated int64        // of these: counted from what was delivered
	Cost      money.Amount // before refunds
	Refunded  money.Amount
	Absorbed  money.Amount      // used, but not paid by anyone
	Units     []ledger.Quantity // what was used, in order of unit
}

// Net is what was paid in the end.
func (s *Sum) Net() money.Amount { return s.Cost - s.Refunded }

// Of is what a resolved charge adds to its row. An open one adds nothing.
func Of(c *ledger.Charge) (Key, Sum) {
	k := Key{
		At: c.At.UTC().Truncate(Slot), Operation: field(c.Operation), Feature: field(c.Subject.Feature), Model: field(c.Model),
		Member: field(c.Member), APIKey: field(c.Key),
	}
	for _, l := range c.Labels {
		k.Labels = append(k.Labels, ledger.Label{Name: l.Name, Value: field(l.Value)})
	}
	if c.State != ledger.Settled && c.State != ledger.Released {
		return k, Sum{}
	}
	s := Sum{Requests: 1, Cost: c.Cost, Refunded: c.Refunded, Absorbed: c.Absorbed}
	if c.State == ledger.Released {
		s.Failed = 1
		return k, s
	}
	if c.Estimated {
		s.Estimated = 1
	}
	s.Units = slices.Clone(c.Usage.Quantities)
	s.sort()
	return k, s
}

// longest is how much of a field a row is kept apart by.
const longest = 256

// field keeps a row's key short, whatever a client has chosen.
func field(s string) string {
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "")
	}
	return s
}

// Zero reports whether s says nothing.
func (s *Sum) Zero() bool {
	return s.Requests == 0 && s.Failed == 0 && s.Estimated == 0 && s.Cost == 0 && s.Refunded == 0 && s.Absorbed == 0 && len(s.Units) == 0
}

// Add adds o to s.
func (s *Sum) Add(o *Sum) {
	s.count(o, 1)
	for _, u := range o.Units {
		s.unit(u.Unit, func(d money.Decimal) money.Decimal { return d.Add(u.Count) })
	}
}

// Sub takes o, which was added before, off s.
func (s *Sum) Sub(o *Sum) {
	s.count(o, -1)
	for _, u := range o.Units {
		s.unit(u.Unit, func(d money.Decimal) money.Decimal { d, _ = d.Sub(u.Count); return d })
	}
}

func (s *Sum) count(o *Sum, sign int64) {
	s.Requests += sign * o.Requests
	s.Failed += sign * o.Failed
	s.Estimated += sign * o.Estimated
	s.Cost += money.Amount(sign) * o.Cost
	s.Refunded += money.Amount(sign) * o.Refunded
	s.Absorbed += money.Amount(sign) * o.Absorbed
}

// unit changes the count of one unit; one that comes to nothing goes.
func (s *Sum) unit(name string, change func(money.Decimal) money.Decimal) {
	for i := range s.Units {
		if s.Units[i].Unit != name {
			continue
		}
		if s.Units[i].Count = change(s.Units[i].Count); s.Units[i].Count.IsZero() {
			s.Units = append(s.Units[:i], s.Units[i+1:]...)
		}
		return
	}
	if d := change(money.Decimal{}); !d.IsZero() {
		s.Units = append(s.Units, ledger.Quantity{Unit: name, Count: d})
		s.sort()
	}
}

// Count is how much of a unit was used.
func (s *Sum) Count(unit string) money.Decimal {
	for _, u := range s.Units {
		if u.Unit == unit {
			return u.Count
		}
	}
	return money.Decimal{}
}
