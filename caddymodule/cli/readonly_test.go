package cli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/store/storetest"
)

// The overlay behaves as a store does, and the store below it stays as it was.
func TestReadOnly(t *testing.T) {
	below := memory.New()
	storetest.Run(t, func(*testing.T) store.Store { return &readOnly{Store: below, own: map[string][]byte{}} })
	err := below.View(t.Context(), func(s store.Snapshot) error {
		for _, k := range []store.Kind{store.Account, store.Hold, store.Charge, store.Entry, store.Meta} {
			err := s.Scan(store.ID{Kind: k}, false, func(id store.ID, _ []byte) error {
				t.Errorf("%v was written", id)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A scan of the overlay is in order, whatever was written and deleted in it: it
// reads what a store with the same changes reads.
func TestTheOverlayScansInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(seed.Of(t), 1))
	id := func() store.ID {
		return store.ID{Kind: store.Entry, Account: string(rune('a' + random.IntN(4))), Name: string(rune('a' + random.IntN(6)))}
	}
	change := func(tx store.Tx) error {
		for range random.IntN(12) {
			if x := id(); random.IntN(3) == 0 {
				if err := tx.Delete(x); err != nil {
					return err
				}
			} else if err := tx.Put(x, []byte{byte(random.IntN(250))}); err != nil {
				return err
			}
		}
		return nil
	}
	for range 2_000 {
		below, want := memory.New(), memory.New()
		s := &readOnly{Store: below, own: map[string][]byte{}}
		both := func(over store.Store) {
			var log []func(store.Tx) error
			record := &recorder{log: &log}
			if err := change(record); err != nil {
				t.Fatal(err)
			}
			for _, target := range []store.Store{over, want} {
				err := target.Update(t.Context(), nil, func(tx store.Tx) error {
					for _, do := range log {
						if err := do(tx); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		both(below)
		both(s)
		from, only, stop := id(), random.IntN(2) == 0, random.IntN(8)
		if got, want := scanned(t, s, from, only, stop), scanned(t, want, from, only, stop); !slices.Equal(got, want) {
			t.Fatalf("from %v, only this account %t, stop after %d: %q, want %q", from, only, stop, got, want)
		}
	}
}

// recorder keeps changes, to make them in two stores.
type recorder struct {
	store.Tx
	log *[]func(store.Tx) error
}

func (r *recorder) Put(id store.ID, v []byte) error {
	*r.log = append(*r.log, func(tx store.Tx) error { return tx.Put(id, v) })
	return nil
}

func (r *recorder) Delete(id store.ID) error {
	*r.log = append(*r.log, func(tx store.Tx) error { return tx.Delete(id) })
	return nil
}

func scanned(t *testing.T, s store.Store, from store.ID, only bool, stop int) (all []string) {
	t.Helper()
	err := s.View(t.Context(), func(v store.Snapshot) error {
		return v.Scan(from, only, func(id store.ID, value []byte) error {
			all = append(all, fmt.Sprint(id, value))
			if len(all) > stop {
				return store.ErrStop
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A command that cannot try what it does refuses --dry-run.
func TestCommandsWithoutADryRun(t *testing.T) {
	for _, args := range [][]string{{"migrate"}, {"backup", "file"}, {"restore", "file"}} {
		_, diagnostics, err := meterCommand(t, &cli{dryRun: true, data: t.TempDir()}, args...)
		if err == nil || !strings.Contains(diagnostics, args[0]+" has no --dry-run") {
			t.Errorf("%s: %v, %q", args[0], err, diagnostics)
		}
	}
}
