package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
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

// mostMembers is how many members an account can have. Those that were removed count,
// as they stay to be refused. It is a variable for tests.
var mostMembers = 10_000

// room reports with an error that an account can have no further member.
func (r *roster) room(account, id string) error {
	n, known := 0, false
	err := r.writer.View(context.Background(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Member, Account: account}, true, func(at store.ID, _ []byte) error {
			n++
			known = known || at.Name == id
			return nil
		})
	})
	if err == nil && n >= mostMembers && !known {
		err = fmt.Errorf("%w: it has %d, those that were removed included; let several people share a member, or open another account", ErrMaxMembers, n)
	}
	return err
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

// capsOf reads a member's caps, and writes their amounts in one form.
func capsOf(caps []MemberCap, decimals int) (list []ledger.Cap, err error) {
	for i := range caps {
		c := &caps[i]
		amount, err := money.ParseAmount(c.Amount, decimals)
		if err != nil {
			return nil, input.Errorf("a cap of %q: %v", c.Amount, err)
		}
		every, ok := calendar.ParseUnit(c.Every)
		if !ok || every == calendar.Minute {
			return nil, input.Errorf("a cap every %q; write hour, day, week, month, quarter or year", c.Every)
		}
		if slices.ContainsFunc(list, func(x ledger.Cap) bool { return x.Every == every }) {
			return nil, input.Errorf("two caps every %s; write the smaller one", c.Every)
		}
		c.Amount = amount.Text(decimals)
		list = append(list, ledger.Cap{Per: "member", Amount: amount, Every: every})
	}
	return list, nil
}
