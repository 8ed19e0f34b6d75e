package directory

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Anybody with a key can sign in as often as they like, and each sign-in is a commit
// of the ledger's writer. So it may cost only so much there, however many sessions
// there are: whose they are and when they end is indexed, a key or member has a
// bounded number of them, and a sign-in removes a bounded number of those that are
// over. They are found outside of the writer.
const (
	mostSessions = 50 // of one key or member, and as many links; the oldest ends
	mostOver     = 20 // that one sign-in removes
)

// ending is a session or a link: the name of its record, and when it ends.
type ending struct {
	hash string
	at   time.Time
}

const hashSize = 32

// id is the ending's place in the order of time.
func (e *ending) id() store.ID {
	return store.ID{Kind: store.SessionEnd, Name: endsAt(e.at) + e.hash}
}

// endsAt is a time as the beginning of a name.
func endsAt(t time.Time) string { return store.Sequence(uint64(max(0, t.UnixNano()))) } //nolint:gosec // not negative

// remove removes the session and its place in the order of time.
func (e *ending) remove(tx store.Tx) error {
	return errors.Join(tx.Delete(store.ID{Kind: store.Session, Name: e.hash}), tx.Delete(e.id()))
}

// sessionOwner is the key or member with whose sessions one counts. Links count apart.
func sessionOwner(prefix string, s *Session) string {
	if s.APIKey != "" {
		return store.Tuple(prefix, s.APIKey)
	}
	account := ""
	if len(s.Seats) > 0 {
		account = s.Seats[0].Account
	}
	return store.Tuple(prefix, account, s.Member)
}

func ownedSessions(owner string) store.ID { return store.ID{Kind: store.SessionsOf, Name: owner} }

// endingsOf are the sessions of an owner, in order of their beginning.
func endingsOf(s store.Snapshot, owner string) (list []ending, err error) {
	raw, err := s.Get(ownedSessions(owner))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	for ; len(raw) >= 8+hashSize; raw = raw[8+hashSize:] {
		at := time.Unix(0, int64(binary.BigEndian.Uint64(raw))) //nolint:gosec // what putEndings wrote
		list = append(list, ending{string(raw[8 : 8+hashSize]), at})
	}
	return list, err
}

func putEndings(tx store.Tx, owner string, list []ending) error {
	if len(list) == 0 {
		return tx.Delete(ownedSessions(owner))
	}
	raw := make([]byte, 0, len(list)*(8+hashSize))
	for i := range list {
		raw = append(append(raw, endsAt(list[i].at)...), list[i].hash...)
	}
	return tx.Put(ownedSessions(owner), raw)
}

// addToOwner lists a session that begins. Those of its owner that are over end, and
// the oldest ones if there are too many.
func addToOwner(tx store.Tx, owner string, e ending, now time.Time) error {
	list, err := endingsOf(tx, owner)
	if err != nil {
		return err
	}
	if list, err = dropOver(tx, list, now); err != nil {
		return err
	}
	for ; len(list) >= mostSessions; list = list[1:] {
		if err := list[0].remove(tx); err != nil {
			return err
		}
	}
	return errors.Join(putEndings(tx, owner, append(list, e)), tx.Put(e.id(), []byte(owner)))
}

// dropOver removes the sessions of a list that are over.
func dropOver(tx store.Tx, list []ending, now time.Time) (left []ending, err error) {
	for i := range list {
		if list[i].at.After(now) {
			left = append(left, list[i])
		} else {
			err = errors.Join(err, list[i].remove(tx))
		}
	}
	return left, err
}

// endSession removes a session that ends before its time.
func endSession(tx store.Tx, id store.ID, prefix string, s *Session) error {
	owner := sessionOwner(prefix, s)
	list, err := endingsOf(tx, owner)
	if err != nil {
		return err
	}
	e := ending{id.Name, s.ExpiresAt}
	left := slices.DeleteFunc(list, func(x ending) bool { return x.hash == e.hash })
	return errors.Join(putEndings(tx, owner, left), e.remove(tx))
}

// ended is a session that is over, with its owner.
type ended struct {
	ending
	owner string
}

// forget removes what there is of it.
func (x *ended) forget(tx store.Tx, now time.Time) error {
	list, err := endingsOf(tx, x.owner)
	if err != nil {
		return err
	}
	left, err := dropOver(tx, list, now)
	if len(left) < len(list) {
		err = errors.Join(err, putEndings(tx, x.owner, left))
	}
	return errors.Join(err, x.remove(tx))
}

// ends knows when the next session is over, so that most sign-ins look for none.
type ends struct {
	mu   sync.Mutex
	next time.Time // no session is over before
	from string    // no record of the order of time sorts before
}

// over are some of the sessions that are over, and not removed yet. begins is when
// the session that is about to begin ends.
func (n *ends) over(ctx context.Context, w *writer.Writer, now, begins time.Time) (list []ended, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.next.After(now) {
		n.next = begins
		err = w.View(ctx, func(s store.Snapshot) error {
			return s.Scan(store.ID{Kind: store.SessionEnd, Name: n.from}, true, func(id store.ID, owner []byte) error {
				at, hash, ok := store.ParseSequence(id.Name)
				x := ended{ending{hash, time.Unix(0, int64(at))}, string(owner)} //nolint:gosec // what endsAt wrote
				if x.at.After(now) {                                             // one that begins later may end before it
					n.from, n.next = endsAt(now), x.at
					return store.ErrStop
				}
				if n.from = id.Name; len(list) == mostOver {
					n.next = x.at
					return store.ErrStop
				}
				if ok {
					list = append(list, x)
				}
				return nil
			})
		})
		if err != nil {
			n.next = time.Time{}
		}
	}
	if begins.Before(n.next) {
		n.next = begins
	}
	return list, err
}

// sessionsListed is there if every session is in the order of time.
var sessionsListed = store.ID{Kind: store.Meta, Name: "sessions by end"}

// listAll lists the sessions of a store that an earlier version has written. It may
// be cut off anywhere: then the next start does it again.
func (d *Sessions) listAll(ctx context.Context) error {
	err := d.writer.View(ctx, func(s store.Snapshot) error {
		_, err := s.Get(sessionsListed)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	for from := ""; ; {
		var page []ended
		err := d.writer.View(ctx, func(s store.Snapshot) error {
			return s.Scan(store.ID{Kind: store.Session, Name: from}, true, func(id store.ID, raw []byte) error {
				var x Session
				if json.Unmarshal(raw, &x) == nil {
					page = append(page, ended{ending{id.Name, x.ExpiresAt}, sessionOwner(sessionPrefix, &x)})
				}
				if from = id.Name + "\x00"; len(page) == listPage {
					return store.ErrStop
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		err = d.writer.Update(ctx, func(tx store.Tx) error {
			for i := range page {
				if err := tx.Put(page[i].id(), []byte(page[i].owner)); err != nil {
					return err
				}
			}
			if len(page) < listPage {
				return tx.Put(sessionsListed, inList)
			}
			return nil
		})
		if err != nil || len(page) < listPage {
			return err
		}
	}
}
