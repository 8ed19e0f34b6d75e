package account

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// Filter selects accounts. Its zero value selects all.
type Filter struct {
	Text  string // in the id, the name or the plan, whatever its case
	Plan  string
	State string // one of States
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
	return s.Search(ctx, from, f.Text, func(a *ledger.Account) bool { return !s.matches(&f, a) || fn(a) })
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
