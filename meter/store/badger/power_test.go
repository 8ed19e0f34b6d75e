package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// A power cut takes what was written and never synced: of the log, the record
// that was being appended, of which any sectors may have reached the disk; of
// Badger, all of its memtables' and value logs, any part of them, or their very
// names. Whatever is left, the ledger starts, has everything that was
// acknowledged, and is right. FAREBOX_POWER_CUTS: how many, FAREBOX_SEED: which.
func TestPowerCuts(t *testing.T) {
	cuts := 15
	if s := os.Getenv("FAREBOX_POWER_CUTS"); s != "" {
		cuts, _ = strconv.Atoi(s)
	}
	seed := seed.Of(t)
	makeSmall(t)
	p := &plant{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 2)), settled: map[ledger.ChargeID]money.Amount{}}
	p.start()
	older := ""
	flushed := 0
	for cut := range cuts {
		for range 5 + p.rng.IntN(40) {
			p.work()
		}
		image := filepath.Join(t.TempDir(), "image")
		tables := p.copyTo(image)
		p.tear(image, older)
		p.tearLog(image)
		flushed = max(flushed, tables)
		if err := p.check(image); err != nil {
			t.Fatalf("FAREBOX_SEED=%d cut %d after %d charges: %v", seed, cut, len(p.settled), err)
		}
		if older == "" || p.rng.IntN(3) == 0 {
			older = filepath.Join(t.TempDir(), "older")
			p.copyTo(older)
		}
	}
	p.stop()
	t.Logf("FAREBOX_SEED=%d: %d power cuts with up to %d tables and %d charges: 0 failed starts, 0 lost acknowledgements, all clean", seed, cuts, flushed, len(p.settled))
}

// plant is a ledger at work, with what was acknowledged.
type plant struct {
	t       *testing.T
	dir     string
	rng     *rand.Rand
	s       *Store
	b       *writer.Writer
	n       int
	settled map[ledger.ChargeID]money.Amount
	books   int
	synced  map[string][]byte // what of the log's files is on the disk for certain
}

func plantTerms() *ledger.Terms {
	return &ledger.Terms{Zone: time.UTC, DefaultPlan: "basic", Plans: map[string]*ledger.Plan{"basic": {
		ID: "basic", Billing: calendar.Month, OverageLimit: ledger.NoLimit, Credits: []ledger.Schedule{{Type: "subscription", Amount: 1 << 40, Every: calendar.Month}},
	}}}
}

func (p *plant) start() {
	p.s = openStore(p.t, p.dir)
	p.synced = map[string][]byte{}
	p.s.log.sync = func(f *os.File) error {
		b, err := os.ReadFile(p.s.log.segments[len(p.s.log.segments)-1].path)
		p.synced[filepath.Base(p.s.log.segments[len(p.s.log.segments)-1].path)] = b
		return errors.Join(err, datasync(f))
	}
	var err error
	if p.b, err = writer.Open(context.Background(), p.s, writer.Options{Now: time.Now, Terms: plantTerms()}); err != nil {
		p.t.Fatal(err)
	}
	for i := range 4 {
		p.do(i, ledger.Open{ID: account(i)})
	}
}

func (p *plant) stop() {
	p.b.Close()
	crash(p.t, p.s)
}

func account(i int) ledger.AccountID { return ledger.AccountID(fmt.Sprint("acme", i%4)) }

func (p *plant) do(i int, c ledger.Command) {
	if _, err := p.b.Do(context.Background(), account(i), c); err != nil {
		p.t.Fatal(err)
	}
}

// work is one charge, and now and then a large record, so that memtables fill.
func (p *plant) work() {
	p.n++
	id := ledger.ChargeID(fmt.Sprintf("ch_%06d", p.n))
	p.do(p.n, ledger.Reserve{Charge: &ledger.Charge{ID: id}, Amount: 100, Plan: ledger.AnyPlan})
	if p.rng.IntN(8) == 0 {
		return // a cut finds it open
	}
	cost := money.Amount(p.rng.IntN(100))
	p.do(p.n, ledger.Settle{Charge: id, Cost: cost})
	p.settled[id] = cost
	if p.rng.IntN(4) == 0 {
		err := p.b.Update(context.Background(), func(tx store.Tx) error {
			return tx.Put(store.ID{Kind: store.Book, Name: fmt.Sprintf("%06d", p.books)}, bytes.Repeat([]byte{byte(p.books)}, 30_000))
		})
		if err != nil {
			p.t.Fatal(err)
		}
		p.books++
	}
}

// copyTo copies the directory as it is at one instant of Badger's own work in
// the background. It returns how many tables there are.
func (p *plant) copyTo(image string) (tables int) {
	for range 50 {
		before := p.tables()
		if err := os.CopyFS(image, os.DirFS(p.dir)); err == nil {
			if after := p.tables(); slices.Equal(before, after) {
				return len(after) - 1
			}
		}
		if err := os.RemoveAll(image); err != nil {
			p.t.Fatal(err)
		}
	}
	p.t.Fatal("Badger never rests")
	return 0
}

// tables is the manifest and the names of the tables, which Badger syncs.
func (p *plant) tables() []string {
	manifest, err := os.ReadFile(filepath.Join(p.dir, "MANIFEST"))
	if err != nil {
		p.t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(p.dir, "*.sst"))
	return append(names, string(manifest))
}

// tear does to the files that Badger has not synced what a power cut can do.
func (p *plant) tear(image, older string) {
	files, err := os.ReadDir(image)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() || strings.HasSuffix(f.Name(), ".sst") || f.Name() == "MANIFEST" || f.Name() == "KEYREGISTRY" {
			continue
		}
		path := filepath.Join(image, f.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			p.t.Fatal(err)
		}
		used := len(bytes.TrimRight(b, "\x00")) + 1
		switch p.rng.IntN(6) {
		case 0: // all of it got there
		case 1:
			b = b[:min(len(b), p.rng.IntN(used+1))]
		case 2: // the length, but not the end
			clear(b[min(len(b), p.rng.IntN(used+1)):])
		case 3: // some pages did not
			for at := 0; at < min(used, len(b)); at += 4096 {
				if p.rng.IntN(3) == 0 {
					clear(b[at:min(len(b), at+4096)])
				}
			}
		case 4: // as it was some time ago
			if b, err = os.ReadFile(filepath.Join(older, f.Name())); err != nil {
				b = nil
			}
		case 5: // not even its name
			if err := os.Remove(path); err != nil {
				p.t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// tearLog leaves of the log what was synced, and lets some sectors of the next
// record reach the disk. The ledger goes on; the image does not know.
func (p *plant) tearLog(image string) {
	for _, s := range p.s.log.segments {
		b := p.synced[filepath.Base(s.path)]
		if b == nil {
			b = make([]byte, s.size)
		}
		if err := os.WriteFile(filepath.Join(image, "log", filepath.Base(s.path)), b, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	k := len(p.s.log.segments)
	if k == 0 {
		return
	}
	seg, before := p.s.log.segments[k-1], p.s.log.segments[k-1].end
	p.work()
	live, err := os.ReadFile(seg.path)
	name := filepath.Join(image, "log", filepath.Base(seg.path))
	b, err2 := os.ReadFile(name)
	if err = errors.Join(err, err2); err != nil {
		p.t.Fatal(err)
	}
	after := before // only the first record: the next one begins when it is synced
	if next := intact(live[before:]); next != nil {
		after += int64(headSize + len(next))
	}
	for at := before; at < after; {
		next := min(after, (at/512+1)*512)
		if p.rng.IntN(3) > 0 {
			copy(b[at:next], live[at:next])
		}
		at = next
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// check starts the ledger on what is left.
func (p *plant) check(image string) error {
	s, err := Open(image, nil)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // a test's store
	if err := p.verify(s); err != nil {
		return err
	}
	b, err := writer.Open(context.Background(), s, writer.Options{Now: time.Now, Terms: plantTerms()})
	if err != nil {
		return fmt.Errorf("starting again: %w", err)
	}
	_, err = b.Do(context.Background(), "acme0", ledger.Reserve{Charge: &ledger.Charge{ID: "ch_again"}, Amount: 1, Plan: ledger.AnyPlan})
	b.Close()
	return errors.Join(err, p.verify(s))
}

func (p *plant) verify(s *Store) error {
	r, err := writer.Verify(context.Background(), s)
	if err != nil {
		return err
	}
	if !r.Clean() {
		return fmt.Errorf("verify: %v", r.Problems)
	}
	return s.View(context.Background(), func(v store.Snapshot) error {
		for id, cost := range p.settled {
			n, _ := strconv.Atoi(strings.TrimPrefix(string(id), "ch_"))
			if n == p.n { // what tearLog did after the cut
				continue
			}
			c, err := writer.Charge(v, account(n), id)
			if err != nil || c.Cost != cost {
				return fmt.Errorf("charge %s, acknowledged at %d: %+v, %w", id, cost, c, err)
			}
		}
		books := 0
		err := v.Scan(store.ID{Kind: store.Book}, false, func(store.ID, []byte) error { books++; return nil })
		if books < p.books-1 {
			return fmt.Errorf("%d of %d books", books, p.books)
		}
		return err
	})
}
