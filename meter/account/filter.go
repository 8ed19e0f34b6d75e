package account

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Filter selects accounts. Its zero value selects all.
type Filter struct {
	Text  string // in the id, the name or the plan, whatever its case
	Plan  string
	State string // one of States
	// Labels that an account has: each name with its value, or with any if that is "".
	Labels map[string]string
}

// ParseLabels reads "tier=gold,region": a label with a value, and one with any.
func ParseLabels(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	labels := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		if name == "" {
			return nil, input.Errorf("label is %q; write name=value, or name for any value, with commas between several", input.Cut(text))
		}
		labels[name] = value
	}
	return labels, nil
}

// States are what an account can be filtered by. An account can be in several.
var States = []string{"low", "overage", "suspended"}

// matches reports whether an account is selected, apart from the text.
func (s *Accounts) matches(f *Filter, a *ledger.Account) bool {
	if f.Plan != "" && a.Sub.Plan != f.Plan {
		return false
	}
	switch f.State {
	case "low":
		_, unlimited := a.Available(s.writer.Now())
		return !unlimited && s.low(a)
	case "overage":
		return a.OveragePeriod+a.OverageHeld > 0
	case "suspended":
		return a.Suspended
	}
	return true
}

// Select calls fn for the accounts of a filter in order of id, beginning at from,
// until it returns false.
func (s *Accounts) Select(ctx context.Context, from string, f Filter, fn func(*ledger.Account) bool) error {
	if len(f.Labels) > 0 {
		return s.labelled(ctx, from, f, fn)
	}
	return s.Search(ctx, from, f.Text, func(a *ledger.Account) bool { return !s.matches(&f, a) || fn(a) })
}

// labelled is Select of a filter with labels. It reads the profiles, which only
// accounts with labels or limits have.
func (s *Accounts) labelled(ctx context.Context, from string, f Filter, fn func(*ledger.Account) bool) error {
	return s.writer.View(ctx, func(v store.Snapshot) error {
		return s.labels.Each(v, from, func(id string, p directory.Profile) error {
			if !p.HasLabels(f.Labels) {
				return nil
			}
			raw, err := v.Get(store.ID{Kind: store.Account, Account: id})
			if err != nil {
				return err
			}
			a, err := ledger.DecodeAccount(raw)
			if err != nil {
				return err
			}
			if hasText(a, strings.ToLower(f.Text)) && s.matches(&f, a) && !fn(a) {
				return store.ErrStop
			}
			return nil
		})
	})
}

// Orders are what a list can be sorted by, besides the id: largest, newest first.
var Orders = []string{"balance", "changed", "created"}

// ranked is the place of an account in a sorted list; in JSON, a cursor.
type ranked struct {
	Rank int64  `json:"r"`
	ID   string `json:"id"`
}

func (a ranked) before(b ranked) int {
	return cmp.Or(cmp.Compare(b.Rank, a.Rank), strings.Compare(a.ID, b.ID))
}

// Sorted is a page of the accounts of a filter, in an order, behind a cursor. It
// reads all accounts, and keeps a page of them.
func (s *Accounts) Sorted(ctx context.Context, f Filter, order, cursor string, size int) (page []*ledger.Account, next string, err error) {
	var from *ranked
	if cursor != "" {
		raw, bad := base64.RawURLEncoding.DecodeString(cursor)
		if from = new(ranked); bad != nil || json.Unmarshal(raw, from) != nil {
			return nil, "", input.Errorf("the cursor is not the next_cursor of a page with sort=%s", order)
		}
	}
	var places []ranked
	err = s.Select(ctx, "", f, func(a *ledger.Account) bool {
		at := ranked{s.rank(order, a), string(a.ID)}
		if from != nil && at.before(*from) <= 0 {
			return true
		}
		i, _ := slices.BinarySearchFunc(places, at, ranked.before)
		if i > size {
			return true
		}
		places, page = slices.Insert(places, i, at), slices.Insert(page, i, a)
		if len(places) > size+1 {
			places, page = places[:size+1], page[:size+1]
		}
		return true
	})
	if err == nil && len(page) > size {
		raw, bad := json.Marshal(places[size-1])
		page, next, err = page[:size], base64.RawURLEncoding.EncodeToString(raw), bad
	}
	return page, next, err
}

func (s *Accounts) rank(order string, a *ledger.Account) int64 {
	switch order {
	case "balance":
		n, unlimited := a.Available(s.writer.Now())
		if unlimited {
			return int64(ledger.MaxAmount) * 8
		}
		return int64(n)
	case "changed":
		return a.Clock.UnixNano()
	}
	return a.CreatedAt.UnixNano()
}
