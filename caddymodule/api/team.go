package api

import (
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
)

// keys lists the account's API keys; for a member without the right to see others' usage, only their own.
func (c *call) keys() (List[directory.Key], error) {
	out := List[directory.Key]{Data: []directory.Key{}}
	if _, err := c.m.Accounts.Get(c.Context(), c.who.account); err != nil {
		return out, err
	}
	keys, err := c.m.Directory.Keys.List(c.who.account)
	for _, k := range keys {
		if c.who.seesAll || k.Member == c.who.member {
			out.Data = append(out.Data, k)
		}
	}
	return out, err
}

// NewKeyView is a key with its secret, which is shown only once.
type NewKeyView struct {
	directory.Key
	Secret string `json:"secret"`
}

type keyRequest struct {
	Member    string    `json:"member,omitempty"`
	Name      string    `json:"name,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`

	MaxConcurrent int `json:"max_concurrent,omitempty"`
}

// createKey makes a key. Who is no admin makes keys for himself only.
func (c *call) createKey(in keyRequest) (NewKeyView, error) {
	if len(in.Name) > 100 {
		return NewKeyView{}, invalid("a key's name has up to 100 characters")
	}
	if !c.who.admin() {
		if in.Member != "" && in.Member != c.who.member || c.who.member == "" {
			return NewKeyView{}, ErrForbidden
		}
		in.Member = c.who.member
	}
	secret, k, err := c.m.Directory.Keys.Create(c.Context(), directory.Key{Account: c.who.account, Member: in.Member, Name: in.Name, ExpiresAt: in.ExpiresAt, MaxConcurrent: in.MaxConcurrent})
	if err != nil {
		return NewKeyView{}, err
	}
	return NewKeyView{k, secret}, nil
}

type keyChange struct {
	MaxConcurrent int `json:"max_concurrent"` // 0: none of its own
}

// changeKey limits a key. It is for admins: a member could take away the limit that an
// admin has set.
func (c *call) changeKey(in keyChange) (directory.Key, error) {
	return c.m.Directory.Keys.Limit(c.Context(), c.who.account, c.PathValue("key"), in.MaxConcurrent)
}

func (c *call) revokeKey() (directory.Key, error) {
	id := c.PathValue("key")
	if !c.who.admin() {
		keys, err := c.m.Directory.Keys.List(c.who.account)
		if err != nil {
			return directory.Key{}, err
		}
		if !slices.ContainsFunc(keys, func(k directory.Key) bool { return k.ID == id && k.Member == c.who.member && k.Member != "" }) {
			return directory.Key{}, ErrForbidden
		}
	}
	return c.m.Directory.Keys.Revoke(c.Context(), c.who.account, id)
}

// members lists the team; who may not see what others use, himself.
func (c *call) members() (List[directory.Member], error) {
	out := List[directory.Member]{Data: []directory.Member{}}
	if _, err := c.m.Accounts.Get(c.Context(), c.who.account); err != nil {
		return out, err
	}
	members, err := c.m.Directory.Members.List(c.who.account)
	for _, m := range members {
		if c.who.seesAll || m.ID == c.who.member {
			out.Data = append(out.Data, m)
		}
	}
	return out, err
}

func (c *call) putMember(in directory.MemberChange) (directory.Member, error) {
	return c.m.Directory.Members.Set(c.Context(), c.who.account, c.PathValue("member"), in)
}

func (c *call) removeMember() (directory.Member, error) {
	return c.m.Directory.Members.Remove(c.Context(), c.who.account, c.PathValue("member"))
}

// AlertsView is when an account's admins are notified.
type AlertsView struct {
	Own   bool        `json:"own"` // the account's own thresholds, not the price file's
	Below []LevelView `json:"below"`
	Email []string    `json:"email"`
}

// LevelView is one threshold.
type LevelView struct {
	Threshold string `json:"threshold"` // "20%", "500"
	Credits   string `json:"credits"`   // its value in credits now
	Due       bool   `json:"due"`       // available is below it
}

func (c *call) alerts() (AlertsView, error) {
	a, err := c.m.Accounts.Get(c.Context(), c.who.account)
	if err != nil {
		return AlertsView{}, err
	}
	levels, own := c.m.Accounts.Thresholds(a)
	v := AlertsView{Own: own, Below: []LevelView{}, Email: []string{}}
	for _, l := range levels {
		if !l.Overage {
			v.Below = append(v.Below, LevelView{Threshold: l.Text, Credits: c.text(l.Limit), Due: l.Due})
		}
	}
	members, err := c.m.Directory.Members.List(c.who.account)
	for _, m := range members {
		if m.Role == directory.RoleAdmin && m.Email != "" {
			v.Email = append(v.Email, m.Email)
		}
	}
	return v, err
}

type alertsRequest struct {
	Below []string `json:"below"` // null: those of the price file
}

// setAlerts replaces the thresholds: a list of the account's own, empty for
// none, or null for those of the price file.
func (c *call) setAlerts(in alertsRequest) (AlertsView, error) {
	if len(in.Below) > 10 {
		return AlertsView{}, invalid("an account has up to 10 thresholds")
	}
	if err := c.m.Accounts.SetAlerts(c.Context(), c.who.account, in.Below); err != nil {
		return AlertsView{}, err
	}
	return c.alerts()
}

func (c *call) showMember() (directory.Member, error) {
	return c.m.Directory.Members.Get(c.who.account, c.PathValue("member"))
}

type memberRequest struct {
	ID string `json:"id"`
	directory.MemberChange
}

// addMember is POST: a member that is there already is a conflict.
func (c *call) addMember(in memberRequest) (directory.Member, error) {
	return c.m.Directory.Members.Add(c.Context(), c.who.account, in.ID, in.MemberChange)
}
