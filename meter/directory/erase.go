package directory

import (
	"context"
	"errors"

	"github.com/farebox-dev/farebox/meter/store"
)

// Erase takes names and members off the keys of an account. What is left of a key says
// that it was revoked.
func (d *Keys) Erase(ctx context.Context, account string) error {
	list, err := d.List(account)
	for i := 0; i < len(list) && err == nil; i++ {
		_, err = d.keys.change(ctx, list[i].ID, func(k *Key) error {
			k.Name, k.Member = "", ""
			if k.RevokedAt.IsZero() {
				k.RevokedAt = d.now().UTC()
			}
			return nil
		})
	}
	return err
}

// Erase deletes the records of all members of an account, removed ones too.
func (d *Members) Erase(ctx context.Context, account string) error {
	d.roster.change.Lock()
	defer d.roster.change.Unlock()
	var gone []store.ID
	err := d.writer.Update(ctx, func(tx store.Tx) error {
		gone = nil
		err := tx.Scan(store.ID{Kind: store.Member, Account: account}, true, func(at store.ID, _ []byte) error {
			gone = append(gone, at)
			return nil
		})
		for _, at := range gone {
			err = errors.Join(err, tx.Delete(at))
		}
		return err
	})
	for _, at := range gone {
		d.roster.recent.forget(memberID{account, at.Name})
	}
	return err
}

// EraseOne removes a member, and takes from it what names it but its id: name, mail
// address, caps, the names of its keys, its sessions. Its id stays, so that it stays
// removed.
func (d *Members) EraseOne(ctx context.Context, account, id string) (nameless Member, err error) {
	if _, err := d.Remove(ctx, account, id); err != nil && !(errors.Is(err, ErrNoMember) && d.Removed(account, id)) {
		return nameless, err
	}
	d.roster.change.Lock()
	defer d.roster.change.Unlock()
	x, err := d.roster.find(account, id)
	if err != nil || x == nil {
		return nameless, errors.Join(err, ErrNoMember)
	}
	nameless = Member{Account: account, ID: id, Role: x.Role, CreatedAt: x.CreatedAt, RemovedAt: x.RemovedAt}
	if err := d.putMember(ctx, &nameless); err != nil {
		return nameless, err
	}
	list, err := d.keys.list(account)
	for i := 0; i < len(list) && err == nil; i++ {
		if list[i].Member == id {
			_, err = d.keys.change(ctx, list[i].ID, func(k *Key) error { k.Name = ""; return nil })
		}
	}
	return nameless, err
}

// Erase deletes the profile of an account.
func (d *Profiles) Erase(ctx context.Context, account string) error {
	err := d.writer.Update(ctx, func(tx store.Tx) error { return tx.Delete(store.ID{Kind: store.Profile, Account: account}) })
	d.profiles.forget(account)
	return err
}

// Erase ends all sessions and links of an account.
func (d *Sessions) Erase(ctx context.Context, account string) error {
	keys := map[string]bool{}
	list, err := d.keys.list(account)
	for i := range list {
		keys[list[i].ID] = true
	}
	if err != nil {
		return err
	}
	return d.writer.Update(ctx, func(tx store.Tx) error {
		gone := map[string][]ending{}
		err := tx.Scan(store.ID{Kind: store.SessionsOf}, false, func(at store.ID, _ []byte) error {
			parts, ok := store.ParseTuple(at.Name) // see sessionOwner
			if !ok || len(parts) < 2 || parts[1] != account && !keys[parts[1]] {
				return nil
			}
			endings, err := endingsOf(tx, at.Name)
			gone[at.Name] = endings
			return err
		})
		if err != nil {
			return err
		}
		for owner, endings := range gone {
			for i := range endings {
				err = errors.Join(err, endings[i].remove(tx))
			}
			err = errors.Join(err, putEndings(tx, owner, nil))
		}
		return err
	})
}
