package badger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/storetest"
)

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openStore(t, t.TempDir()) })
}

func TestRecordsOutliveTheStore(t *testing.T) {
	dir, x := t.TempDir(), store.ID{Kind: store.Account, Account: "acme"}
	s := openStore(t, dir)
	if err := s.Update(context.Background(), nil, func(tx store.Tx) error { return tx.Put(x, []byte("state")) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	defer s.Close() //nolint:errcheck // a test's store
	err := s.View(context.Background(), func(v store.Snapshot) error {
		b, err := v.Get(x)
		if string(b) != "state" {
			t.Errorf("reopened: %q", b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheSecondOneIsToldWhoHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	defer s.Close() //nolint:errcheck // a test's store
	_, err := Open(dir, t.Logf)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("second open: %v", err)
	}
}

// A file that is no backup is refused and leaves nothing, so that the directory
// can be used for the right one.
func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	for name, file := range map[string][]byte{
		"random bytes": bytes.Repeat([]byte{0x9b, 0x1f, 0x8b, 0x7a, 0xff}, 700),
		"a text":       []byte("this is not a backup"),
		"a few bytes":  {1, 2, 3},
	} {
		dir := t.TempDir()
		if err := Restore(dir, bytes.NewReader(file)); !errors.Is(err, ErrNotABackup) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: the directory keeps %v, %v", name, left, err)
		}
	}
}
