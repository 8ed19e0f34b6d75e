package writer

import (
	"errors"
	"hash/maphash"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/store"
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
