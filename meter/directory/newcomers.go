package directory

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// foreignKeys is there if the ledger has API keys that Farebox did not make. Only
// then is a key of another form looked up.
var foreignKeys = store.ID{Kind: store.Meta, Name: "keys made elsewhere"}

// NewMember is a member that comes with an account.
type NewMember struct {
	ID string
	MemberChange
}

// NewKey is a key that clients of an account use already: its text, or its SHA-256
// in hexadecimal digits or base64.
type NewKey struct {
	Secret, SHA256 string
	Name, Member   string
	ExpiresAt      time.Time
}

// Newcomers are the members, keys and profile of an account that is opened.
type Newcomers struct {
	core    *core
	account string
	members []Member
	keys    []Key
	profile Profile
	hashes  []hash
	foreign bool
}

// Newcomers reads members, keys and a profile; problems are all that is wrong with them.
func (d *Keys) Newcomers(account string, members []NewMember, keys []NewKey, profile ProfileChange) (n *Newcomers, problems []error) {
	n = &Newcomers{core: d.core, account: account}
	var err error
	if n.profile, err = n.profile.with(profile); err != nil {
		problems = append(problems, err)
	}
	now := d.now().UTC().Truncate(time.Second)
	if len(members) > mostMembers {
		problems, members = append(problems, fmt.Errorf("%w: the line has %d, and %d are possible", ErrMaxMembers, len(members), mostMembers)), nil
	}
	if len(keys) > mostKeys {
		problems, keys = append(problems, fmt.Errorf("%w: the line has %d, and %d are possible", ErrMaxKeys, len(keys), mostKeys)), nil
	}
	for i := range members {
		m, err := d.newMember(account, &members[i], now)
		if err == nil && slices.ContainsFunc(n.members, func(x Member) bool { return x.ID == m.ID }) {
			err = input.Errorf("the member %q is there twice", m.ID)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		n.members = append(n.members, m)
	}
	for i := range keys {
		if err := n.addKey(&keys[i], now); err != nil {
			problems = append(problems, err)
		}
	}
	return n, problems
}

func (c *core) newMember(account string, m *NewMember, now time.Time) (Member, error) {
	if err := validMember(m.ID, m.MemberChange); err != nil {
		return Member{}, err
	}
	x := Member{Account: account, ID: m.ID, Role: RoleMember, CreatedAt: now}
	set(&x.Name, m.Name)
	set(&x.Email, m.Email)
	set(&x.Role, m.Role)
	return x, nil
}

func (n *Newcomers) addKey(k *NewKey, now time.Time) error {
	of, hint, err := identityOf(k)
	if err != nil {
		return err
	}
	if slices.Contains(n.hashes, of) {
		return input.Errorf("the key %s is there twice", hint)
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		return input.Errorf("the key %s has expired at %s; leave it out", hint, k.ExpiresAt.Format(time.RFC3339))
	}
	n.foreign = n.foreign || !wellFormed(k.Secret, KeyPrefix)
	n.hashes = append(n.hashes, of)
	n.keys = append(n.keys, Key{
		ID: n.core.keys.id(of), Account: n.account, Member: k.Member, Name: k.Name, Hint: hint, CreatedAt: now, ExpiresAt: k.ExpiresAt,
	})
	return nil
}

// Bounds of keys that were made elsewhere. A shorter one can be guessed.
const (
	minForeignKey = 20
	maxForeignKey = 512
)

// identityOf is the hash of a key, and enough of it to tell it from others.
func identityOf(k *NewKey) (of hash, hint string, err error) {
	switch {
	case k.Secret != "" && k.SHA256 != "":
		return of, "", input.Errorf("a key is given by its text or by its SHA-256, not by both")
	case k.SHA256 != "":
		if of, err = parseHash(k.SHA256); err == nil {
			hint = "sha256:" + hex.EncodeToString(of[:4]) + "…"
		}
		return of, hint, err
	case len(k.Secret) < minForeignKey || len(k.Secret) > maxForeignKey:
		return of, "", input.Errorf("a key has %d characters; keys of %d to %d can be imported", len(k.Secret), minForeignKey, maxForeignKey)
	}
	hint = k.Secret[:3] + "…" + k.Secret[len(k.Secret)-4:]
	for _, r := range k.Secret {
		if r <= ' ' || r > '~' {
			return of, "", input.Errorf("a key has the character %q; clients cannot send it in a header", r)
		}
	}
	for _, prefix := range []string{KeyPrefix, OperatorPrefix} {
		if strings.HasPrefix(k.Secret, prefix) && (prefix == OperatorPrefix || !wellFormed(k.Secret, prefix)) {
			return of, "", input.Errorf("the key %s begins with %s but is not an API key of Farebox; it may be cut off", hint, prefix)
		}
	}
	return sha256.Sum256([]byte(k.Secret)), hint, nil
}

// parseHash reads a SHA-256: 64 hexadecimal digits, or base64 with either alphabet,
// with or without padding; "sha256:" or "sha256-" may come before.
func parseHash(text string) (of hash, err error) {
	if strings.HasPrefix(text, "$") {
		return of, input.Errorf("a key is given as a salted hash (%.4s…), by which it cannot be looked up; give the key itself, or its plain SHA-256", text)
	}
	body := text
	if len(text) > 7 && strings.EqualFold(text[:6], "sha256") && (text[6] == ':' || text[6] == '-') {
		body = text[7:]
	}
	raw, bad := hex.DecodeString(body)
	if bad != nil {
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(body, "="))
		raw, bad = base64.RawStdEncoding.DecodeString(standard)
	}
	if bad != nil || len(raw) != len(of) {
		return of, input.Errorf("the sha256 of a key is neither 64 hexadecimal digits nor 43 characters of base64")
	}
	copy(of[:], raw)
	return of, nil
}

// Hashes are the SHA-256 of the keys.
func (n *Newcomers) Hashes() [][32]byte {
	list := make([][32]byte, len(n.hashes))
	for i, of := range n.hashes {
		list[i] = of
	}
	return list
}

// Hint is what people see of a key.
func (n *Newcomers) Hint(i int) string { return n.keys[i].Hint }

// Count is how many members and keys there are.
func (n *Newcomers) Count() (members, keys int) { return len(n.members), len(n.keys) }

// Check refuses keys that another account has.
func (n *Newcomers) Check(s store.Snapshot) error {
	for i, of := range n.hashes {
		k, err := n.core.keys.read(s, of)
		if errors.Is(err, ErrNoSuchKey) {
			continue
		}
		if err != nil {
			return err
		}
		if k.Account != n.account {
			return input.Errorf("the key %s belongs to the account %s already", n.keys[i].Hint, k.Account)
		}
	}
	return nil
}

// Write puts them into a commit. Call Forget when it is over.
func (n *Newcomers) Write(tx store.Tx) error {
	if n.foreign {
		if _, err := tx.Get(foreignKeys); errors.Is(err, store.ErrNotFound) {
			if err := tx.Put(foreignKeys, inList); err != nil {
				return err
			}
		}
		n.core.keys.foreign.Store(true)
	}
	for i := range n.keys {
		if err := n.core.keys.write(tx, n.hashes[i], &n.keys[i]); err != nil {
			return err
		}
	}
	for i := range n.members {
		m := &n.members[i]
		raw, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("writing member %s: %w", m.ID, err)
		}
		if err := tx.Put(store.ID{Kind: store.Member, Account: m.Account, Name: m.ID}, raw); err != nil {
			return err
		}
	}
	if n.profile.empty() {
		return nil
	}
	return n.profile.write(tx, n.account)
}

// Companion writes them in the commit that opens their account.
func (n *Newcomers) Companion() *writer.Companion {
	return &writer.Companion{Check: n.Check, Write: n.Write}
}

// Forget drops what was known before the commit: that there was no member, no profile.
func (n *Newcomers) Forget() {
	n.core.profiles.forget(n.account)
	for i := range n.members {
		n.core.roster.recent.forget(memberID{n.account, n.members[i].ID})
	}
}
