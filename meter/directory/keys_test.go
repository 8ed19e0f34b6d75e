package directory_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/writer"
)

func (f *fixture) keys(account string) []directory.Key {
	f.Helper()
	list, err := f.Directory.Keys.List(account)
	if err != nil {
		f.Fatal(err)
	}
	return list
}

func (f *fixture) newKey(k directory.Key) (secret, id string) {
	f.Helper()
	secret, made, err := f.Directory.Keys.Create(f.Context(), k)
	if err != nil {
		f.Fatal(err)
	}
	return secret, made.ID
}

// Versions before the lists of keys wrote keys only.
func TestKeysOfAnEarlierVersionAreListed(t *testing.T) {
	f := newFixture(t)
	f.Create("other", "")
	var want []string
	for range 3 {
		_, id := f.newKey(directory.Key{Account: "acme"})
		want = append(want, id)
	}
	secret, _ := f.newKey(directory.Key{Account: "other"})
	f.Close()
	err := f.Store.Update(context.Background(), nil, func(tx store.Tx) error {
		err := tx.Scan(store.ID{Kind: store.KeyOf}, false, func(id store.ID, _ []byte) error { return tx.Delete(id) })
		return errors.Join(err, tx.Delete(store.ID{Kind: store.Meta, Name: "keys by account"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Reopen()
	var got []string
	for _, k := range f.keys("acme") {
		got = append(got, k.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(f.keys("other")) != 1 {
		t.Errorf("acme has %v, want %v; other has %+v", got, want, f.keys("other"))
	}
	if k, err := f.Directory.Keys.Find(secret); err != nil || k.Account != "other" {
		t.Errorf("%+v %v", k, err)
	}
}

// A look-up that began before a key was revoked must not bring it back.
func TestARevokedKeyIsRefusedWhileItIsLookedUp(t *testing.T) {
	f := newFixture(t)
	for range 200 {
		secret, id := f.newKey(directory.Key{Account: "acme"})
		var looking sync.WaitGroup
		for range 4 {
			looking.Go(func() { _, _ = f.Directory.Keys.Find(secret) })
		}
		if _, err := f.Directory.Keys.Revoke(t.Context(), "acme", id); err != nil {
			t.Fatal(err)
		}
		looking.Wait()
		var no *directory.Refusal
		if _, err := f.Directory.Keys.Find(secret); !errors.As(err, &no) || no.Reason != directory.KeyRevoked {
			t.Fatalf("after it was revoked: %v", err)
		}
	}
}

func TestAKeyOfAnotherAccountIsNotRevoked(t *testing.T) {
	f := newFixture(t)
	f.Create("other", "")
	secret, id := f.newKey(directory.Key{Account: "other"})
	for _, x := range []string{id, "", "key_", "key_zz", "key_0000000000000000", "op_" + id[4:]} {
		if _, err := f.Directory.Keys.Revoke(t.Context(), "acme", x); !errors.Is(err, directory.ErrNoSuchKey) {
			t.Errorf("%q: %v", x, err)
		}
		if _, _, err := f.Directory.Keys.Rotate(t.Context(), "acme", x, 0); !errors.Is(err, directory.ErrNoSuchKey) {
			t.Errorf("rotating %q: %v", x, err)
		}
	}
	if _, err := f.Directory.Keys.Find(secret); err != nil {
		t.Error(err)
	}
}

func TestVerifyComparesKeysWithTheListsOfTheirAccounts(t *testing.T) {
	f := newFixture(t)
	_, id := f.newKey(directory.Key{Account: "acme"})
	name := f.keyName()
	place := store.ID{Kind: store.KeyOf, Account: "acme", Name: name}
	for what, harm := range map[string]func(tx store.Tx) error{
		"is not in the list of its account acme": func(tx store.Tx) error { return tx.Delete(place) },
		"account zoe lists the API key " + id[4:]: func(tx store.Tx) error {
			return tx.Put(store.ID{Kind: store.KeyOf, Account: "zoe", Name: name}, []byte{1})
		},
		"account acme lists the API key " + id[4:]: func(tx store.Tx) error {
			return tx.Delete(store.ID{Kind: store.Key, Name: name})
		},
	} {
		s := memory.New()
		err := f.Store.View(t.Context(), func(from store.Snapshot) error {
			return s.Update(t.Context(), nil, func(tx store.Tx) error {
				for kind := store.Kind('a'); kind <= 'z'; kind++ {
					if err := from.Scan(store.ID{Kind: kind}, false, tx.Put); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := writer.Verify(t.Context(), s); err != nil || !r.Clean() {
			t.Fatalf("unharmed: %v %+v", err, r)
		}
		if err := s.Update(t.Context(), nil, harm); err != nil {
			t.Fatal(err)
		}
		if r, err := writer.Verify(t.Context(), s); err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], what) {
			t.Errorf("%s: %v %+v", what, err, r)
		}
	}
}

// keyName is the name of the only key's record.
func (f *fixture) keyName() (name string) {
	err := f.Store.View(f.Context(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Key}, false, func(id store.ID, _ []byte) error { name = id.Name; return nil })
	})
	if err != nil || name == "" {
		f.Fatal(name, err)
	}
	return name
}
