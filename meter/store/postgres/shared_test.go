package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/farebox-dev/farebox/internal/pgtest"
	"github.com/farebox-dev/farebox/meter/store"
)

// Two processes that count in one record never lose a count: whoever locks the name sees
// what the one before has written, also of a name that has no record yet.
func TestWhoeverLocksANameSeesTheLastWrite(t *testing.T) {
	countTogether(t, pgtest.DSN(t))
}

func countTogether(t *testing.T, dsn string) {
	t.Helper()
	var all sync.WaitGroup
	const each = 60
	for range 3 {
		s := open(t, dsn)
		all.Go(func() {
			for n := range each {
				x := store.ID{Kind: store.Account, Account: "hot"}
				a := &store.Ahead{Locks: []string{"hot", fmt.Sprint("other", n%7), store.Common}}
				if n%2 == 0 {
					a.Records = []store.ID{x}
				}
				err := s.UpdateAhead(t.Context(), a, func(tx store.SharedTx) error {
					raw, err := tx.Get(x)
					if err != nil && !errors.Is(err, store.ErrNotFound) {
						return err
					}
					count, _ := strconv.Atoi(string(raw))
					return tx.Put(x, []byte(strconv.Itoa(count+1)))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	_ = open(t, dsn).View(t.Context(), func(v store.Snapshot) error {
		if raw, err := v.Get(store.ID{Kind: store.Account, Account: "hot"}); string(raw) != strconv.Itoa(3*each) || err != nil {
			t.Errorf("the count is %s, %v; want %d", raw, err, 3*each)
		}
		return nil
	})
}

// What was read ahead is what a read would have found, with the update's own writes.
func TestReadAhead(t *testing.T) {
	s := open(t, pgtest.DSN(t))
	put := func(tx store.Tx, ids ...store.ID) error {
		for _, x := range ids {
			if err := tx.Put(x, []byte(x.Name)); err != nil {
				return err
			}
		}
		return nil
	}
	hold := func(account, name string) store.ID {
		return store.ID{Kind: store.Hold, Account: account, Name: name}
	}
	err := s.Update(t.Context(), nil, func(tx store.Tx) error {
		return put(tx, hold("a", "1"), hold("a", "2"), hold("a", "4"), hold("ab", "1"), store.ID{Kind: store.Charge, Account: "a", Name: "c"})
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &store.Ahead{
		Records: []store.ID{{Kind: store.Charge, Account: "a", Name: "c"}, {Kind: store.Charge, Account: "a", Name: "none"}},
		Ranges:  []store.ID{{Kind: store.Hold, Account: "a"}, {Kind: store.Hold, Account: "none"}, {Kind: store.Entry, Account: "a"}},
	}
	err = s.UpdateAhead(t.Context(), a, func(tx store.SharedTx) error {
		inner := tx.(interface{ queries() int }) //nolint:forcetypeassert // see below
		if err := errors.Join(put(tx, hold("a", "3")), tx.Delete(hold("a", "1"))); err != nil {
			return err
		}
		for want, account := range map[string]string{"2 3 4": "a", "": "none"} {
			var names []string
			err := tx.Scan(hold(account, ""), true, func(x store.ID, v []byte) error {
				if string(v) != x.Name {
					t.Errorf("%v has %q", x, v)
				}
				names = append(names, x.Name)
				return nil
			})
			if got := strings.Join(names, " "); got != want || err != nil {
				t.Errorf("the holds of %s are %q, %v; want %q", account, got, err, want)
			}
		}
		for x, there := range map[store.ID]bool{hold("a", "2"): true, hold("a", "1"): false, hold("none", "x"): false, a.Records[0]: true, a.Records[1]: false} {
			if _, err := tx.Get(x); (err == nil) != there {
				t.Errorf("%v: %v, want it to be there: %t", x, err, there)
			}
		}
		if n := inner.queries(); n != 0 {
			t.Errorf("%d more round trips were made for what was read ahead", n)
		}
		if err := tx.(store.Fetcher).Fetch([]store.ID{hold("ab", "1"), hold("ab", "none"), a.Records[0]}); err != nil {
			t.Error(err)
		}
		if _, err := tx.Get(hold("ab", "none")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a record that does not exist: %v", err)
		}
		if _, err := tx.Get(hold("ab", "1")); err != nil || inner.queries() != 1 {
			t.Errorf("what was not read ahead: %v, %d round trips", err, inner.queries())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Now never goes back between two updates that lock the same name, whoever makes them.
func TestNowIsTheDatabasesClock(t *testing.T) {
	dsn := pgtest.DSN(t)
	stores := []*Store{open(t, dsn), open(t, dsn)}
	var last time.Time
	for n := range 20 {
		err := stores[n%2].UpdateAhead(t.Context(), &store.Ahead{Locks: []string{"x"}}, func(tx store.SharedTx) error {
			if !tx.Now().After(last) {
				t.Errorf("%s does not come after %s", tx.Now(), last)
			}
			last = tx.Now()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestVersionsCountChangesOfWhatProcessesKeep(t *testing.T) {
	dsn := pgtest.DSN(t)
	a, b := open(t, dsn), open(t, dsn)
	for n := range 3 {
		err := a.Update(t.Context(), nil, func(tx store.Tx) error {
			return errors.Join(tx.Put(store.ID{Kind: store.Key, Name: "k"}, []byte{byte(n)}), tx.Put(store.ID{Kind: store.Usage, Account: "a"}, nil))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.Versions(t.Context())
	if err != nil || got[store.Key] != 3 || len(got) != 1 {
		t.Errorf("the versions are %v, %v; want 3 of keys alone", got, err)
	}
}

// Many processes may open an empty database at once; one that is too old for the tables
// is refused, also while it runs.
func TestTwoVersionsAtOnce(t *testing.T) {
	dsn := pgtest.DSN(t)
	if _, err := Open(t.Context(), Options{DSN: dsn}); !errors.Is(err, ErrNoTables) {
		t.Errorf("an empty database: %v, want %v", err, ErrNoTables)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { open(t, dsn) })
	}
	all.Wait()
	s := open(t, dsn)
	if _, err := s.pool.Exec(t.Context(), "UPDATE "+s.schema+".version SET version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), nil, func(store.Tx) error { return nil }); !errors.Is(err, ErrOtherSchema) || errors.Is(err, store.ErrAgain) {
		t.Errorf("an update with newer tables: %v, want %v", err, ErrOtherSchema)
	}
	if _, err := Open(t.Context(), Options{DSN: dsn}); !errors.Is(err, ErrOtherSchema) {
		t.Errorf("newer tables were opened: %v", err)
	}
}

// A role that owns nothing but its schema is enough.
func TestARoleThatOwnsOnlyItsSchema(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	server.Exec(t, "CREATE ROLE meter LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC; CREATE SCHEMA theirs AUTHORIZATION meter")
	s := open(t, strings.Replace(server.DSN("theirs"), "postgres@", "meter@", 1))
	if err := s.Update(t.Context(), nil, func(tx store.Tx) error { return tx.Put(store.ID{Kind: store.Meta, Name: "x"}, nil) }); err != nil {
		t.Error(err)
	}
	_, err := Open(t.Context(), Options{DSN: strings.Replace(server.DSN("others"), "postgres@", "meter@", 1), Create: true})
	if err == nil || !strings.Contains(err.Error(), "CREATE SCHEMA \"others\" AUTHORIZATION") {
		t.Errorf("a schema that the role may not create: %v", err)
	}
}

// What happens to a database that passes is ErrAgain, and the store goes on by itself
// when it has passed.
func TestWhatPassesIsErrAgain(t *testing.T) {
	server := pgtest.Start(t, "fsync=off", "max_connections=12")
	s, err := Open(t.Context(), Options{DSN: server.DSN("farebox"), Timeout: 2 * time.Second, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // of a test
	write := func() error {
		return s.Update(t.Context(), []string{"a"}, func(tx store.Tx) error { return tx.Put(store.ID{Kind: store.Account, Account: "a"}, nil) })
	}
	fails := func(what string) {
		t.Helper()
		if err := write(); !errors.Is(err, store.ErrAgain) {
			t.Errorf("%s: %v, want %v", what, err, store.ErrAgain)
		}
	}
	works := func(what string) {
		t.Helper()
		var err error
		for range 20 {
			if err = write(); err == nil {
				return
			}
		}
		t.Errorf("%s: %v", what, err)
	}
	works("at first")
	server.Stop()
	fails("a database that was stopped")
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	works("a database that runs again")
	server.Kill()
	fails("a database that crashed")
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	works("a database that recovered")
	server.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = on; ")
	server.Exec(t, "SELECT pg_reload_conf()")
	server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farebox'")
	fails("connections that were cut, or a database that is read only")
	fails("a database that is read only")
	server.Exec(t, "SET default_transaction_read_only = off; ")
	server.Exec(t, "BEGIN READ WRITE; ALTER DATABASE postgres SET default_transaction_read_only = off; COMMIT")
	works("a database that is not read only any more")
	holdLock(t, server.DSN("farebox"), s.lock("a"), func() { fails("a lock that another holds") })
	works("a lock that is free")
}

// holdLock has a lock of somebody else while fn runs.
func holdLock(t *testing.T, dsn string, number int64, fn func()) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), strings.ReplaceAll(dsn, "&schema=farebox", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // of a test
	if _, err := c.Exec(t.Context(), "SELECT pg_advisory_lock($1)", number); err != nil {
		t.Fatal(err)
	}
	fn()
}

func TestADSNIsReadWithoutItsSecrets(t *testing.T) {
	place, err := Place("postgres://me:secret@db.example:5433/shop?schema=meter&sslmode=disable")
	if err != nil || place != "postgres://db.example:5433/shop?schema=meter" {
		t.Errorf("%q, %v", place, err)
	}
	if _, err := Place("postgres://me:secret@db:port/shop"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong DSN: %v", err)
	}
}
