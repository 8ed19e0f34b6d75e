package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

var taken = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// filled is a store with records of every kind.
func filled(t *testing.T, r *rand.Rand, n int) store.Store {
	s := memory.New()
	change(t, s, r, n)
	return s
}

// change puts and deletes records of all kinds.
func change(t *testing.T, s store.Store, r *rand.Rand, n int) {
	t.Helper()
	kinds := store.Kinds()
	err := s.Update(t.Context(), nil, func(tx store.Tx) error {
		for range n {
			id := store.ID{Kind: kinds[r.IntN(len(kinds))], Account: fmt.Sprint("acct", r.IntN(5)), Name: strings.Repeat("\x00\xff", r.IntN(2)) + fmt.Sprint(r.IntN(40))}
			if r.IntN(4) == 0 {
				if err := tx.Delete(id); err != nil {
					return err
				}
				continue
			}
			value := make([]byte, r.IntN(60))
			for i := range value {
				value[i] = byte(r.Uint32())
			}
			if err := tx.Put(id, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func written(t *testing.T, s store.Store, id string, at time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	err := s.View(t.Context(), func(v store.Snapshot) error {
		_, err := backup.Write(t.Context(), &b, backup.Header{ID: id, Ledger: "ldg_1", Taken: at}, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// contents is everything in a store, as text.
func contents(t *testing.T, s store.Store) string {
	t.Helper()
	var b strings.Builder
	err := s.View(t.Context(), func(v store.Snapshot) error {
		for _, k := range store.Kinds() {
			err := v.Scan(store.ID{Kind: k}, false, func(id store.ID, value []byte) error {
				fmt.Fprintf(&b, "%q %x\n", id.Bytes(), value)
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
	return b.String()
}

func loaded(t *testing.T, from backup.Source) (store.Store, error) {
	t.Helper()
	s := memory.New()
	_, err := backup.Load(t.Context(), s, from)
	return s, err
}

// What one store wrote, another has afterwards, to the byte.
func TestABackupHoldsEverything(t *testing.T) {
	r := random(t)
	s := filled(t, r, 3000)
	file := written(t, s, "bk_1", taken)
	from, h, err := backup.Open(bytes.NewReader(file))
	if err != nil || h.ID != "bk_1" || h.Ledger != "ldg_1" || !h.Taken.Equal(taken) {
		t.Fatalf("%+v, %v", h, err)
	}
	to, err := badger.Open(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close() //nolint:errcheck // a test's store
	counts, err := backup.Load(t.Context(), to, from)
	if err != nil {
		t.Fatal(err)
	}
	want := contents(t, s)
	if got := contents(t, to); got != want {
		t.Error("the loaded store differs from the one that was backed up")
	}
	if lines := int64(strings.Count(want, "\n")); counts.Total() != lines {
		t.Errorf("%d records counted, want %d", counts.Total(), lines)
	}
	if again := written(t, to, "bk_1", taken); !bytes.Equal(again, file) {
		t.Error("the same state gives another backup")
	}
}

// whole reads a backup to its end.
func whole(file []byte) error {
	from, _, err := backup.Open(bytes.NewReader(file))
	for err == nil {
		_, err = from.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Whatever happens to a backup is noticed: each bit of it, each length, each block.
func TestADamagedBackupIsRefused(t *testing.T) {
	file := written(t, filled(t, random(t), 120), "bk_1", taken)
	if err := whole(file); err != nil {
		t.Fatal(err)
	}
	for i := range file {
		for bit := range 8 {
			bad := bytes.Clone(file)
			bad[i] ^= 1 << bit
			if whole(bad) == nil {
				t.Fatalf("bit %d of byte %d was flipped unnoticed", bit, i)
			}
		}
	}
	for n := range len(file) {
		err := whole(file[:n])
		if err == nil {
			t.Fatalf("the first %d bytes of %d are taken for a whole backup", n, len(file))
		}
		if n > 0 && !errors.Is(err, backup.ErrCutOff) {
			t.Fatalf("the first %d bytes of %d: %v", n, len(file), err)
		}
	}
	for what, bad := range map[string][]byte{
		"a byte more":    append(bytes.Clone(file), 0),
		"twice the same": append(bytes.Clone(file), file...),
	} {
		if err := whole(bad); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatIsNoBackupIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "\x1f\x8b\x08\x00aaaaaaaaaaaaaaaaaaaa": "compressed", "FAREBOX BACKUP 2\nabc": "newer version",
		"this is a text about something else": "not a backup", "\x05\x00\x00\x00\x00\x00\x00\x00nonsense of some length": "not a backup",
	} {
		_, _, err := backup.Open(strings.NewReader(text))
		if !errors.Is(err, backup.ErrNotABackup) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// memorySource is the state of a store as a source.
func memorySource(t *testing.T, s store.Store) backup.Source {
	r, err := backup.NewReader(bytes.NewReader(written(t, s, "bk_x", taken)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A ledger changes at random, with a backup after each change: every moment can be
// restored, and an increment holds what changed and no more.
func TestEveryMomentOfASeriesCanBeRestored(t *testing.T) {
	r, dir := random(t), t.TempDir()
	s := filled(t, r, 400)
	var moments []string
	for i := range 12 {
		h := backup.Header{ID: fmt.Sprint("bk_", i), Ledger: "ldg_1", Taken: taken.Add(time.Duration(i) * time.Hour)}
		list, err := backup.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		file := written(t, s, h.ID, h.Taken)
		if i%5 > 0 {
			h.Base = list[len(list)-1].ID
			file = diff(t, list, h, s)
		}
		if err := os.WriteFile(filepath.Join(dir, backup.Name(h)), file, 0o600); err != nil {
			t.Fatal(err)
		}
		moments = append(moments, contents(t, s))
		change(t, s, r, r.IntN(60))
		if i == 6 {
			deleteLast(t, s)
		}
	}
	list, err := backup.List(dir)
	if err != nil || len(list) != len(moments) {
		t.Fatal(list, err)
	}
	for i, want := range moments {
		f, err := list.At(taken.Add(time.Duration(i)*time.Hour + 59*time.Minute))
		if err != nil || f.ID != fmt.Sprint("bk_", i) {
			t.Fatalf("backup %d: %+v, %v", i, f, err)
		}
		if got := restored(t, list, f); got != want {
			t.Errorf("restoring backup %d gives another state", i)
		}
	}
	if _, err := list.At(taken.Add(-time.Second)); err == nil {
		t.Error("there is a backup from before the first")
	}
	expired := list.Expired(func(f backup.File) bool { return f.Taken.After(taken.Add(6 * time.Hour)) })
	if len(expired) != 5 || expired[4].ID != "bk_4" {
		t.Errorf("expired: %v", expired)
	}
	if all := list.Expired(func(backup.File) bool { return false }); len(all) != 10 {
		t.Errorf("the newest chain must stay; expired: %v", all)
	}
}

// deleteLast deletes all records of the last kind: afterwards the older state has more
// than the newer one.
func deleteLast(t *testing.T, s store.Store) {
	t.Helper()
	kinds := store.Kinds()
	err := s.Update(t.Context(), nil, func(tx store.Tx) error {
		var all []store.ID
		err := tx.Scan(store.ID{Kind: kinds[len(kinds)-1]}, false, func(id store.ID, _ []byte) error { all = append(all, id); return nil })
		for _, id := range all {
			err = errors.Join(err, tx.Delete(id))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t *testing.T, list backup.Series, h backup.Header, s store.Store) []byte {
	t.Helper()
	chain, err := list.Chain(list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	from, files, err := chain.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close() //nolint:errcheck // only read from
	var b bytes.Buffer
	if _, err := backup.Diff(&b, h, from, memorySource(t, s)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func restored(t *testing.T, list backup.Series, f backup.File) string {
	t.Helper()
	chain, err := list.Chain(f)
	if err != nil {
		t.Fatal(err)
	}
	from, files, err := chain.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close() //nolint:errcheck // only read from
	s, err := loaded(t, from)
	if err != nil {
		t.Fatal(err)
	}
	return contents(t, s)
}

// An increment without a change is nearly empty; one whose base is missing, damaged or
// another ledger's is refused.
func TestABrokenSeriesIsRefused(t *testing.T) {
	r, dir := random(t), t.TempDir()
	s := filled(t, r, 400)
	full := backup.Header{ID: "bk_0", Ledger: "ldg_1", Taken: taken}
	path := filepath.Join(dir, backup.Name(full))
	file := written(t, s, full.ID, taken)
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, file)
	list, err := backup.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := backup.Header{ID: "bk_1", Base: "bk_0", Ledger: "ldg_1", Taken: taken.Add(time.Hour)}
	same := diff(t, list, h, s)
	if len(same) > 400 {
		t.Errorf("an increment without a change has %d bytes", len(same))
	}
	write(filepath.Join(dir, backup.Name(h)), same)
	if list, err = backup.List(dir); err != nil {
		t.Fatal(err)
	}
	if restored(t, list, list[1]) != contents(t, s) {
		t.Error("an empty increment changes something")
	}
	bad := bytes.Clone(file)
	bad[len(bad)/2] ^= 4
	write(path, bad)
	from, files, err := list.Open()
	if err == nil {
		_, err = loaded(t, from)
		_ = files.Close()
	}
	if !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("a damaged base: %v", err)
	}
	if _, err := list[1:].Chain(list[1]); err == nil || !strings.Contains(err.Error(), "bk_0") {
		t.Errorf("a missing base: %v", err)
	}
	other := backup.Header{ID: "bk_2", Ledger: "ldg_2", Taken: taken}
	var b bytes.Buffer
	if err := s.View(t.Context(), func(v store.Snapshot) error { _, err := backup.Write(context.Background(), &b, other, v); return err }); err != nil {
		t.Fatal(err)
	}
	write(path, file)
	write(filepath.Join(dir, "another"+backup.Suffix), b.Bytes())
	if _, err := backup.List(dir); err == nil || !strings.Contains(err.Error(), "ldg_2") {
		t.Errorf("backups of two ledgers: %v", err)
	}
}

// Records out of order would make an increment wrong; they cannot be written.
func TestRecordsOutOfOrderCannotBeWritten(t *testing.T) {
	w, err := backup.NewWriter(io.Discard, backup.Header{ID: "bk_1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Put(backup.Record{Key: "a/b\x00", Value: []byte{}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a/b\x00", "a/a\x00"} {
		if err := w.Put(backup.Record{Key: key, Value: []byte{}}); err == nil {
			t.Errorf("%q was written after a/b", key)
		}
	}
}

func random(t *testing.T) *rand.Rand { return rand.New(rand.NewPCG(seed.Of(t), 1)) } //nolint:gosec // a test's
