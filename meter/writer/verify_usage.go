package writer

import (
	"bytes"

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

// usage compares the stored sums with the sums of the charges.
func (c *accountCheck) usage(want used) error {
	rows := 0
	err := c.scan(store.Usage, func(x store.ID, value []byte) error {
		s := want[x.Name]
		if s == nil {
			have, err := usage.Decode(value)
			if err != nil || !have.Zero() {
				c.problem("account %s: its usage has a row that no charge adds to", c.id)
			}
			return nil
		}
		rows++
		if !bytes.Equal(value, s.Append(nil)) {
			k, _ := usage.ParseName(x.Name)
			c.problem("account %s: its usage of %s at %s does not match the sum of its charges", c.id, k.Operation, k.At)
		}
		return nil
	})
	if err == nil && rows != len(want) {
		c.problem("account %s: its usage has %d rows, its charges make %d", c.id, rows, len(want))
	}
	return err
}
