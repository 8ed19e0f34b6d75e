package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/farebox-dev/farebox/meter/store"
)

// ErrOtherSchema: the tables are those of another version of farebox.
var ErrOtherSchema = errors.New("these tables are of another version")

// ErrNoTables: there is no schema with tables of farebox.
var ErrNoTables = errors.New("the database has no tables of farebox")

// steps lead from one version of the tables to the next; %s is the schema. A version
// that was released is never changed.
var steps = []string{
	`CREATE TABLE %s.records (key bytea PRIMARY KEY, value bytea NOT NULL) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
	CREATE TABLE %s.history (key bytea PRIMARY KEY, value bytea NOT NULL);
	CREATE TABLE %s.changes (kind text PRIMARY KEY, times bigint NOT NULL)`,
}

// prepareSchema creates the tables, or brings them to this version. One process at a
// time does; what others have running notices it, see tx.begin.
func (s *Store) prepareSchema(ctx context.Context, name string, create bool) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", s.lock("schema")); err != nil {
			return err
		}
		if err := supported(ctx, t); err != nil {
			return err
		}
		var there, tables bool
		err := t.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1), EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'version')", name).Scan(&there, &tables)
		switch {
		case err != nil:
			return err
		case !tables && !create:
			return fmt.Errorf("%w in the schema %s", ErrNoTables, name)
		case !there: // CREATE IF NOT EXISTS needs the right to create it, even if it is there
			if _, err := t.Exec(ctx, "CREATE SCHEMA "+s.schema); err != nil {
				return fmt.Errorf("creating the schema %s: %w; let somebody create it who may: CREATE SCHEMA %s AUTHORIZATION <role>", name, err, s.schema)
			}
		}
		return s.migrate(ctx, t)
	})
}

// supported refuses a server that is too old.
func supported(ctx context.Context, t pgx.Tx) error {
	var version int
	if err := t.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	if version < 150000 {
		return fmt.Errorf("PostgreSQL %d is too old; use 15 or newer", version/10000)
	}
	return nil
}

func (s *Store) migrate(ctx context.Context, t pgx.Tx) error {
	if _, err := t.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+s.schema+".version (version int NOT NULL)"); err != nil {
		return err
	}
	var version int
	err := t.QueryRow(ctx, "SELECT version FROM "+s.schema+".version").Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err = t.Exec(ctx, "INSERT INTO "+s.schema+".version VALUES (0)")
	}
	if err != nil {
		return err
	}
	if version > len(steps) {
		return otherSchema(version)
	}
	for ; version < len(steps); version++ {
		if _, err := t.Exec(ctx, strings.ReplaceAll(steps[version], "%s", s.schema)); err != nil {
			return fmt.Errorf("migrating the tables to version %d: %w", version+1, err)
		}
	}
	_, err = t.Exec(ctx, "UPDATE "+s.schema+".version SET version = $1 WHERE version <> $1", version)
	return err
}

func otherSchema(version int) error {
	return fmt.Errorf("%w: they have version %d, this farebox reads and writes version %d. Use the newer farebox for all gateways of this database", ErrOtherSchema, version, len(steps))
}

// table is where records of a kind are.
func (s *Store) table(k store.Kind) string {
	if inHistory(k) {
		return s.schema + ".history"
	}
	return s.schema + ".records"
}

// inHistory reports whether records of a kind are most of a ledger, and hardly ever
// change.
func inHistory(k store.Kind) bool { return k == store.Entry || k == store.Charge }
