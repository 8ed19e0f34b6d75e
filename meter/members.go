package meter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/bank"
	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// Errors of what operators and admins do with members.
var (
	ErrNoMember     = errors.New("there is no such member")
	ErrMemberExists = errors.New("the account has this member already")
	ErrLastAdmin    = errors.New("this is the account's last admin; make another member admin first")
)

// Role is what a member may do.
type Role string

// Roles. A member that nobody has added, but that a key or a trusted proxy
// names, is a RoleMember.
const (
	RoleAdmin  Role = "admin"  // buys credits, manages keys and members
	RoleMember Role = "member" // spends
	RoleViewer Role = "viewer" // looks
)

// Member is one of the people or services that share an account's credits.
type Member struct {
	Account   string      `json:"account"`
	ID        string      `json:"id"`
	Name      string      `json:"name,omitempty"`
	Email     string      `json:"email,omitempty"`
	Role      Role        `json:"role"`
	SeesAll   bool        `json:"sees_all,omitempty"` // what the other members use, too; admins do in any case
	Caps      []MemberCap `json:"caps,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	RemovedAt time.Time   `json:"removed_at,omitzero"`
}

// MemberCap is what a member may spend in a period, on top of what the plan's
// caps allow. It counts from when it is set.
type MemberCap struct {
	Amount string `json:"amount"` // credits
	Every  string `json:"every"`  // hour, day, week, month, quarter, year
}

// MemberChange is what is to be different; what is nil stays as it is.
type MemberChange struct {
	Name    *string      `json:"name,omitempty"`
	Email   *string      `json:"email,omitempty"`
	Role    *Role        `json:"role,omitempty"`
	SeesAll *bool        `json:"sees_all,omitempty"`
	Caps    *[]MemberCap `json:"caps,omitempty"`
}

type memberID struct{ account, id string }

// rostered is a member as the request path needs it.
type rostered struct {
	Member
	caps []ledger.Cap
}

// roster knows all members.
type roster struct {
	change  sync.Mutex // one change at a time: the last admin must not go twice
	mu      sync.RWMutex
	members map[memberID]*rostered
}

func (r *roster) load(ctx context.Context, b *bank.Bank, decimals int) error {
	r.members = map[memberID]*rostered{}
	return b.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Member}, false, func(id store.ID, v []byte) error {
			x := &rostered{}
			err := json.Unmarshal(v, &x.Member)
			if err == nil {
				x.caps, err = capsOf(x.Caps, decimals)
			}
			if err != nil {
				return fmt.Errorf("reading member %s of account %s: %w", id.Name, id.Account, err)
			}
			r.members[memberID{id.Account, id.Name}] = x
			return nil
		})
	})
}

func (r *roster) find(account, id string) *rostered {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.members[memberID{account, id}]
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

// Member finds a member that was added and not removed.
func (m *Meter) Member(account, id string) (Member, error) {
	x := m.roster.find(account, id)
	if x == nil || !x.RemovedAt.IsZero() {
		return Member{}, fmt.Errorf("%w: %s", ErrNoMember, id)
	}
	return x.Member, nil
}

// Members lists an account's members, in order of id.
func (m *Meter) Members(account string) (list []Member) {
	m.roster.mu.RLock()
	defer m.roster.mu.RUnlock()
	for _, x := range m.roster.members {
		if x.Account == account && x.RemovedAt.IsZero() {
			list = append(list, x.Member)
		}
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// AddMember adds a member; one that was removed comes back without its keys.
func (m *Meter) AddMember(ctx context.Context, account, id string, c MemberChange) (Member, error) {
	m.roster.change.Lock()
	defer m.roster.change.Unlock()
	if _, err := m.Member(account, id); err == nil {
		return Member{}, fmt.Errorf("%w: %s", ErrMemberExists, id)
	}
	return m.setMember(ctx, account, id, c)
}

// SetMember changes a member, or adds it.
func (m *Meter) SetMember(ctx context.Context, account, id string, c MemberChange) (Member, error) {
	m.roster.change.Lock()
	defer m.roster.change.Unlock()
	return m.setMember(ctx, account, id, c)
}

func (m *Meter) setMember(ctx context.Context, account, id string, c MemberChange) (Member, error) {
	if err := validMember(id, c); err != nil {
		return Member{}, err
	}
	if _, err := m.bank.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return Member{}, err
	}
	x, err := m.Member(account, id)
	if err != nil {
		x = Member{Account: account, ID: id, Role: RoleMember, CreatedAt: m.opt.Now().UTC().Truncate(time.Second)}
	}
	if c.Role != nil && *c.Role != RoleAdmin && m.lastAdmin(account, id) {
		return Member{}, fmt.Errorf("%w: %s", ErrLastAdmin, id)
	}
	set(&x.Name, c.Name)
	set(&x.Email, c.Email)
	set(&x.Role, c.Role)
	set(&x.SeesAll, c.SeesAll)
	if c.Caps != nil {
		x.Caps = slices.Clone(*c.Caps)
	}
	caps, err := capsOf(x.Caps, m.Books.InForce().Credit.Decimals)
	if err != nil {
		return Member{}, err
	}
	return x, m.putMember(ctx, &rostered{x, caps}, nil)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func validMember(id string, c MemberChange) error {
	if err := ValidAccountID(id); err != nil {
		return input.Errorf("the member id %q: use 1 to 128 letters, digits and . _ - : @ + ~", id)
	}
	if r := c.Role; r != nil && *r != RoleAdmin && *r != RoleMember && *r != RoleViewer {
		return input.Errorf("role is %q; write admin, member or viewer", *r)
	}
	if c.Name != nil && len(*c.Name) > 256 {
		return input.Errorf("a member's name has up to 256 characters")
	}
	if e := c.Email; e != nil && *e != "" && (len(*e) > 254 || strings.Count(*e, "@") != 1 || strings.ContainsAny(*e, " \t\r\n<>,;\"")) {
		return input.Errorf("%q is not one e-mail address, such as mira@example.com", *e)
	}
	return nil
}

// lastAdmin reports whether id is the only admin that an account has.
func (m *Meter) lastAdmin(account, id string) bool {
	is := false
	for _, x := range m.Members(account) {
		if x.Role == RoleAdmin {
			if x.ID != id {
				return false
			}
			is = true
		}
	}
	return is
}

// RemoveMember ends a member: its keys are revoked, and whoever names it is
// refused. What it has used stays in the books.
func (m *Meter) RemoveMember(ctx context.Context, account, id string) (Member, error) {
	m.roster.change.Lock()
	defer m.roster.change.Unlock()
	x, err := m.Member(account, id)
	if err != nil {
		return Member{}, err
	}
	if m.lastAdmin(account, id) {
		return Member{}, fmt.Errorf("%w: %s", ErrLastAdmin, id)
	}
	now := m.opt.Now().UTC().Truncate(time.Second)
	x.RemovedAt = now
	gone := m.keys.ofMember(account, id)
	for hash, k := range gone {
		k.RevokedAt = now
		gone[hash] = k
	}
	return x, m.putMember(ctx, &rostered{Member: x}, gone)
}

// putMember writes a member, and keys that change with it, in one commit.
func (m *Meter) putMember(ctx context.Context, x *rostered, keys map[[32]byte]Key) error {
	raw, err := json.Marshal(x.Member)
	if err != nil {
		return err
	}
	err = m.bank.Update(ctx, func(tx store.Tx) error {
		for hash, k := range keys {
			if err := m.keys.write(tx, hash, &k); err != nil {
				return err
			}
		}
		return tx.Put(store.ID{Kind: store.Member, Account: x.Account, Name: x.ID}, raw)
	})
	if err != nil {
		return err
	}
	m.roster.mu.Lock()
	m.roster.members[memberID{x.Account, x.ID}] = x
	m.roster.mu.Unlock()
	m.keys.put(keys)
	return nil
}

// mayAsk refuses the requests of a member that was removed; of one that only
// looks, those that cost something.
func (m *Meter) mayAsk(c Caller, free bool) error {
	x := m.roster.find(c.Account, c.Member)
	switch {
	case c.Member == "" || x == nil:
		return nil
	case !x.RemovedAt.IsZero():
		return &Denial{Reason: MemberRemoved, Message: "The member " + c.Member + " was removed from this account at " + x.RemovedAt.Format(time.RFC3339) + "."}
	case x.Role == RoleViewer && !free:
		return &Denial{Reason: ViewerCannotSpend, Message: "The member " + c.Member + " has the role viewer, which may look but not spend; an admin of the account can change that."}
	}
	return nil
}

// memberCaps are the caps of the caller's own.
func (m *Meter) memberCaps(c Caller) []ledger.Cap {
	if x := m.roster.find(c.Account, c.Member); c.Member != "" && x != nil {
		return x.caps
	}
	return nil
}

// mayBuy: of an account that has named its members, only admins are told how
// credits are bought. A key that belongs to nobody in particular is the
// account's own.
func (m *Meter) mayBuy(c Caller) bool {
	x := m.roster.find(c.Account, c.Member)
	return c.Member == "" || x == nil || x.Role == RoleAdmin
}
