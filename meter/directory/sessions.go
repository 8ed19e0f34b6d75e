package directory

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// ErrNoSession: the session or the link to it is unknown, used up or over.
var ErrNoSession = errors.New("the session has ended; sign in again")

// How long a link can be opened, and a session used.
const (
	LinkLasts    = 5 * time.Minute
	SessionLasts = 12 * time.Hour
)

// Seat is one account that a session opens, and as what.
type Seat struct {
	Account string `json:"account"`
	Role    Role   `json:"role"`
}

// Session lets a browser into the portal, or, with Scopes, into the operator
// console.
type Session struct {
	Seats     []Seat    `json:"seats,omitempty"`
	Member    string    `json:"member,omitempty"`
	APIKey    string    `json:"api_key,omitempty"` // id of the key that it was opened with; it ends with the key
	Scopes    []string  `json:"scopes,omitempty"`  // of an operator
	ReturnURL string    `json:"return_url,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Sessions let browsers in.
type Sessions struct{ *core }

// CreateLink makes a token that opens the session once, within LinkLasts.
func (d *Sessions) CreateLink(ctx context.Context, s Session) (token string, err error) {
	if len(s.Seats) == 0 {
		return "", input.Errorf("say which account the session is for")
	}
	for _, seat := range s.Seats {
		if err := d.attempts.Link(seat.Account, s.Member); err != nil {
			return "", err
		}
		if !validRole(seat.Role) {
			return "", input.Errorf("role is %q; write admin, member or viewer", seat.Role)
		}
		if _, err := d.writer.Do(ctx, ledger.AccountID(seat.Account), ledger.Touch{}); err != nil {
			return "", err
		}
	}
	return d.putSession(ctx, linkPrefix, s, LinkLasts)
}

func validRole(role Role) bool {
	return role == RoleAdmin || role == RoleMember || role == RoleViewer
}

// Prefixes keep links and sessions apart: neither passes for the other.
const (
	linkPrefix    = "fb_link_"
	sessionPrefix = "fb_sess_"
)

// OpenLink turns a link's token into a session, once.
func (d *Sessions) OpenLink(ctx context.Context, token string) (cookie string, s Session, err error) {
	if !wellFormed(token, linkPrefix) {
		return "", s, ErrNoSession
	}
	if there, err := d.exists(ctx, token); err != nil || !there {
		return "", s, errors.Join(err, ErrNoSession)
	}
	taken := ErrNoSession
	err = d.writer.Update(ctx, func(tx store.Tx) error {
		id := sessionID(token)
		raw, err := tx.Get(id)
		if err != nil || json.Unmarshal(raw, &s) != nil {
			return nil // unknown or used
		}
		if s.ExpiresAt.After(d.now()) {
			taken = nil
		}
		return endSession(tx, id, linkPrefix, &s)
	})
	if err = errors.Join(err, taken); err != nil {
		return "", Session{}, err
	}
	return d.Open(ctx, s)
}

// Open starts a session; the caller has made sure of who it is for.
func (d *Sessions) Open(ctx context.Context, s Session) (cookie string, _ Session, err error) {
	cookie, err = d.putSession(ctx, sessionPrefix, s, SessionLasts)
	return cookie, s, err
}

func (d *Sessions) putSession(ctx context.Context, prefix string, s Session, lasts time.Duration) (string, error) {
	secret, now := newSecret(prefix), d.now().UTC()
	s.CreatedAt, s.ExpiresAt = now, now.Add(lasts)
	raw, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	over, err := d.ends.over(ctx, d.writer, now, s.ExpiresAt)
	if err != nil {
		return "", err
	}
	id := sessionID(secret)
	return secret, d.writer.Update(ctx, func(tx store.Tx) error {
		for _, x := range over {
			if err := x.forget(tx, now); err != nil {
				return err
			}
		}
		if err := addToOwner(tx, sessionOwner(prefix, &s), ending{id.Name, s.ExpiresAt}, now); err != nil {
			return err
		}
		return tx.Put(id, raw)
	})
}

// exists reports whether there is a session or a link, without the ledger's writer:
// anybody can make up a secret.
func (d *Sessions) exists(ctx context.Context, secret string) (there bool, err error) {
	err = d.writer.View(ctx, func(v store.Snapshot) error {
		_, err := v.Get(sessionID(secret))
		there = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return there, err
}

func sessionID(secret string) store.ID {
	hash := sha256.Sum256([]byte(secret))
	return store.ID{Kind: store.Session, Name: string(hash[:])}
}

// Find finds the session of a cookie, or ErrNoSession.
func (d *Sessions) Find(ctx context.Context, cookie string) (s Session, err error) {
	if !wellFormed(cookie, sessionPrefix) {
		return s, ErrNoSession
	}
	err = d.writer.View(ctx, func(v store.Snapshot) error {
		raw, err := v.Get(sessionID(cookie))
		if errors.Is(err, store.ErrNotFound) {
			return ErrNoSession
		}
		if err = errors.Join(err, json.Unmarshal(raw, &s)); err != nil {
			return err
		}
		lives := s.ExpiresAt.After(d.now())
		if lives && s.APIKey != "" {
			lives, err = d.keyLives(v, s.APIKey)
		}
		if err == nil && !lives {
			err = ErrNoSession
		}
		return err
	})
	return s, err
}

// Close ends the session of a cookie.
func (d *Sessions) Close(ctx context.Context, cookie string) error {
	if !wellFormed(cookie, sessionPrefix) {
		return nil
	}
	if there, err := d.exists(ctx, cookie); err != nil || !there {
		return err
	}
	return d.writer.Update(ctx, func(tx store.Tx) error {
		var s Session
		id := sessionID(cookie)
		raw, err := tx.Get(id)
		if err != nil || json.Unmarshal(raw, &s) != nil {
			return nil // unknown, or over
		}
		return endSession(tx, id, sessionPrefix, &s)
	})
}
