package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Errors of what operators and admins do with members.
var (
	ErrNoMember     = errors.New("the account has no member with this id")
	ErrMemberExists = errors.New("the account has this member already")
	ErrLastAdmin    = errors.New("this is the account's last admin; make another member admin first")
)

// Role is what a member may do.
type Role string

// Roles. A member that was not added, but that a key or a trusted proxy
// names, is a RoleMember.
const (
	RoleAdmin  Role = "admin"  // buys credits, manages keys and members
	RoleMember Role = "member" // spends
	RoleViewer Role = "viewer" // looks
)

// Member is one of the people or services that share an account's credits.
type Member struct {
	Account string      `json:"account"`
	ID      string      `json:"id"`
	Name    string      `json:"name,omitempty"`
	Email   string      `json:"email,omitempty"`
	Role    Role        `json:"role"`
	SeesAll bool        `json:"sees_all,omitempty"` // what the other members use, too; admins do in any case
	Caps    []MemberCap `json:"caps,omitempty"`
	// MaxConcurrent is how many requests it may have under way at once, if that is less than the plan allows; 0: no limit of its own.
	MaxConcurrent int       `json:"max_concurrent,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	RemovedAt     time.Time `json:"removed_at,omitzero"`
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

	MaxConcurrent *int `json:"max_concurrent,omitempty"`
}

// Members are the people and services that share accounts.
type Members struct{ *core }

// Get finds a member that was added and not removed.
func (d *Members) Get(account, id string) (Member, error) {
	x, err := d.roster.find(account, id)
	if err != nil {
		return Member{}, err
	}
	if x == nil || !x.RemovedAt.IsZero() {
		return Member{}, fmt.Errorf("%w: %s", ErrNoMember, id)
	}
	return x.Member, nil
}

// List lists an account's members, in order of id.
func (d *Members) List(account string) (list []Member, err error) {
	err = d.writer.View(context.Background(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Member, Account: account}, true, func(at store.ID, raw []byte) error {
			x, err := d.roster.decode(account, at.Name, raw)
			if err == nil && x.RemovedAt.IsZero() {
				list = append(list, x.Member)
			}
			return err
		})
	})
	return list, err
}

// Add adds a member; one that was removed comes back without its keys.
func (d *Members) Add(ctx context.Context, account, id string, c MemberChange) (Member, error) {
	d.roster.change.Lock()
	defer d.roster.change.Unlock()
	if _, err := d.Get(account, id); !errors.Is(err, ErrNoMember) {
		if err != nil {
			return Member{}, err
		}
		return Member{}, fmt.Errorf("%w: %s", ErrMemberExists, id)
	}
	return d.setMember(ctx, account, id, c)
}

// Set changes a member, or adds it.
func (d *Members) Set(ctx context.Context, account, id string, c MemberChange) (Member, error) {
	d.roster.change.Lock()
	defer d.roster.change.Unlock()
	return d.setMember(ctx, account, id, c)
}

func (d *Members) setMember(ctx context.Context, account, id string, c MemberChange) (Member, error) {
	if err := validMember(id, c); err != nil {
		return Member{}, err
	}
	if _, err := d.writer.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return Member{}, err
	}
	x, err := d.Get(account, id)
	if err != nil && !errors.Is(err, ErrNoMember) {
		return Member{}, err
	}
	if err != nil {
		if err := d.roster.room(account, id); err != nil {
			return Member{}, err
		}
		x = Member{Account: account, ID: id, Role: RoleMember, CreatedAt: d.now().UTC().Truncate(time.Second)}
		if err := d.stayRevoked(ctx, account, id); err != nil {
			return Member{}, err
		}
	}
	if c.Role != nil && *c.Role != RoleAdmin {
		if err := d.notLastAdmin(account, id); err != nil {
			return Member{}, err
		}
	}
	set(&x.Name, c.Name)
	set(&x.Email, c.Email)
	set(&x.Role, c.Role)
	set(&x.SeesAll, c.SeesAll)
	set(&x.MaxConcurrent, c.MaxConcurrent)
	if c.Caps != nil {
		x.Caps = slices.Clone(*c.Caps)
	}
	if _, err := capsOf(x.Caps, d.roster.decimals); err != nil {
		return Member{}, err
	}
	return x, d.putMember(ctx, &x)
}

// stayRevoked finishes the removal of a member who comes back, if it ended halfway.
func (d *Members) stayRevoked(ctx context.Context, account, id string) error {
	x, err := d.roster.find(account, id)
	if err != nil || x == nil {
		return err
	}
	keys, err := d.keysOf(ctx, account, id)
	if err != nil || len(keys) == 0 {
		return err
	}
	return d.putMember(ctx, &x.Member)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func validMember(id string, c MemberChange) error {
	if err := ValidID(id); err != nil {
		return input.Errorf("the member id %q: use 1 to 128 letters, digits and . _ - : @ + ~", id)
	}
	if r := c.Role; r != nil && *r != RoleAdmin && *r != RoleMember && *r != RoleViewer {
		return input.Errorf("role is %q; write admin, member or viewer", *r)
	}
	if c.MaxConcurrent != nil {
		if err := ValidMaxConcurrent(*c.MaxConcurrent); err != nil {
			return err
		}
	}
	if c.Name != nil && len(*c.Name) > 256 {
		return input.Errorf("a member's name has up to 256 characters")
	}
	if e := c.Email; e != nil && *e != "" && (len(*e) > 254 || strings.Count(*e, "@") != 1 || strings.ContainsAny(*e, " \t\r\n<>,;\"")) {
		return input.Errorf("%q is not one e-mail address, such as mira@example.com", *e)
	}
	return nil
}

// notLastAdmin returns ErrLastAdmin if id is the only admin that an account has.
func (d *Members) notLastAdmin(account, id string) error {
	list, err := d.List(account)
	if err != nil {
		return err
	}
	is := func(x Member) bool { return x.Role == RoleAdmin && x.ID == id }
	others := func(x Member) bool { return x.Role == RoleAdmin && x.ID != id }
	if slices.ContainsFunc(list, is) && !slices.ContainsFunc(list, others) {
		return fmt.Errorf("%w: %s", ErrLastAdmin, id)
	}
	return nil
}

// Remove ends a member: its keys are revoked, and whoever names it is
// refused. What it has used stays in the books.
func (d *Members) Remove(ctx context.Context, account, id string) (Member, error) {
	d.roster.change.Lock()
	defer d.roster.change.Unlock()
	x, err := d.Get(account, id)
	if err != nil {
		return Member{}, err
	}
	if err := d.notLastAdmin(account, id); err != nil {
		return Member{}, err
	}
	x.RemovedAt = d.now().UTC().Truncate(time.Second)
	return x, d.putMember(ctx, &x)
}

// revokedAtOnce is how many keys one commit revokes.
const revokedAtOnce = 100

// putMember writes a member and, if it was removed, revokes its keys: those that
// one commit has no room for in more commits, as an account can have any number.
// Meanwhile they are refused all the same, because the member is.
func (d *Members) putMember(ctx context.Context, x *Member) error {
	raw, err := json.Marshal(x)
	if err != nil {
		return err
	}
	var keys []hash
	if !x.RemovedAt.IsZero() {
		if keys, err = d.keysOf(ctx, x.Account, x.ID); err != nil {
			return err
		}
	}
	err = d.writer.Update(ctx, func(tx store.Tx) error {
		err := d.revokeIn(tx, keys[:min(revokedAtOnce, len(keys))], x.RemovedAt)
		return errors.Join(err, tx.Put(store.ID{Kind: store.Member, Account: x.Account, Name: x.ID}, raw))
	})
	d.roster.recent.forget(memberID{x.Account, x.ID})
	for n := revokedAtOnce; err == nil && n < len(keys); n += revokedAtOnce {
		err = d.writer.Update(ctx, func(tx store.Tx) error {
			return d.revokeIn(tx, keys[n:min(n+revokedAtOnce, len(keys))], x.RemovedAt)
		})
	}
	for _, of := range keys {
		d.keys.recent.forget(of)
	}
	return err
}

// keysOf are the keys of a member that are in force.
func (d *Members) keysOf(ctx context.Context, account, member string) (keys []hash, err error) {
	err = d.writer.View(ctx, func(s store.Snapshot) error {
		return d.keys.each(s, account, func(of hash, k *Key) {
			if k.Member == member && k.RevokedAt.IsZero() {
				keys = append(keys, of)
			}
		})
	})
	return keys, err
}

func (d *Members) revokeIn(tx store.Tx, keys []hash, at time.Time) error {
	for _, of := range keys {
		k, err := d.keys.read(tx, of)
		if err != nil {
			return err
		}
		if k.RevokedAt.IsZero() { // not meanwhile by somebody else
			k.RevokedAt = at
			if err := d.keys.write(tx, of, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// Check refuses the requests of a member that was removed and, of one that only
// looks, those that cost something. The error is a *Refusal.
func (d *Members) Check(account, member string, free bool) error {
	x, err := d.roster.find(account, member)
	switch {
	case err != nil:
		return err
	case x == nil:
		return nil
	case !x.RemovedAt.IsZero():
		return &Refusal{MemberRemoved, "The member " + member + " was removed from this account at " + x.RemovedAt.Format(time.RFC3339) + "."}
	case x.Role == RoleViewer && !free:
		return &Refusal{ViewerCannotSpend, "The member " + member + " has the role viewer, which may look but not spend; an admin of the account can change that."}
	}
	return nil
}

// Removed reports whether a member was removed from an account, or may have been:
// the store cannot be read.
func (d *Members) Removed(account, member string) bool {
	x, err := d.roster.find(account, member)
	return err != nil || x != nil && !x.RemovedAt.IsZero()
}

// Caps are a member's own caps, on top of those of the plan. While the store
// cannot say what a member may spend, it may spend nothing.
func (d *Members) Caps(account, member string) []ledger.Cap {
	x, err := d.roster.find(account, member)
	switch {
	case err != nil:
		return []ledger.Cap{{Per: "member", Every: calendar.Hour}}
	case x == nil:
		return nil
	}
	return x.caps
}

// MayBuy reports whether a member is offered credits: of an account that has
// named its members, only admins are. A key of no member is the account's own.
func (d *Members) MayBuy(account, member string) bool {
	x, err := d.roster.find(account, member)
	return err == nil && (x == nil || x.Role == RoleAdmin)
}
