package writer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

// One flipped bit anywhere in the files of the ledger: it is refused at open, or
// named by verify or by a read, or made good from the log; it is never a
// balance that silently differs.
func TestBitFlips(t *testing.T) {
	flips := 30
	if s := os.Getenv("FAREBOX_FLIPS"); s != "" {
		flips, _ = strconv.Atoi(s)
	}
	seed := seed.Of(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	killed := filepath.Join(t.TempDir(), "killed")
	want := fillLedger(t, dir, killed)
	refused, named, whole := 0, 0, 0
	for i := range flips {
		broken := filepath.Join(t.TempDir(), "ledger")
		from := dir
		if i%2 == 1 {
			from = killed
		}
		if err := os.CopyFS(broken, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		what := flip(t, broken, rng)
		switch state, err := readLedger(broken); {
		case state == nil:
			refused++
		case err != nil:
			named++
		case !bytes.Equal(state, want):
			t.Errorf("seed %d, flip %d (%s): the ledger is silently another one", seed, i, what)
		default:
			whole++
		}
	}
	t.Logf("seed %d: %d flips: %d refused at open, %d named, %d made good or without effect, 0 silent", seed, flips, refused, named, whole)
}

// fillLedger makes a ledger in dir. killed becomes what dir was before the end: half
// of the ledger is in the log only.
func fillLedger(t *testing.T, dir, killed string) []byte {
	t.Helper()
	s, err := badger.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, s, Options{})
	must(t, b, "acme", ledger.Open{ID: "acme"})
	for i := range 40 {
		must(t, b, "acme", reserve(i, 10))
		must(t, b, "acme", ledger.Settle{Charge: ledger.ChargeID(fmt.Sprint("ch_", i)), Cost: 3})
		if i == 20 { // one part is in the tables, the other only in the log
			b.Close()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = badger.Open(dir, nil); err != nil {
				t.Fatal(err)
			}
			b = open(t, s, Options{})
		}
	}
	b.Close()
	state := dump(s)
	if err := errors.Join(os.CopyFS(killed, os.DirFS(dir)), s.Close()); err != nil {
		t.Fatal(err)
	}
	return state
}

// flip changes one bit in a place where there is something.
func flip(t *testing.T, dir string, rng *rand.Rand) string {
	type place struct {
		file string
		at   int
	}
	var places []place
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LOCK" {
			return err
		}
		raw, err := os.ReadFile(path)
		for i, c := range raw {
			if c != 0 {
				places = append(places, place{path, i})
			}
		}
		return err
	})
	if err != nil || len(places) == 0 {
		t.Fatal(err)
	}
	p := places[rng.IntN(len(places))]
	raw, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	raw[p.at] ^= 1 << rng.IntN(8)
	if err := os.WriteFile(p.file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s at %d", filepath.Base(p.file), p.at)
}

// readLedger opens and verifies; a nil state means that it was refused.
func readLedger(dir string) (state []byte, err error) {
	defer func() { // Badger panics on some damage: that is noticed, too
		if p := recover(); p != nil {
			state, err = nil, fmt.Errorf("%v", p)
		}
	}()
	s, err := badger.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // a test's store
	r, err := Verify(ctx, s)
	if err == nil && !r.Clean() {
		err = fmt.Errorf("%v", r.Problems)
	}
	state = dump(s)
	if state == nil {
		state = []byte{}
		err = fmt.Errorf("a record cannot be read")
	}
	return state, err
}

func dump(s store.Store) []byte {
	var out []byte
	err := s.View(ctx, func(v store.Snapshot) error {
		for _, k := range []store.Kind{store.Account, store.Hold, store.Charge, store.Entry, store.Meta} {
			err := v.Scan(store.ID{Kind: k}, false, func(id store.ID, value []byte) error {
				out = append(append(out, id.Bytes()...), value...)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return out
}
