package ledger

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/selector"
)

// randomGrant differs little from others, so that every tie-break is reached.
func randomGrant(rng *rand.Rand, seq uint64) *Grant {
	day := func() time.Time {
		if n := rng.IntN(4); n > 0 {
			return time.Date(2026, 12, n, 0, 0, 0, 0, time.UTC)
		}
		return time.Time{}
	}
	g := &Grant{
		ID: GrantID(strconv.Itoa(rng.IntN(40))), Type: []string{"free", "subscription", "top_up", "promo", "courtesy"}[rng.IntN(5)],
		Unlimited: rng.IntN(8) == 0, Paid: rng.IntN(2) == 0, EffectiveAt: day(), ExpiresAt: day(), Seq: seq/2 + uint64(rng.IntN(2)), //nolint:gosec // 0 or 1
	}
	if g.Type == "courtesy" {
		g.Replaces = "top_up"
	}
	switch rng.IntN(4) {
	case 0:
		g.OnlyFor = selector.Selector{Tags: []string{"pro"}}
	case 1:
		g.NotFor = selector.Selector{Tags: []string{"pro"}}
	}
	return g
}

// TestSweepOfTheDrawOrder: of any three grants, a before b and b before c makes
// a before c; no two are equal but those of one entry; and sorting comes to one order,
// whatever the order before. FAREBOX_LONG: ten million cases.
func TestSweepOfTheDrawOrder(t *testing.T) {
	cases := 2_000_000
	switch {
	case os.Getenv("FAREBOX_LONG") != "":
		cases = 12_000_000
	case testing.Short():
		cases = 100_000
	}
	seed := seed.Of(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	terms := testTerms()
	var grants []*Grant
	for n := range cases {
		if n%5_000 == 0 {
			if grants = nil; rng.IntN(2) == 0 {
				terms.DrawOrder = nil
			} else {
				terms.DrawOrder = []string{"free", "subscription", "top_up"}
			}
			for i := range 60 {
				grants = append(grants, randomGrant(rng, uint64(i))) //nolint:gosec // not negative
			}
			sortsAlike(t, terms, grants, rng)
		}
		a, b, c := grants[rng.IntN(60)], grants[rng.IntN(60)], grants[rng.IntN(60)]
		ab, ba, bc, ac := terms.compare(a, b), terms.compare(b, a), terms.compare(b, c), terms.compare(a, c)
		switch {
		case ab != -ba || ab == 0 && a.Seq != b.Seq:
			t.Fatalf("FAREBOX_SEED=%d: %+v against %+v: %d, and %d the other way", seed, a, b, ab, ba)
		case ab <= 0 && bc <= 0 && ac > 0 || ab >= 0 && bc >= 0 && ac < 0:
			t.Fatalf("FAREBOX_SEED=%d: the order of three is none: %+v, %+v, %+v", seed, a, b, c)
		}
	}
	t.Logf("FAREBOX_SEED=%d: %d cases, 0 mismatches", seed, cases)
}

func sortsAlike(t *testing.T, terms *Terms, grants []*Grant, rng *rand.Rand) {
	t.Helper()
	one := slices.Clone(grants)
	two := slices.Clone(grants)
	rng.Shuffle(len(two), func(i, j int) { two[i], two[j] = two[j], two[i] })
	slices.SortFunc(one, terms.compare)
	slices.SortFunc(two, terms.compare)
	for i := range one {
		if terms.compare(one[i], two[i]) != 0 {
			t.Fatalf("two orders of the same grants: %+v and %+v at %d", one[i], two[i], i)
		}
	}
}

// Two courtesy grants of one failed request are alike in everything but their
// names: they are drawn in the order in which the entry made them, and names,
// which a client's payment may have chosen, decide nothing. Found by the
// simulation, after 50 million steps.
func TestGrantsOfOneEntryAreDrawnInTheOrderMade(t *testing.T) {
	b := newBook(t, "", "2026-11-12T00:00:00Z")
	for _, id := range []GrantID{"gr_1", "gr_2"} {
		b.must(Give{Grant: id, Type: "top_up", Amount: 50, Paid: true, ExpiresAt: at("2026-11-13T00:00:00Z")})
	}
	held := b.hold(200) // the day's free 100, too
	b.now = at("2026-11-14T00:00:00Z")
	b.must(Release{Charge: held.ID, Failed: true})
	var made []GrantID
	for _, g := range b.a.Grants {
		if g.Type == "courtesy" {
			made = append(made, g.ID)
		}
	}
	drawn := b.hold(160).Allocations
	if len(made) != 2 || len(drawn) != 3 || drawn[1].Grant != made[0] || drawn[1].Amount != 50 || drawn[2].Grant != made[1] {
		t.Errorf("made %v, drawn %+v", made, drawn)
	}
	b.prove()
}
