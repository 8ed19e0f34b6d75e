package writer

import (
	"bytes"
	"errors"
	"hash/maphash"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
)

// KeysListed is there if every API key is in the list of its account: in
// every store that this version has opened.
var KeysListed = store.ID{Kind: store.Meta, Name: "keys by account"}

// mostKeyProblems bounds how many keys a report names.
const mostKeyProblems = 100

// keys compares the API keys with the lists of their accounts. Both are read once,
// in order, and their sums compared; only if they differ, one is looked up for the other.
func (c *check) keys() error {
	if _, err := c.v.Get(KeysListed); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}
	seed, sum := maphash.MakeSeed(), uint64(0)
	one := func(place store.ID) uint64 {
		return maphash.String(seed, place.Account+"\x00"+place.Name)
	}
	err := c.v.Scan(store.ID{Kind: store.Key}, false, func(id store.ID, raw []byte) error {
		sum += one(placeOf(id, raw))
		return nil
	})
	if err == nil {
		err = c.v.Scan(store.ID{Kind: store.KeyOf}, false, func(id store.ID, _ []byte) error {
			sum -= one(id)
			return nil
		})
	}
	if err != nil || sum == 0 {
		return err
	}
	return c.differingKeys()
}

// placeOf is the place of a key in the list of its account.
func placeOf(id store.ID, raw []byte) store.ID {
	return store.ID{Kind: store.KeyOf, Account: gjson.GetBytes(raw, "account").Str, Name: id.Name}
}

// differingKeys names the keys that are not listed, and places without a key.
func (c *check) differingKeys() error {
	found := 0
	problem := func(format string, args ...any) error {
		c.whole.problem(format, args...)
		if found++; found == mostKeyProblems {
			return store.ErrStop
		}
		return nil
	}
	err := c.v.Scan(store.ID{Kind: store.Key}, false, func(id store.ID, raw []byte) error {
		place := placeOf(id, raw)
		_, err := c.v.Get(place)
		if errors.Is(err, store.ErrNotFound) {
			return problem("API key %.8x is not in the list of its account %s", id.Name, place.Account)
		}
		return err
	})
	if err != nil || found == mostKeyProblems {
		return err
	}
	return c.v.Scan(store.ID{Kind: store.KeyOf}, false, func(place store.ID, _ []byte) error {
		raw, err := c.v.Get(store.ID{Kind: store.Key, Name: place.Name})
		if errors.Is(err, store.ErrNotFound) || err == nil && placeOf(place, raw) != place {
			return problem("account %s lists the API key %.8x, which is not its own", place.Account, place.Name)
		}
		return err
	})
}

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
