package ledger

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger/internal/naive"
)

// trial is one run of the simulation, which can be repeated with fewer commands.
// A command is a number: all that is random about it follows from it, but not
// what it is done to, so that it still means something if others are left out.
type trial struct {
	t         testing.TB
	seed, run uint64
	wrong     func(*naive.Account) // a mistake on purpose in what is compared with
}

// failure is what went wrong after the first n commands.
type failure struct {
	n    int
	what any
	log  []string
}

func (r *trial) commands(n int) []uint64 {
	rng := rand.New(rand.NewPCG(r.seed, r.run))
	list := make([]uint64, n)
	for i := range list {
		list[i] = rng.Uint64()
	}
	return list
}

// do runs commands; the failure is nil if all is well.
func (r *trial) do(commands []uint64) (entries int64, f *failure) {
	s := newSim(loud{r.t}, r.seed, r.run)
	if r.wrong != nil {
		r.wrong(s.naive)
	}
	for n, command := range commands {
		what := s.try(command)
		if what == nil && n%50 == 49 {
			what = s.guard(s.prove)
		}
		if what != nil {
			return 0, &failure{n + 1, what, s.log}
		}
	}
	if what := s.guard(s.end); what != nil {
		return 0, &failure{len(commands), what, s.log}
	}
	return int64(len(s.journal)), nil
}

// end resolves what is open: nothing may stay held.
func (s *sim) end() {
	for _, id := range slices.Sorted(maps.Keys(s.open)) {
		s.must(Release{Charge: id})
		s.naive.Release(string(id))
	}
	if held := s.a.HeldTotal(); held != 0 {
		panic(fmt.Sprintf("%d held after all is resolved", held))
	}
	s.prove()
}

// maxTries bounds how long shrinking may take.
const maxTries = 4000

// shrink drops chunks of commands, then single ones, as long as something still
// goes wrong without them.
func (r *trial) shrink(commands []uint64, f *failure) ([]uint64, *failure) {
	commands = commands[:f.n]
	tries := 0
	for size := max(1, len(commands)/2); size > 0 && tries < maxTries; {
		dropped := false
		for from := 0; from < len(commands) && tries < maxTries; {
			tries++
			fewer := slices.Concat(commands[:from], commands[min(from+size, len(commands)):])
			if _, g := r.do(fewer); g != nil {
				commands, f, dropped = fewer[:g.n], g, true
			} else {
				from += size
			}
		}
		if !dropped || size > 1 {
			size /= 2
		}
	}
	return commands, f
}

// report is the shortest way to f that is found.
func (r *trial) report(commands []uint64, f *failure) string {
	short, g := r.shrink(commands, f)
	return fmt.Sprintf("FAREBOX_SEED=%d run %d: after %d commands: %v\nshrunk to %d:\n  %s\n  %v",
		r.seed, r.run, f.n, f.what, len(short), strings.Join(g.log, "\n  "), g.what)
}

// loud panics where a test would end, so that a trial can go on.
type loud struct{ testing.TB }

func (l loud) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (l loud) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (l loud) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// Each mistake below is made in the model that the ledger is compared with. The
// simulation must find it, and shrink what it found to the few commands that the
// mistake takes.
func TestTheSimulationShrinksWhatItFinds(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(*naive.Account)
		most  int
	}{
		"an allowance of one more": {func(n *naive.Account) { n.Book.Plans["basic"].Lines[0].Amount++ }, 2},
		"overage without factor":   {func(n *naive.Account) { n.Book.Plans["over"].Num, n.Book.Plans["over"].Den = 1, 1 }, 5},
		"no proration":             {func(n *naive.Account) { n.Book.Plans["half"].Prorate = false }, 4},
		"no cap":                   {func(n *naive.Account) { n.Book.Plans["capped"].Caps = nil }, 4},
		"more overdraft":           {func(n *naive.Account) { n.Book.Overdraft += 7 }, 8},
	} {
		t.Run(name, func(t *testing.T) {
			r := trial{t: t, seed: 7, wrong: c.wrong}
			for ; r.run < 2000; r.run++ {
				commands := r.commands(120)
				_, f := r.do(commands)
				if f == nil || f.n < 4*c.most {
					continue // too easily found to have much to shrink
				}
				short, g := r.shrink(commands, f)
				t.Logf("run %d: %d commands, shrunk to %d: %v", r.run, f.n, len(short), g.what)
				if len(short) > c.most {
					t.Errorf("%d commands are left, want at most %d:\n%s", len(short), c.most, strings.Join(g.log, "\n"))
				}
				if _, again := r.do(short); again == nil {
					t.Error("nothing is wrong with what is left")
				}
				if text := r.report(commands, f); !strings.Contains(text, "FAREBOX_SEED=7") || !strings.Contains(text, fmt.Sprint("shrunk to ", len(short))) {
					t.Errorf("the report is %q", text)
				}
				return
			}
			t.Error("the simulation does not find it")
		})
	}
}
