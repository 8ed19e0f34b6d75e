package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Erase takes what names people out of the ledger of a suspended account: its entries
// and charges leave, and its usage is summed without members, keys and labels. What
// stays is what it has and had in all, and an entry that says who erased it and when.
// It may be stopped anywhere, and run again.
func (u *Upkeep) Erase(ctx context.Context, account, by string) error {
	u.one.Lock()
	defer u.one.Unlock()
	id := ledger.AccountID(account)
	r, err := u.writer.Do(ctx, id, ledger.Erase{By: by})
	if err != nil {
		return err
	}
	var d Done
	at := slices.IndexFunc(r.Entries, func(e ledger.Entry) bool { return e.Kind == ledger.KindErased })
	targets := []target{{id, r.Entries[at].Seq - 1}}
	for len(targets) > 0 && err == nil {
		targets, err = u.some(ctx, targets, &d)
	}
	if err == nil && len(d.Problems) > 0 {
		err = fmt.Errorf("%s", d.Problems[0])
	}
	if err == nil {
		err = writer.UpdateOf(ctx, u.writer, []string{account}, func(tx store.Tx) error { return anonymise(tx, id) })
	}
	for more := true; more && err == nil; {
		err = writer.UpdateOf(ctx, u.writer, []string{account}, func(tx store.Tx) error {
			more, err = namelessUsage(tx, id)
			return err
		})
	}
	for more := true; more && err == nil; {
		err = writer.UpdateOf(ctx, u.writer, []string{account}, func(tx store.Tx) error {
			more, err = results(tx, id)
			return err
		})
	}
	return err
}

// results deletes some of what is stored under idempotency keys, which clients and
// operators choose.
func results(tx store.Tx, id ledger.AccountID) (more bool, err error) {
	var gone []store.ID
	err = tx.Scan(store.ID{Kind: store.Idempotency, Account: string(id)}, true, func(at store.ID, _ []byte) error {
		if more = len(gone) == atOnce; more {
			return store.ErrStop
		}
		gone = append(gone, at)
		return nil
	})
	for _, at := range gone {
		err = errors.Join(err, tx.Delete(at))
	}
	return more, err
}

// anonymise takes what names people out of the checkpoint of an account.
func anonymise(tx store.Tx, id ledger.AccountID) error {
	c, err := checkpoint.Read(tx, id)
	if err != nil {
		return err
	}
	c.Account.Anonymise()
	return put(tx, c)
}

func put(tx store.Tx, c *checkpoint.Checkpoint) error {
	record, err := c.Encode()
	if err != nil {
		return err
	}
	return tx.Put(checkpoint.ID(c.Account.ID), record)
}

// namelessUsage adds some rows of an account to rows without member, key and labels.
// All charges of the account have left, so the checkpoint stands for all rows.
func namelessUsage(tx store.Tx, id ledger.AccountID) (more bool, err error) {
	c, err := checkpoint.Read(tx, id)
	if err != nil {
		return false, err
	}
	named := map[string]usage.Sum{}
	sums := map[string]*usage.Sum{}
	err = tx.Scan(store.ID{Kind: store.Usage, Account: string(id)}, true, func(at store.ID, raw []byte) error {
		k, err := usage.ParseName(at.Name)
		if err != nil {
			return err
		}
		nameless := usage.Key{At: k.At, Operation: k.Operation, Feature: k.Feature, Model: k.Model}
		if name := nameless.Name(); name != at.Name {
			if more = len(named) == atOnce; more {
				return store.ErrStop
			}
			s, err := usage.Decode(raw)
			if err != nil {
				return err
			}
			named[at.Name] = s
			if sums[name] == nil {
				sums[name] = &usage.Sum{}
			}
			sums[name].Add(&s)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	row := func(name string) store.ID { return store.ID{Kind: store.Usage, Account: string(id), Name: name} }
	for name, s := range named {
		c.Digest.Sub(name, &s)
		err = errors.Join(err, tx.Delete(row(name)))
	}
	for name, s := range sums {
		c.Digest.Add(name, s)
		if raw, missing := tx.Get(row(name)); missing == nil {
			have, damaged := usage.Decode(raw)
			err = errors.Join(err, damaged)
			s.Add(&have)
		}
		err = errors.Join(err, tx.Put(row(name), s.Append(nil)))
	}
	return more, errors.Join(err, put(tx, c))
}
