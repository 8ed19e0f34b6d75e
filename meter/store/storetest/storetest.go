// Package storetest is what every store must pass.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/farebox-dev/farebox/meter/store"
)

var errWanted = errors.New("wanted")

// Run runs the suite against stores that open makes; each is closed at the end.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, store.Store){
		"get what was put": getPut, "all or nothing": atomic, "own writes": ownWrites, "order and bounds of a scan": scan, "a scan backwards": scanBack,
		"an empty value is a value": empty,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			defer s.Close() //nolint:errcheck // a test's store
			test(t, s)
		})
	}
}

func id(kind store.Kind, account, name string) store.ID {
	return store.ID{Kind: kind, Account: account, Name: name}
}

func put(t *testing.T, s store.Store, ids ...store.ID) {
	t.Helper()
	err := s.Update(context.Background(), nil, func(tx store.Tx) error {
		for _, x := range ids {
			if err := tx.Put(x, []byte(x.Name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s store.Store, x store.ID) (value string, err error) {
	t.Helper()
	_ = s.View(context.Background(), func(v store.Snapshot) error {
		var b []byte
		b, err = v.Get(x)
		value = string(b)
		return nil
	})
	return value, err
}

func getPut(t *testing.T, s store.Store) {
	x := id(store.Charge, "acme", "ch_1")
	if _, err := get(t, s, x); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	put(t, s, x)
	if v, err := get(t, s, x); v != "ch_1" || err != nil {
		t.Errorf("after: %q, %v", v, err)
	}
	err := s.Update(context.Background(), nil, func(tx store.Tx) error { return tx.Delete(x) })
	if _, again := get(t, s, x); err != nil || !errors.Is(again, store.ErrNotFound) {
		t.Errorf("deleted: %v, %v", err, again)
	}
}

func atomic(t *testing.T, s store.Store) {
	x := id(store.Account, "acme", "")
	err := s.Update(context.Background(), nil, func(tx store.Tx) error {
		if err := tx.Put(x, []byte("half")); err != nil {
			return err
		}
		return errWanted
	})
	if !errors.Is(err, errWanted) {
		t.Errorf("Update: %v", err)
	}
	if _, err := get(t, s, x); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a failed update left something: %v", err)
	}
}

func ownWrites(t *testing.T, s store.Store) {
	put(t, s, id(store.Hold, "acme", "a"), id(store.Hold, "acme", "b"))
	err := s.Update(context.Background(), nil, func(tx store.Tx) error {
		if err := tx.Put(id(store.Hold, "acme", "c"), []byte("c")); err != nil {
			return err
		}
		if err := tx.Delete(id(store.Hold, "acme", "a")); err != nil {
			return err
		}
		if _, err := tx.Get(id(store.Hold, "acme", "a")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("own delete: %v", err)
		}
		if names := scanned(t, tx, id(store.Hold, "acme", ""), true); !reflect.DeepEqual(names, []string{"acme/b", "acme/c"}) {
			t.Errorf("own writes in a scan: %v", names)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func scanned(t *testing.T, s store.Snapshot, from store.ID, only bool) (names []string) {
	t.Helper()
	err := s.Scan(from, only, func(x store.ID, v []byte) error {
		if x.Name != string(v) {
			t.Errorf("%s holds %q", x.Name, v)
		}
		names = append(names, x.Account+"/"+x.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func scan(t *testing.T, s store.Store) {
	seq := func(n uint64) string { return store.Sequence(n) }
	put(t, s, id(store.Entry, "a", seq(1)), id(store.Entry, "a", seq(300)), id(store.Entry, "a", seq(2)), id(store.Entry, "ab", seq(1)),
		id(store.Entry, "b", seq(1)), id(store.Charge, "a", "x"))
	_ = s.View(context.Background(), func(v store.Snapshot) error {
		for _, c := range []struct {
			from store.ID
			only bool
			want []string
		}{
			{id(store.Entry, "a", ""), true, []string{"a/" + seq(1), "a/" + seq(2), "a/" + seq(300)}},
			{id(store.Entry, "a", seq(2)), true, []string{"a/" + seq(2), "a/" + seq(300)}},
			{id(store.Entry, "ab", ""), false, []string{"ab/" + seq(1), "b/" + seq(1)}},
			{id(store.Entry, "c", ""), false, nil},
		} {
			if got := scanned(t, v, c.from, c.only); !reflect.DeepEqual(got, c.want) {
				t.Errorf("scan from %v (only %t): %q, want %q", c.from, c.only, got, c.want)
			}
		}
		n := 0
		if err := v.Scan(id(store.Entry, "", ""), false, func(store.ID, []byte) error { n++; return store.ErrStop }); err != nil || n != 1 {
			t.Errorf("a stopped scan: %d records, %v", n, err)
		}
		if err := v.Scan(id(store.Entry, "", ""), false, func(store.ID, []byte) error { return errWanted }); !errors.Is(err, errWanted) {
			t.Errorf("a failed scan: %v", err)
		}
		return nil
	})
}

func empty(t *testing.T, s store.Store) {
	x := id(store.Meta, "", "empty")
	err := s.Update(context.Background(), nil, func(tx store.Tx) error { return tx.Put(x, nil) })
	if v, again := get(t, s, x); err != nil || again != nil || v != "" {
		t.Errorf("%q, %v, %v", v, err, again)
	}
}

func scanBack(t *testing.T, s store.Store) {
	put(t, s, id(store.Charge, "acm", "ch_9"), id(store.Charge, "acme", ""), id(store.Charge, "acme", "ch_1"), id(store.Charge, "acme", "ch_2"),
		id(store.Charge, "acme", "ch_3"), id(store.Charge, "acme2", "ch_0"), id(store.Entry, "acme", "x"))
	for before, want := range map[string][]string{
		"": {"ch_3", "ch_2", "ch_1", ""}, "ch_3": {"ch_2", "ch_1", ""}, "ch_25": {"ch_2", "ch_1", ""}, "ch_1": {""}, "ch": {""}, "zz": {"ch_3", "ch_2", "ch_1", ""},
	} {
		var got []string
		err := s.View(context.Background(), func(v store.Snapshot) error {
			return v.ScanBack(id(store.Charge, "acme", before), func(x store.ID, value []byte) error {
				if x.Name != string(value) || x.Account != "acme" || x.Kind != store.Charge {
					t.Errorf("%+v has %q", x, value)
				}
				got = append(got, x.Name)
				return nil
			})
		})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("before %q: %q, %v; want %q", before, got, err, want)
		}
	}
	n := 0
	err := s.View(context.Background(), func(v store.Snapshot) error {
		return v.ScanBack(id(store.Charge, "acme", ""), func(store.ID, []byte) error { n++; return store.ErrStop })
	})
	if n != 1 || err != nil {
		t.Errorf("stopped after %d: %v", n, err)
	}
}
