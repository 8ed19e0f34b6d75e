package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/store/storetest"
)

// over is s through n connections.
func over(t *testing.T, s store.Store, n int) (*Store, []net.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	shared := Share(s, time.Now)
	var served sync.WaitGroup
	t.Cleanup(func() { cancel(); served.Wait() })
	var ours, theirs []net.Conn
	for range n {
		a, b := net.Pipe()
		ours, theirs = append(ours, a), append(theirs, b)
		served.Go(func() { _ = Serve(ctx, b, shared) })
	}
	return New(ours...), theirs
}

func TestARemoteStoreIsAStore(t *testing.T) {
	for name, open := range map[string]func(*testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return memory.New() },
		"badger": func(t *testing.T) store.Store {
			s, err := badger.Open(t.TempDir(), t.Logf)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				s, _ := over(t, open(t), 2)
				return s
			})
		})
	}
}

// TestLongScans: a scan that needs several messages gives each record once, in order,
// with the update's own writes.
func TestLongScans(t *testing.T) {
	s, _ := over(t, memory.New(), 1)
	const n = 3*chunk + 1
	id := func(i int) store.ID { return store.ID{Kind: store.Charge, Account: "a", Name: fmt.Sprintf("%05d", i)} }
	err := s.Update(context.Background(), nil, func(tx store.Tx) error {
		for i := range n {
			if err := tx.Put(id(i), []byte(strconv.Itoa(i))); err != nil {
				return err
			}
		}
		next := 0
		err := tx.Scan(store.ID{Kind: store.Charge}, false, func(x store.ID, v []byte) error {
			if x != id(next) || string(v) != strconv.Itoa(next) {
				t.Errorf("record %d is %v", next, x)
			}
			next++
			return nil
		})
		if err != nil || next != n {
			t.Errorf("%d records, %v", next, err)
		}
		return tx.ScanBack(store.ID{Kind: store.Charge, Account: "a"}, func(x store.ID, _ []byte) error {
			if next--; x != id(next) {
				t.Errorf("backwards, record %d is %v", next, x)
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// TestErrorsKeepTheirMeaning: callers ask for errors of the store with errors.Is.
func TestErrorsKeepTheirMeaning(t *testing.T) {
	m := memory.New()
	s, _ := over(t, m, 1)
	for _, want := range known[1:] {
		m.Fail = func() error { return fmt.Errorf("here: %w", want) }
		if err := s.Update(context.Background(), nil, func(tx store.Tx) error { return tx.Put(store.ID{Kind: store.Meta, Name: "x"}, nil) }); !errors.Is(err, want) {
			t.Errorf("%v became %v", want, err)
		}
	}
}

// TestChangesOfWatchedKindsAreSeen by both processes, whoever made them; those of an
// update that failed are not.
func TestChangesOfWatchedKindsAreSeen(t *testing.T) {
	s, _ := over(t, memory.New(), 1)
	change := func(k store.Kind, err error) uint64 {
		_ = s.Update(t.Context(), nil, func(tx store.Tx) error { return errors.Join(err, tx.Put(store.ID{Kind: k, Name: "x"}, nil)) })
		v, failed := s.Versions(t.Context())
		if failed != nil {
			t.Fatal(failed)
		}
		return v[store.Key]
	}
	before := change(store.Charge, nil)
	if again := change(store.Key, errors.New("no")); again != before {
		t.Error("an update that failed counts as a change")
	}
	if after := change(store.Key, nil); after == before {
		t.Error("a change was not seen")
	}
}

// TestAProcessThatHangsIsLeft: an update whose process does not go on keeps the others
// out for a bounded time, and writes nothing.
func TestAProcessThatHangsIsLeft(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 50 * time.Millisecond
	m := memory.New()
	hangs, _ := over(t, m, 1)
	x := store.ID{Kind: store.Meta, Name: "x"}
	began, others := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	go func() {
		result <- hangs.Update(context.Background(), nil, func(tx store.Tx) error {
			err := tx.Put(x, []byte("lost"))
			close(began)
			<-others
			return err
		})
	}()
	<-began
	if err := m.Update(context.Background(), nil, func(tx store.Tx) error {
		_, err := tx.Get(x)
		return err
	}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the update of a process that hangs: %v", err)
	}
	close(others)
	if err := <-result; !errors.Is(err, store.ErrAgain) {
		t.Errorf("it got %v", err)
	}
	if err := hangs.View(context.Background(), func(store.Snapshot) error { return nil }); !errors.Is(err, store.ErrAgain) {
		t.Errorf("after that: %v", err)
	}
}

// TestAProcessThatEndsIsLost: updates and views fail at once, and nothing is written.
func TestAProcessThatEndsIsLost(t *testing.T) {
	s, theirs := over(t, memory.New(), 2)
	err := s.Update(context.Background(), nil, func(tx store.Tx) error {
		for _, c := range theirs {
			_ = c.Close()
		}
		_, err := tx.Get(store.ID{Kind: store.Meta, Name: "x"})
		return err
	})
	if !errors.Is(err, store.ErrAgain) {
		t.Errorf("update: %v", err)
	}
	if err := s.View(context.Background(), func(store.Snapshot) error { return nil }); !errors.Is(err, store.ErrAgain) {
		t.Errorf("view: %v", err)
	}
}
