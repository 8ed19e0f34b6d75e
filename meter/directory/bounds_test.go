package directory_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/farebox-dev/farebox/meter/directory"
)

// TestKeysAreBounded: at any concurrency, an account has no more keys than it can have,
// and one that is not in force makes room.
func TestKeysAreBounded(t *testing.T) {
	t.Cleanup(directory.LimitKeysAndMembers(10, 10))
	f := newFixture(t)
	var made, refused atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, _, err := f.Directory.Keys.Create(f.Context(), directory.Key{Account: "acme"})
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, directory.ErrMaxKeys) && strings.Contains(err.Error(), "max_keys of the account is reached: it has 10 API keys in force; revoke some"):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 10 || refused.Load() != 10 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
	old := f.keys("acme")
	for _, k := range old[3:5] {
		if _, err := f.Directory.Keys.Revoke(f.Context(), "acme", k.ID); err != nil {
			t.Fatal(err)
		}
	}
	f.newKey(directory.Key{Account: "acme"})
	f.newKey(directory.Key{Account: "acme"})
	now := f.keys("acme")
	if len(now) != 10 {
		t.Errorf("%d keys", len(now))
	}
	for _, k := range now {
		if !k.RevokedAt.IsZero() {
			t.Errorf("%s was revoked and is still there", k.ID)
		}
	}
	if _, _, err := f.Directory.Keys.Create(f.Context(), directory.Key{Account: "acme"}); !errors.Is(err, directory.ErrMaxKeys) {
		t.Errorf("an eleventh: %v", err)
	}
}

func TestMembersAreBounded(t *testing.T) {
	t.Cleanup(directory.LimitKeysAndMembers(10, 4))
	f := newFixture(t)
	add := func(id string) error {
		_, err := f.Directory.Members.Add(f.Context(), "acme", id, directory.MemberChange{})
		return err
	}
	for i := range 4 {
		if err := add(fmt.Sprint("m", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("m4"); !errors.Is(err, directory.ErrMaxMembers) {
		t.Errorf("a fifth: %v", err)
	}
	if _, err := f.Directory.Members.Remove(f.Context(), "acme", "m1"); err != nil {
		t.Fatal(err)
	}
	if err := add("m4"); !errors.Is(err, directory.ErrMaxMembers) { // else it could be repeated without end
		t.Errorf("after one was removed: %v", err)
	}
	if err := add("m1"); err != nil {
		t.Errorf("the one that was removed comes back: %v", err)
	}
}

func TestImportedAccountsAreBounded(t *testing.T) {
	t.Cleanup(directory.LimitKeysAndMembers(1, 1))
	f := newFixture(t)
	_, wrong := f.Directory.Keys.Newcomers("new", make([]directory.NewMember, 2), make([]directory.NewKey, 2), directory.ProfileChange{})
	if err := errors.Join(wrong...); !errors.Is(err, directory.ErrMaxKeys) || !errors.Is(err, directory.ErrMaxMembers) {
		t.Errorf("%v", err)
	}
}
