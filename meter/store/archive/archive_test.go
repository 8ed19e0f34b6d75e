package archive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/store"
)

// model is an archive and what should be in it.
type model struct {
	t     *testing.T
	dir   string
	a     *Archive
	want  map[string]string
	batch uint64
}

func newModel(t *testing.T) *model {
	t.Helper()
	was := smallest
	smallest = 4 << 10
	t.Cleanup(func() { smallest = was })
	m := &model{t: t, dir: t.TempDir(), want: map[string]string{}}
	m.open(0, nil)
	t.Cleanup(func() { m.a.Close() })
	return m
}

func (m *model) open(after uint64, names []string) {
	m.t.Helper()
	var err error
	if m.a, err = Open(m.dir, after, names); err != nil {
		m.t.Fatal(err)
	}
}

// write makes a run; an empty value deletes.
func (m *model) write(records map[string]string) {
	m.t.Helper()
	keys := make([]string, 0, len(records))
	for k, v := range records {
		keys = append(keys, k)
		m.want[k] = v
	}
	slices.Sort(keys)
	err := m.a.Write(m.batch, m.batch+1, func(w *Writer) error {
		for _, k := range keys {
			r := Record{Key: k}
			if records[k] != "" {
				r.Value = []byte(records[k])
			}
			if err := w.Add(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.batch++
}

// compact makes one run of all. What was deleted is gone, but for what the database
// below has: keys that end with a 7.
func (m *model) compact() {
	m.t.Helper()
	below := func(key string) bool { return strings.HasSuffix(key, "7") }
	s := m.a.Acquire()
	runs := len(s.runs)
	m.a.Release(s)
	if err := m.a.Compact(context.Background(), store.Compaction{Whole: true, Paced: true}, below); err != nil {
		m.t.Fatal(err)
	}
	if runs < 2 {
		return
	}
	for k, v := range m.want {
		if v == "" && !below(k) {
			delete(m.want, k)
		}
	}
}

func (m *model) merge() (merged bool) {
	m.t.Helper()
	merged, err := m.a.Merge(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return merged
}

// check reads everything in the three ways that there are.
func (m *model) check(from string) {
	m.t.Helper()
	s := m.a.Acquire()
	defer m.a.Release(s)
	var keys []string
	for k, v := range m.want {
		value, ok, err := s.Get(k)
		if err != nil || !ok || string(value) != v || (value == nil) != (v == "") {
			m.t.Fatalf("%s: %q, %t, %v; want %q", k, value, ok, err, v)
		}
		keys = append(keys, k)
	}
	if _, ok, err := s.Get("no such key"); ok || err != nil {
		m.t.Fatalf("a key that no run has: %t, %v", ok, err)
	}
	slices.Sort(keys)
	i, _ := slices.BinarySearch(keys, from)
	back := slices.Clone(keys[:i])
	slices.Reverse(back)
	if got := m.walk(s, from, false); !slices.Equal(got, keys[i:]) {
		m.t.Fatalf("from %q: %d records, want %d", from, len(got), len(keys[i:]))
	}
	if got := m.walk(s, from, true); !slices.Equal(got, back) {
		m.t.Fatalf("back from %q: %d records, want %d", from, len(got), len(back))
	}
}

// walk is all keys that the cursors find, in order.
func (m *model) walk(s *Set, from string, back bool) (keys []string) {
	m.t.Helper()
	values := map[string]string{}
	for _, c := range s.Cursors("", from, back) {
		last := ""
		for ; c.Valid(); c.Next() {
			r := c.Record()
			if last != "" && (r.Key < last) != back {
				m.t.Fatalf("%q comes after %q", r.Key, last)
			}
			last = r.Key
			if _, newer := values[r.Key]; !newer {
				values[r.Key] = string(r.Value)
				keys = append(keys, r.Key)
			}
		}
		if err := c.Err(); err != nil {
			m.t.Fatal(err)
		}
	}
	for k, v := range values {
		if m.want[k] != v {
			m.t.Fatalf("%s is %q, want %q", k, v, m.want[k])
		}
	}
	slices.Sort(keys)
	if back {
		slices.Reverse(keys)
	}
	return keys
}

// Random runs with records that replace and delete others, merges, and restarts.
func TestAnArchiveHasWhatWasWritten(t *testing.T) {
	m := newModel(t)
	rng := rand.New(rand.NewPCG(seed.Of(t), 4))
	merges := 0
	for range 150 {
		records := map[string]string{}
		for range 1 + rng.IntN(60) {
			k := fmt.Sprintf("j/acme%d\x00%06d", rng.IntN(5), rng.IntN(2000))
			if records[k] = strings.Repeat("v", rng.IntN(1500)); rng.IntN(3) > 0 && records[k] != "" {
				records[k] += fmt.Sprint(rng.Int())
			}
		}
		m.write(records)
		if m.merge() {
			merges++
		}
		if rng.IntN(15) == 0 {
			m.compact()
		}
		if rng.IntN(20) == 0 {
			s := m.a.Acquire()
			names := s.Names()
			m.a.Release(s)
			m.a.Close()
			m.open(m.batch, names)
		}
		if rng.IntN(10) == 0 {
			m.check(fmt.Sprintf("j/acme%d\x00%06d", rng.IntN(6), rng.IntN(2000)))
		}
	}
	m.check("")
	s := m.a.Acquire()
	defer m.a.Release(s)
	t.Logf("%d merges, %d runs are left of %d", merges, len(s.runs), m.batch)
	if merges == 0 || len(s.runs) > 40 {
		t.Errorf("%d merges, %d runs", merges, len(s.runs))
	}
}

// A run stands for those that were merged into it, even if they come to nothing: the
// names that the store has noted before are still found in it.
func TestARunOfNothingIsStillARun(t *testing.T) {
	m := newModel(t)
	m.write(map[string]string{"key1": "value", "key2": "value"})
	m.write(map[string]string{"key1": "", "key2": ""})
	s := m.a.Acquire()
	names := s.Names()
	m.a.Release(s)
	m.compact()
	m.a.Close()
	m.open(m.batch, names)
	for _, k := range []string{"key1", "key2"} {
		s := m.a.Acquire()
		if v, _, err := s.Get(k); err != nil || v != nil {
			t.Errorf("%s is %q, %v", k, v, err)
		}
		m.a.Release(s)
	}
}

// A compaction that need not be whole leaves alone what is much larger than the rest.
func TestACompactionIsWorthIt(t *testing.T) {
	m := newModel(t)
	rng := rand.New(rand.NewPCG(seed.Of(t), 5)) //nolint:gosec // a test's
	large := map[string]string{}
	for i := range 4000 {
		large[fmt.Sprintf("key%05d", i)] = fmt.Sprint(rng.Uint64(), rng.Uint64())
	}
	m.write(large)
	for i := range 3 {
		m.write(map[string]string{fmt.Sprint("key", i): "new"})
	}
	for _, step := range []struct {
		whole bool
		runs  int
	}{{false, 2}, {true, 1}} {
		if err := m.a.Compact(context.Background(), store.Compaction{Whole: step.whole}, func(string) bool { return false }); err != nil {
			t.Fatal(err)
		}
		s := m.a.Acquire()
		if len(s.runs) != step.runs {
			t.Errorf("whole %t: %d runs, want %d", step.whole, len(s.runs), step.runs)
		}
		m.a.Release(s)
		m.check("")
	}
}

// A set is the same to its reader until it is released, although its runs are
// merged and removed meanwhile.
func TestASetOutlivesAMerge(t *testing.T) {
	m := newModel(t)
	for i := range 7 {
		m.write(map[string]string{fmt.Sprint("key", i): "old"})
	}
	s := m.a.Acquire()
	m.write(map[string]string{"key0": "new"})
	if !m.merge() {
		t.Fatal("eight runs were not merged")
	}
	for i := range 7 {
		if v, ok, err := s.Get(fmt.Sprint("key", i)); err != nil || !ok || string(v) != "old" {
			t.Errorf("key%d: %q, %t, %v", i, v, ok, err)
		}
	}
	m.a.Release(s)
	m.check("")
	if files, _ := filepath.Glob(filepath.Join(m.dir, "*.run")); len(files) != 1 {
		t.Errorf("%v are left", files)
	}
}

// A crash can leave a merged run next to those that it was made of, files that are
// not finished, and runs of a flush that was not done.
func TestWhatACrashLeavesIsTidiedUp(t *testing.T) {
	m := newModel(t)
	for i := range 8 {
		m.write(map[string]string{fmt.Sprint("key", i): fmt.Sprint("value", i)})
	}
	image := t.TempDir()
	if err := os.CopyFS(image, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	m.merge()
	if err := os.CopyFS(image, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	m.a.Close()
	m.dir = image
	m.open(8, []string{runName(2, 3), runName(0, 8)})
	m.check("")
	m.write(map[string]string{"key9": "not flushed"})
	m.a.Close()
	delete(m.want, "key9")
	m.open(8, nil)
	m.check("")
	if files, _ := filepath.Glob(filepath.Join(image, "*.run")); len(files) != 1 {
		t.Errorf("%v are left", files)
	}
}

// Every byte of a run matters, and every file.
func TestDamageIsNoticed(t *testing.T) {
	m := newModel(t)
	records := map[string]string{}
	for i := range 300 {
		records[fmt.Sprintf("key%04d", i)] = strings.Repeat(fmt.Sprint(i), 100)
	}
	m.write(records)
	s := m.a.Acquire()
	path, names := s.runs[0].path, s.Names()
	m.a.Release(s)
	m.a.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 7 {
		damaged := slices.Clone(whole)
		damaged[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if noticed := readAll(m.dir, names); noticed == nil {
			t.Fatalf("a flipped bit in byte %d of %d", at, len(whole))
		}
	}
	for _, n := range []int{0, 1, footSize, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if noticed := readAll(m.dir, names); noticed == nil {
			t.Errorf("cut to %d bytes", n)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := readAll(m.dir, names); err == nil {
		t.Error("a missing file")
	}
	m.a, _ = Open(t.TempDir(), 0, nil)
}

func readAll(dir string, names []string) error {
	a, err := Open(dir, 1, names)
	if err != nil {
		return err
	}
	defer a.Close()
	s := a.Acquire()
	defer a.Release(s)
	for _, c := range s.Cursors("", "", false) {
		for c.Valid() {
			c.Next()
		}
		if c.Err() != nil {
			return c.Err()
		}
	}
	return nil
}

func TestBlocks(t *testing.T) {
	list := []Record{{"a", []byte("1")}, {"ab", []byte{}}, {"abc", nil}, {"b", []byte(strings.Repeat("x", 5000))}}
	for _, codec := range []Codec{Fast, Small} {
		var raw []byte
		last := ""
		for _, r := range list {
			raw = appendRecord(raw, last, r)
			last = r.Key
		}
		got, err := new(room).decodeBlock(appendBlock(nil, raw, codec))
		if err != nil || !reflect.DeepEqual(got, list) {
			t.Errorf("codec %d: %v, %v", codec, got, err)
		}
	}
}

// FuzzBlock: no bytes make reading a block panic.
func FuzzBlock(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 2, 'x', 1, 1, 'b', 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if list, err := (&room{raw: raw}).decodeRecords(); err == nil {
			for _, r := range list {
				if len(r.Key)+len(r.Value) > len(raw)*len(raw)+1 {
					t.Errorf("%+v", r)
				}
			}
		}
		_, _ = new(room).decodeBlock(raw)
	})
}
