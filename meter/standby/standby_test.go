package standby

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

func primary(t *testing.T) *badger.Store {
	t.Helper()
	s, err := badger.Open(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// change puts and deletes some records of several kinds.
func change(t *testing.T, s store.Store, r *rand.Rand, round int) {
	t.Helper()
	kinds := []store.Kind{store.Account, store.Charge, store.Entry, store.Hold, store.Meta}
	err := s.Update(t.Context(), nil, func(tx store.Tx) error {
		for range 1 + r.IntN(8) {
			id := store.ID{Kind: kinds[r.IntN(len(kinds))], Account: fmt.Sprint("a", r.IntN(3)), Name: fmt.Sprint(r.IntN(40))}
			var err error
			switch r.IntN(4) {
			case 0:
				err = tx.Delete(id)
			case 1:
				err = tx.Put(id, nil)
			default:
				err = tx.Put(id, fmt.Append(nil, id.Name, " of ", round))
			}
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

func records(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.View(context.Background(), func(v store.Snapshot) error {
		for _, k := range store.Kinds() {
			if err := v.Scan(store.ID{Kind: k}, false, func(id store.ID, value []byte) error {
				all[string(id.Bytes())] = string(value)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// follow copies a store until stop is called, which returns why it ended.
func follow(t *testing.T, from store.Feed, to store.Store, progress func(Progress)) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	sent, received := make(chan error, 1), make(chan error, 1)
	go func() {
		err := Send(ctx, write, func() error { return nil }, from)
		sent <- errors.Join(err, write.CloseWithError(io.ErrUnexpectedEOF))
	}()
	go func() {
		err := Receive(ctx, read, to, func() (store.Store, error) { return to, nil }, progress)
		_ = read.CloseWithError(err)
		received <- err
	}()
	return func() error {
		cancel()
		<-sent
		return <-received
	}
}

// TestACopyFollows: while records change, a copy that began in the middle has them all.
func TestACopyFollows(t *testing.T) {
	from, to := primary(t), memory.New()
	r := rand.New(rand.NewPCG(seed.Of(t), 1)) //nolint:gosec // a test
	for i := range 40 {
		change(t, from, r, i)
	}
	whole := make(chan struct{}, 1)
	stop := follow(t, from, to, func(p Progress) {
		if p.Whole {
			select {
			case whole <- struct{}{}:
			default:
			}
		}
	})
	for i := range 80 { // some before the snapshot, some after it
		change(t, from, r, i)
	}
	<-whole
	for i := range 20 {
		change(t, from, r, i)
	}
	want := records(t, from)
	for began := time.Now(); !maps.Equal(records(t, to), want); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the copy has %d records, the ledger %d", len(records(t, to)), len(want))
		}
	}
	if err := stop(); err == nil {
		t.Error("a connection that ended is no error")
	}
}

// TestACopyIsWholeOrNot: a connection that ends within the snapshot leaves no copy.
func TestACopyIsWholeOrNot(t *testing.T) {
	from := primary(t)
	for i := range 50 {
		change(t, from, rand.New(rand.NewPCG(1, uint64(i))), i) //nolint:gosec // a test
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out strings.Builder
	messages := 0
	err := Send(ctx, &out, func() error {
		if messages++; messages == 2 { // the records, and their end
			cancel()
		}
		return nil
	}, from)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	sent := out.String()
	for n := 0; n < len(sent)-1; n += 1 + len(sent)/60 {
		promoted := false
		to := memory.New()
		err := Receive(t.Context(), strings.NewReader(sent[:n]), to, func() (store.Store, error) { promoted = true; return to, nil }, func(Progress) {})
		if err == nil || promoted != !errors.Is(err, ErrCut) {
			t.Fatalf("after %d of %d bytes: whole %t, %v", n, len(sent), promoted, err)
		}
		if promoted && !maps.Equal(records(t, to), records(t, from)) {
			t.Fatalf("after %d bytes it is called whole, with %d records", n, len(records(t, to)))
		}
	}
}
