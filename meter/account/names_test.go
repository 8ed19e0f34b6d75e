package account_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// found is what a search finds, from an id on.
func (f *fixture) found(from, text string) (ids []string) {
	f.Helper()
	err := f.Search(f.Context(), from, text, func(a *ledger.Account) bool {
		ids = append(ids, string(a.ID))
		return true
	})
	if err != nil {
		f.Fatal(err)
	}
	return ids
}

// A search finds what comparing every account finds, whatever has changed since
// the last one.
func TestSearchFindsWhatEachWouldFind(t *testing.T) {
	f := newFixture(t)
	random := rand.New(rand.NewPCG(seed.Of(t), 1))
	names := []string{"", "Acme", "ACME Studio", "Øresund\nLine", "a\x00b", "of Bergen"}
	var ids []string
	check := func(from, text string) {
		t.Helper()
		var want []string
		err := f.Each(t.Context(), from, func(a *ledger.Account) bool {
			if strings.Contains(strings.ToLower(string(a.ID)+"\n"+a.Name+"\n"+a.Sub.Plan), strings.ToLower(text)) {
				want = append(want, string(a.ID))
			}
			return true
		})
		if got := f.found(from, text); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q from %q: %d accounts, want %d: %v", text, from, len(got), len(want), err)
		}
	}
	for round := range 12 {
		for range 40 {
			id := fmt.Sprintf("%s-%d", []string{"acme", "Acme", "zoe", "x"}[random.IntN(4)], random.IntN(100_000))
			if _, err := f.Create(t.Context(), id, names[random.IntN(len(names))], []string{"", "team"}[random.IntN(2)]); err == nil {
				ids = append(ids, id)
			}
		}
		for range 10 {
			id, name := ids[random.IntN(len(ids))], fmt.Sprintf("renamed in %d", round)
			if _, err := f.Do(t.Context(), id, ledger.SetAttributes{Name: &name}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Do(t.Context(), ids[random.IntN(len(ids))], ledger.SetPlan{Plan: []string{"basic", "team"}[random.IntN(2)]}); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{"acme", "ACME-1", "studio", "øresund", "ØRESUND", "team", "basic", fmt.Sprintf("renamed in %d", round), "none of them", "7", "-", ""} {
			check("", text)
			check(ids[random.IntN(len(ids))], text)
		}
		want := map[string]int{}
		on, err := f.OnPlans(t.Context())
		if err := f.Each(t.Context(), "", func(a *ledger.Account) bool { want[a.Sub.Plan]++; return true }); err != nil {
			t.Fatal(err)
		}
		if err != nil || on["basic"] != want["basic"] || on["team"] != want["team"] {
			t.Fatalf("%v on plans, want %v: %v", on, want, err)
		}
	}
}
