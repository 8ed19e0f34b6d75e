package badger

import (
	"context"
	"errors"
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
