package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/ledger"
)

func (f *fixture) many() {
	f.Helper()
	f.importLines(`{"id":"a","plan":"team","balances":[{"amount":"5"}]}
{"id":"b","suspended":true}
{"id":"c","plan":"team","balances":[{"amount":"500"}]}
{"id":"d","balances":[{"amount":"500"}]}`, false)
}

func (f *fixture) sorted(of account.Filter, order string, size int) (ids []string) {
	f.Helper()
	for cursor := ""; ; {
		page, next, err := f.Sorted(f.Context(), of, order, cursor, size)
		if err != nil || len(page) > size {
			f.Fatal(err, len(page))
		}
		for _, a := range page {
			ids = append(ids, string(a.ID))
		}
		if cursor = next; next == "" {
			return ids
		}
	}
}

func TestAccountsAreFilteredAndSorted(t *testing.T) {
	f := newFixture(t)
	f.many()
	for _, tt := range []struct {
		of   account.Filter
		want string
	}{
		{account.Filter{}, "a b c d"}, {account.Filter{Plan: "team"}, "a c"}, {account.Filter{State: "suspended"}, "b"},
		{account.Filter{Plan: "team", State: "suspended"}, ""}, {account.Filter{State: "overage"}, ""}, {account.Filter{Text: "BASIC"}, "b d"},
	} {
		var got []string
		if err := f.Select(t.Context(), "", tt.of, func(a *ledger.Account) bool { got = append(got, string(a.ID)); return true }); err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %v %v, want %s", tt.of, got, err, tt.want)
		}
		for _, order := range account.Orders {
			sorted := f.sorted(tt.of, order, 1)
			if !slices.Equal(slices.Sorted(slices.Values(sorted)), got) && len(got) > 0 {
				t.Errorf("%+v by %s: %v, want those of %v", tt.of, order, sorted, got)
			}
		}
	}
	for size := 1; size < 6; size++ { // 505, 100, 1000, 600
		if got := strings.Join(f.sorted(account.Filter{}, "balance", size), " "); got != "c d a b" {
			t.Errorf("by balance in pages of %d: %s", size, got)
		}
	}
	if _, _, err := f.Sorted(t.Context(), account.Filter{}, "balance", "acme", 5); err == nil {
		t.Error("a cursor of another list is accepted")
	}
}

// A second run under the same key grants to those that have not got it, and to none
// twice.
func TestGrantAll(t *testing.T) {
	f := newFixture(t)
	f.many()
	r := account.GrantRequest{Amount: "10", Reason: "outage", Idempotency: "outage-1"}
	team := account.Filter{Plan: "team"}
	run := func(of account.Filter, dry bool) string {
		g, err := of.GrantAll(t.Context(), f.Accounts, r, dry)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d: %d +%d, before %d, failed %d", g.Accounts, g.Granted, g.Total, g.Before, g.Failed)
	}
	for _, tt := range []struct {
		of   account.Filter
		want string
	}{
		{team, "2: 2 +20, before 0, failed 0"}, {team, "2: 0 +0, before 2, failed 0"}, {account.Filter{}, "4: 2 +20, before 2, failed 0"},
	} {
		for _, dry := range []bool{true, false} {
			if got := run(tt.of, dry); got != tt.want {
				t.Errorf("%+v, dry %v: %s, want %s", tt.of, dry, got, tt.want)
			}
		}
	}
	for id, want := range map[string]int64{"a": 515, "b": 110, "c": 1010, "d": 610} {
		if n := f.available(id); int64(n) != want {
			t.Errorf("%s has %d, want %d", id, n, want)
		}
	}
	r.Amount = "11"
	for _, dry := range []bool{true, false} {
		if got := run(team, dry); got != "2: 0 +0, before 0, failed 2" {
			t.Errorf("another amount under the same key, dry %v: %s", dry, got)
		}
	}
	if _, err := team.GrantAll(t.Context(), f.Accounts, account.GrantRequest{Amount: "much"}, true); err == nil {
		t.Error("an amount of much is accepted")
	}
}
