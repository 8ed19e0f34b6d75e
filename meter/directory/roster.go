package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

type memberID struct{ account, id string }

// rostered is a member as the request path needs it.
type rostered struct {
	Member
	caps []ledger.Cap
}

// roster finds members. They are in the store, and in memory only while they are
// used.
type roster struct {
	change   sync.Mutex // one change at a time: the last admin must not go twice
	writer   *writer.Writer
	decimals int // of the credits
	recent   recent[memberID, *rostered]
}

// find is a member, or nil if none was added with this id. It is shared; do not
// change it.
func (r *roster) find(account, id string) (*rostered, error) {
	if id == "" {
		return nil, nil
	}
	of := memberID{account, id}
	x, known, changes := r.recent.get(of)
	if known {
		return x, nil
	}
	return r.look(of, changes)
}

// look finds a member in the store.
func (r *roster) look(of memberID, changes uint64) (x *rostered, err error) {
	err = r.writer.View(context.Background(), func(s store.Snapshot) error {
		raw, err := s.Get(store.ID{Kind: store.Member, Account: of.account, Name: of.id})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			x, err = r.decode(of.account, of.id, raw)
		}
		return err
	})
	if err == nil {
		r.recent.add(of, x, changes)
	}
	return x, err
}

func (r *roster) decode(account, id string, raw []byte) (*rostered, error) {
	x := &rostered{}
	err := json.Unmarshal(raw, &x.Member)
	if err == nil {
		x.caps, err = capsOf(x.Caps, r.decimals)
	}
	if err != nil {
		return nil, fmt.Errorf("reading member %s of account %s: %w", id, account, err)
	}
	return x, nil
}
