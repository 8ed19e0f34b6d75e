package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Profile is what operators have set for an account and the ledger does not need.
type Profile struct {
	Labels        map[string]string `json:"labels,omitempty"`
	MaxConcurrent int               `json:"max_concurrent,omitempty"` // requests at once; 0: as the plan says
}

// ProfileChange is what is to be different; what is nil stays as it is.
type ProfileChange struct {
	// Labels are set; a label with an empty value is removed.
	Labels        map[string]string
	MaxConcurrent *int
}

// Bounds of a profile.
const (
	mostLabels        = 32
	mostMaxConcurrent = 1_000_000
)

var labelName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)

// Profiles are the profiles of all accounts.
type Profiles struct{ *core }

// Get is the profile of an account. It is shared; do not change it.
func (d *Profiles) Get(account string) (Profile, error) {
	p, known, changes := d.profiles.get(account)
	if known {
		return p, nil
	}
	return d.look(account, changes)
}

// look finds a profile in the store.
func (d *Profiles) look(account string, changes uint64) (p Profile, err error) {
	err = d.writer.View(context.Background(), func(s store.Snapshot) (err error) {
		p, err = readProfile(s, account)
		return err
	})
	if err == nil {
		d.profiles.add(account, p, changes)
	}
	return p, err
}

func readProfile(s store.Snapshot, account string) (p Profile, err error) {
	raw, err := s.Get(store.ID{Kind: store.Profile, Account: account})
	if errors.Is(err, store.ErrNotFound) {
		return p, nil
	}
	if err == nil {
		p, err = decodeProfile(account, raw)
	}
	return p, err
}

func decodeProfile(account string, raw []byte) (p Profile, err error) {
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("reading the profile of account %s: %w", account, err)
	}
	return p, nil
}

// Set changes the profile of an account and returns it.
func (d *Profiles) Set(ctx context.Context, account string, c ProfileChange) (p Profile, err error) {
	if _, err := d.writer.Do(ctx, ledger.AccountID(account), ledger.Touch{}); err != nil {
		return p, err
	}
	err = d.writer.Update(ctx, func(tx store.Tx) error {
		if p, err = readProfile(tx, account); err != nil {
			return err
		}
		if p, err = p.with(c); err != nil {
			return err
		}
		return p.write(tx, account)
	})
	d.profiles.forget(account)
	return p, err
}

// with is the profile after a change.
func (p Profile) with(c ProfileChange) (Profile, error) {
	if n := c.MaxConcurrent; n != nil {
		if err := ValidMaxConcurrent(*n); err != nil {
			return p, err
		}
		p.MaxConcurrent = *n
	}
	p.Labels = maps.Clone(p.Labels)
	for name, value := range c.Labels {
		if !labelName.MatchString(name) {
			return p, input.Errorf("the label %q: a name has 1 to 63 small letters, digits and . _ -, and begins with a letter or a digit", input.Cut(name))
		}
		if err := input.Bounded("label "+name, value); err != nil {
			return p, err
		}
		if value != input.Printable(value) {
			return p, input.Errorf("the label %s has a control character; write it as one line of text", name)
		}
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		if p.Labels[name] = value; value == "" {
			delete(p.Labels, name)
		}
	}
	if len(p.Labels) > mostLabels {
		return p, input.Errorf("an account has up to %d labels; remove some, by giving them no value", mostLabels)
	}
	return p, nil
}

func (p Profile) empty() bool { return len(p.Labels) == 0 && p.MaxConcurrent == 0 }

func (p Profile) write(tx store.Tx, account string) error {
	id := store.ID{Kind: store.Profile, Account: account}
	if p.empty() {
		return tx.Delete(id)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return tx.Put(id, raw)
}

// ValidMaxConcurrent checks a limit of requests at once; 0 is none.
func ValidMaxConcurrent(n int) error {
	if n < 0 || n > mostMaxConcurrent {
		return input.Errorf("max_concurrent is %d; write 1 to %d, or 0 for no limit of its own", n, mostMaxConcurrent)
	}
	return nil
}

// HasLabels reports whether the profile has all of these labels: each name with its
// value, or, where that is empty, with any.
func (p Profile) HasLabels(wanted map[string]string) bool {
	for name, value := range wanted {
		if have := p.Labels[name]; have == "" || value != "" && have != value {
			return false
		}
	}
	return true
}

// MaxConcurrent is how many requests a member may have under way at once; 0: it has
// no limit of its own. What the store cannot say is none: it will refuse the request.
func (d *Members) MaxConcurrent(account, member string) int {
	if x, err := d.roster.find(account, member); err == nil && x != nil {
		return x.MaxConcurrent
	}
	return 0
}

// Each calls fn with the profiles of a store in order of the account's id, beginning
// at from, until it returns an error.
func (d *Profiles) Each(s store.Snapshot, from string, fn func(account string, p Profile) error) error {
	return s.Scan(store.ID{Kind: store.Profile, Account: from}, false, func(id store.ID, raw []byte) error {
		p, err := decodeProfile(id.Account, raw)
		if err == nil {
			err = fn(id.Account, p)
		}
		return err
	})
}
