// Package usage sums what accounts have used: by quarter of an hour, operation,
// feature, model, member, key and labels. The writer commits the sums together
// with the charges, so that a report always agrees with the ledger and need not
// read all charges.
//
// A charge counts at the time of its request. A later settle or refund corrects
// the row of that time.
package usage

import (
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// Slot is the length of one bucket. Every time zone in use differs from UTC by a
// multiple of it, so that a day in any zone is a sum of whole slots. A day in India,
// Nepal or Newfoundland is not a sum of UTC hours.
const Slot = 15 * time.Minute

// Key says which charges a row sums.
type Key struct {
	At        time.Time // start of the slot, UTC
	Operation string
	Feature   string
	Model     string // that priced it
	Member    string
	APIKey    string // id of the key
	Labels    []ledger.Label
}

// Sum is the sum of a row. Amounts are in the smallest unit of the credit.
type Sum struct {
	Requests  int64        // resolved: charged or returned
	Failed    int64        // of these: returned whole
	Estimated int64        // of these: charged by what was delivered
	Cost      money.Amount // before refunds
	Refunded  money.Amount
	Absorbed  money.Amount      // used, at the operator's loss
	Units     []ledger.Quantity // what was used, in order of unit
}

// Net is the cost after refunds.
func (s *Sum) Net() money.Amount { return s.Cost - s.Refunded }

// Of is what a charge adds to its row: nothing while it is open.
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

// longest is how many bytes of a field tell rows apart.
const longest = 256

// field keeps a row's key short, whatever a client has chosen.
func field(s string) string {
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "")
	}
	return s
}

// Zero reports whether s is empty.
func (s *Sum) Zero() bool {
	return s.Requests == 0 && s.Failed == 0 && s.Estimated == 0 && s.Cost == 0 && s.Refunded == 0 && s.Absorbed == 0 && len(s.Units) == 0
}

// Has reports whether nothing of o is more than in s, so that o can be taken off.
func (s *Sum) Has(o *Sum) bool {
	for _, u := range o.Units {
		if s.Count(u.Unit).Cmp(u.Count) < 0 {
			return false
		}
	}
	return s.Requests >= o.Requests && s.Failed >= o.Failed && s.Estimated >= o.Estimated &&
		s.Cost >= o.Cost && s.Refunded >= o.Refunded && s.Absorbed >= o.Absorbed
}

// Add adds o to s.
func (s *Sum) Add(o *Sum) {
	s.count(o, 1)
	for _, u := range o.Units {
		s.unit(u.Unit, func(d money.Decimal) money.Decimal { return d.Add(u.Count) })
	}
}

// Sub subtracts o, which was added before.
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

// unit changes the count of one unit, and removes it if it becomes zero.
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
