package meter

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/usage"
	"github.com/farebox-dev/farebox/meter/writer"
)

// What an earlier version read from its data directory is what this one reads
// after the migration; see testdata/stores.
func TestMigrationKeepsAllThatWasRead(t *testing.T) {
	for name, unpack := range map[string]func(*testing.T, string){"data directory": untar, "backup": restore} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			unpack(t, dir)
			s, err := badger.Open(dir, t.Logf)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // a test's store
			prices := readStored(t, "pricing.yaml")
			book, problems := pricefile.Load("pricing.yaml", prices)
			if book == nil {
				t.Fatal(problems)
			}
			now := clockAt(time.Date(2026, 11, 7, 17, 46, 0, 0, time.UTC))
			options := Options{Store: s, Book: book, Text: prices, Now: now.is, Problem: func(err error) { t.Error(err) }}
			if _, err := Open(t.Context(), options); !errors.Is(err, writer.ErrOtherFormat) || !strings.Contains(err.Error(), "farebox meter migrate") {
				t.Errorf("the old store was opened: %v", err)
			}
			if err := writer.Migrate(t.Context(), s, nil); err != nil {
				t.Fatal(err)
			}
			compareLines(t, describeStore(t, s), string(readStored(t, "format2.txt")))
			verified(t, s)

			m, err := Open(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			jobsGoOn(t, m, now)
			m.Close()
			verified(t, s)
		})
	}
}

// jobsGoOn ends the job that the old version left open: it is charged what was
// held.
func jobsGoOn(t *testing.T, m *Gateway, now *testClock) {
	t.Helper()
	g := &gate{T: t, m: m, now: now}
	before, err := m.Accounts.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(before.Holds); n != 1 {
		t.Errorf("%d open holds, want that of the job", n)
	}
	r := get("/v1/videos/v1")
	r.Caller.Account = "zoe"
	if _, err := m.Admit(t.Context(), r); err == nil {
		t.Error("another account may ask for the job")
	}
	g.answered(get("/v1/videos/v1"), 200, jsonType, `{"id":"v1","status":"completed"}`)
	after, err := m.Accounts.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Holds) != 0 || after.SpentNet() != before.SpentNet()+50 {
		t.Errorf("%d open holds, %d spent, want the job's 50 on top of %d", len(after.Holds), after.SpentNet(), before.SpentNet())
	}
}

func verified(t *testing.T, s store.Store) {
	t.Helper()
	r, err := writer.Verify(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
}

func readStored(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../testdata/stores", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func unzipped(t *testing.T, name string) io.Reader {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(string(readStored(t, name))))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func restore(t *testing.T, dir string) {
	from, header, err := backup.Open(unzipped(t, "format2.backup.gz"))
	if err != nil || header != nil {
		t.Fatal(header, err)
	}
	s, err := badger.Open(dir, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Load(t.Context(), s, from); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// untar unpacks the directory "ledger" as dir.
func untar(t *testing.T, dir string) {
	for files := tar.NewReader(unzipped(t, "format2.tar.gz")); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, strings.TrimPrefix(h.Name, "ledger"))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var content []byte
			if content, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(path, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// compareLines names the first few lines that differ.
func compareLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) != len(w) {
		t.Errorf("%d lines, want %d", len(g), len(w))
	}
	wrong := 0
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] && wrong < 5 {
			wrong++
			t.Errorf("line %d\n  is   %s\n  want %s", i+1, g[i], w[i])
		}
	}
}

// describeStore is all that a version reads from a store, in its order.
func describeStore(t *testing.T, s store.Store) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	err := s.View(context.Background(), func(v store.Snapshot) error {
		var accounts []string
		if err := v.Scan(store.ID{Kind: store.Account}, false, func(id store.ID, _ []byte) error { accounts = append(accounts, id.Account); return nil }); err != nil {
			return err
		}
		for _, id := range accounts {
			a, err := writer.Load(v, ledger.AccountID(id))
			if err != nil {
				return err
			}
			available, _ := a.Available(a.Clock)
			p("account %s %q available %d held %d spent %d debt %d overage %d/%d seq %d at %s head %x", a.ID, a.Name, available, a.HeldTotal(), a.SpentNet(), a.Debt, a.Overage, a.OveragePeriod, a.Seq, a.Clock.Format(time.RFC3339Nano), a.Head)
			p("  plan %s since %s period %s to %s", a.Sub.Plan, a.Sub.Since.Format(time.RFC3339), a.Sub.Start.Format(time.RFC3339), a.Sub.End.Format(time.RFC3339))
			for _, g := range a.Grants {
				p("  grant %s %s %q amount %d available %d held %d gone %d kept %v parked %v expires %s", g.ID, g.Type, g.Name, g.Amount, g.Available, g.Held, g.Gone, g.Origin.Kind == ledger.FromRollover, g.Parked, g.ExpiresAt.Format(time.RFC3339))
			}
			var counters []string
			for _, c := range a.Counters {
				counters = append(counters, fmt.Sprintf("  counter since %s held %d spent %d", c.Start.Format(time.RFC3339), c.Held, c.Spent))
			}
			slices.Sort(counters)
			for _, c := range counters {
				p("%s", c)
			}
			for _, id := range slices.Sorted(maps.Keys(a.Holds)) {
				h := a.Holds[id]
				p("  hold %s %s %s %s hold %d counters %d", h.ID, h.Operation, h.Model, h.Member, h.Hold, len(h.Counters))
			}
			err = v.Scan(store.ID{Kind: store.Entry, Account: id}, true, func(_ store.ID, raw []byte) error {
				e, err := ledger.DecodeEntry(raw)
				if err != nil {
					return err
				}
				u := ""
				if e.Outcome != nil {
					u = e.Outcome.Usage.String()
				}
				p("  entry %d %s %s %q %s cost %d counters %d usage %q hash %x", e.Seq, e.At.Format(time.RFC3339Nano), e.Kind, e.Reason, e.Charge, e.Cost, len(e.Counters), u, e.Hash[:6])
				for _, x := range e.Postings {
					p("    %s %s %d %s", x.Book, x.Grant, x.Amount, x.From)
				}
				return nil
			})
			if err != nil {
				return err
			}
			err = v.Scan(store.ID{Kind: store.Charge, Account: id}, true, func(_ store.ID, raw []byte) error {
				c, err := ledger.DecodeCharge(raw)
				if err != nil {
					return err
				}
				p("  charge %s %s %s %s %s key %q cost %d refunded %d usage %q outcome %q labels %q free %d drawn %v", c.ID, c.State, c.Operation, c.Model, c.Member, c.Idempotency, c.Cost, c.Refunded, c.Usage.String(), c.Outcome, labelText(c.Labels), c.FreeUsed, c.Drawn())
				return nil
			})
			if err != nil {
				return err
			}
			var remembered []string
			err = v.Scan(store.ID{Kind: store.Idempotency, Account: id}, true, func(_ store.ID, raw []byte) error {
				r, err := ledger.DecodeRemembered(raw)
				if err != nil {
					return err
				}
				remembered = append(remembered, fmt.Sprintf("  key %q charge %q grant %q amount %d", r.Key, r.Charge, r.Grant, r.Amount))
				return nil
			})
			if err != nil {
				return err
			}
			slices.Sort(remembered)
			for _, r := range remembered {
				p("%s", r)
			}
			for _, by := range append([]string{"", "team", "worker"}, usage.Dimensions...) {
				r := usage.NewReport(usage.Query{From: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), By: by})
				err = v.Scan(store.ID{Kind: store.Usage, Account: id, Name: r.Start()}, true, func(x store.ID, raw []byte) error {
					_, err := r.Add(x.Name, raw)
					return err
				})
				if err != nil {
					return err
				}
				for _, l := range r.Lines() {
					p("  usage by %q %q requests %d failed %d estimated %d cost %d refunded %d %v", by, l.Group, l.Requests, l.Failed, l.Estimated, l.Cost, l.Refunded, l.Units)
				}
			}
		}
		var owned []string
		err := v.Scan(store.ID{Kind: store.Job}, false, func(id store.ID, raw []byte) error {
			owned = append(owned, fmt.Sprintf("job %s %s", id.Name, raw))
			return nil
		})
		if err != nil {
			return err
		}
		err = v.Scan(store.ID{Kind: store.UpstreamID}, false, func(id store.ID, raw []byte) error {
			parts, _ := store.ParseTuple(id.Name)
			var r struct {
				Account string
				Used    time.Time
			}
			if err := json.Unmarshal(raw, &r); err != nil {
				return err
			}
			owned = append(owned, fmt.Sprintf("owner %q %s %s", parts, r.Account, r.Used.Format(time.RFC3339)))
			return nil
		})
		if err != nil {
			return err
		}
		err = v.Scan(store.ID{Kind: store.Owned}, false, func(id store.ID, raw []byte) error {
			if id.Account == "" {
				owned = append(owned, fmt.Sprintf("owned %s %s", id.Name, raw))
			}
			return nil
		})
		slices.Sort(owned)
		for _, o := range owned {
			p("%s", o)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func labelText(labels []ledger.Label) string {
	var words []string
	for _, l := range labels {
		words = append(words, l.Name+"="+l.Value)
	}
	return strings.Join(words, "\t")
}
