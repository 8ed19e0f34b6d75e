package writer

import (
	"bytes"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
)

// used recomputes the usage sums of an account from its charges.
type used map[string]*usage.Sum

func (u used) add(c *ledger.Charge) {
	k, s := usage.Of(c)
	if s.Zero() {
		return
	}
	name := k.Name()
	if u[name] == nil {
		u[name] = &usage.Sum{}
	}
	u[name].Add(&s)
}

// usage compares the stored sums with the sums of the charges. What they have more is
// of charges that have left: together it has to be what the checkpoint says.
func (c *accountCheck) usage(want used) error {
	rows := 0
	var left checkpoint.Digest
	err := c.scan(store.Usage, func(x store.ID, value []byte) error {
		s := want[x.Name]
		if s != nil {
			rows++
			if bytes.Equal(value, s.Append(nil)) {
				return nil
			}
		}
		have, err := usage.Decode(value)
		k, _ := usage.ParseName(x.Name)
		switch {
		case s == nil && (err != nil || !have.Zero() && k.At.After(c.left.Since())):
			c.problem("account %s: its usage has a row that no charge adds to", c.id)
		case err != nil || s != nil && (k.At.After(c.left.Since()) || !have.Has(s)):
			c.problem("account %s: its usage of %s at %s does not match the sum of its charges", c.id, k.Operation, k.At)
		default:
			if s != nil {
				have.Sub(s)
			}
			left.Add(x.Name, &have)
		}
		return nil
	})
	if err == nil && rows != len(want) {
		c.problem("account %s: its usage has %d rows, its charges make %d", c.id, rows, len(want))
	}
	if err == nil && len(c.Problems) == 0 && left != c.left.Digest {
		c.problem("account %s: its usage before %s does not match the sum of the charges that have left", c.id, c.left.Since())
	}
	return err
}
