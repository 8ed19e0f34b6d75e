package badger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// Random updates, flushes, crashes and restarts: whatever part of the records is
// in memory, in the tables or in both, reads see what a store in memory has.
// FAREBOX_MODEL_STEPS: how many, FAREBOX_SEED: which.
func TestLayersAndTablesReadAsOne(t *testing.T) {
	steps := 1500
	if testing.Short() {
		steps = 300
	}
	if s := os.Getenv("FAREBOX_MODEL_STEPS"); s != "" {
		steps, _ = strconv.Atoi(s)
	}
	seed := seed.Of(t)
	makeSmall(t)
	rng := rand.New(rand.NewPCG(seed, 3))
	m := &modelTest{t: t, rng: rng, dir: t.TempDir(), want: memory.New()}
	m.have = openStore(t, m.dir)
	for range steps {
		switch n := rng.IntN(100); {
		case n < 70:
			m.update()
		case n < 74: // a flush begins, and is not done
			m.have.freeze()
		case n < 78:
			if err := m.have.flush(); err != nil {
				t.Fatal(err)
			}
		case n < 80:
			crash(t, m.have)
			m.have = openStore(t, m.dir)
		case n < 81:
			if err := m.have.Close(); err != nil {
				t.Fatal(err)
			}
			m.have = openStore(t, m.dir)
		case n < 82:
			if err := m.have.Compact(context.Background(), store.Compaction{Whole: m.rng.IntN(2) == 0, Paced: true}); err != nil {
				t.Fatal(err)
			}
		default:
			m.compare()
		}
		if t.Failed() {
			t.Fatalf("FAREBOX_SEED=%d", seed)
		}
	}
	m.compare()
	crash(t, m.have)
}

type modelTest struct {
	t    *testing.T
	rng  *rand.Rand
	dir  string
	have *Store
	want *memory.Store
}

func (m *modelTest) id() store.ID {
	kind := []store.Kind{store.Hold, store.Charge, store.Account}[m.rng.IntN(3)]
	return store.ID{Kind: kind, Account: []string{"", "a", "ab", "b"}[m.rng.IntN(4)], Name: fmt.Sprint(m.rng.IntN(20))}
}

// update writes the same to both. Some updates read what they have written, some
// fail and leave nothing.
func (m *modelTest) update() {
	ids, values := make([]store.ID, 1+m.rng.IntN(8)), make([][]byte, 8)
	for i := range ids {
		ids[i] = m.id()
		if m.rng.IntN(3) > 0 {
			values[i] = make([]byte, m.rng.IntN(4)*m.rng.IntN(1000))
			values[i] = append(values[i], fmt.Sprint(m.rng.IntN(1000))...)
		}
	}
	fails, from := m.rng.IntN(10) == 0, m.id()
	var reads [2][]string
	for i, s := range []store.Store{m.have, m.want} {
		err := s.Update(context.Background(), nil, func(tx store.Tx) error {
			for k, id := range ids {
				if values[k] == nil {
					_ = tx.Delete(id)
				} else if err := tx.Put(id, values[k]); err != nil {
					return err
				}
			}
			reads[i] = m.read(tx, from)
			if fails {
				return errors.New("changed its mind")
			}
			return nil
		})
		if (err != nil) != fails {
			m.t.Error(err)
		}
	}
	m.equal("an update's own view from", from, reads)
}

func (m *modelTest) compare() {
	from := m.id()
	var reads [2][]string
	for i, s := range []store.Store{m.have, m.want} {
		err := s.View(context.Background(), func(v store.Snapshot) error {
			if i == 0 && m.rng.IntN(2) == 0 { // a view does not see what comes later
				reads[0] = m.read(v, from)
				m.update()
				if again := m.read(v, from); !reflect.DeepEqual(again, reads[0]) {
					m.t.Errorf("a view changed: %q, then %q", reads[0], again)
				}
			}
			reads[i] = m.read(v, from)
			return nil
		})
		if err != nil {
			m.t.Error(err)
		}
	}
	if m.t.Failed() {
		return
	}
	for i, s := range []store.Store{m.have, m.want} {
		_ = s.View(context.Background(), func(v store.Snapshot) error { reads[i] = m.read(v, from); return nil })
	}
	m.equal("a view from", from, reads)
}

func (m *modelTest) equal(what string, from store.ID, reads [2][]string) {
	if !reflect.DeepEqual(reads[0], reads[1]) {
		m.t.Errorf("%s %+v: %q, want %q", what, from, reads[0], reads[1])
	}
}

// read is what s has at id, and what the three ways to scan find from there.
func (m *modelTest) read(s store.Snapshot, id store.ID) (all []string) {
	b, err := s.Get(id)
	all = append(all, fmt.Sprintf("get %s %t", b, errors.Is(err, store.ErrNotFound)))
	see := func(x store.ID, b []byte) error {
		all = append(all, fmt.Sprintf("%c %s %s: %s", x.Kind, x.Account, x.Name, b))
		return nil
	}
	for _, err := range []error{s.Scan(id, true, see), s.Scan(id, false, see), s.ScanBack(id, see)} {
		if err != nil {
			m.t.Error(err)
		}
		all = append(all, "end")
	}
	return all
}

// A record that came and went between two flushes does not reach the tables, and
// one that changed often reaches them once.
func TestOnlyWhatIsLeftReachesTheTables(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close() //nolint:errcheck // a test's store
	hold := store.ID{Kind: store.Hold, Account: "acme", Name: "ch_1"}
	for i := range 50 {
		err := s.Update(context.Background(), nil, func(tx store.Tx) error {
			return errors.Join(tx.Put(hold, []byte("held")), tx.Put(store.ID{Kind: store.Account, Account: "acme"}, fmt.Append(nil, i)))
		})
		if err == nil {
			err = s.Update(context.Background(), nil, func(tx store.Tx) error { return tx.Delete(hold) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, m := range s.marks.list {
		size += m.size
	}
	if want := int64(len("a/acme\x00") + len("49")); size != want {
		t.Errorf("%d bytes were written, want %d", size, want)
	}
}
