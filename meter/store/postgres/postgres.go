// Package postgres keeps the ledger in a PostgreSQL database, which several gateways
// share.
//
// All records are in two tables, by the same ordered keys as in other stores: history
// has journal entries and resolved charges, which are most of a ledger and hardly ever
// change, and records has the rest. An update is one transaction of two round trips: the
// first begins it, takes the locks in order and reads what was asked for ahead; the
// second writes everything and commits. Locks are advisory: an account that is yet to be
// opened can be locked, too, and a lock writes nothing.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/farebox-dev/farebox/meter/store"
)

// Options of a Store.
type Options struct {
	// DSN is a connection string of libpq: a URL or "key=value …". The parameter schema
	// (default "farebox") is the schema that has the tables; pool_max_conns (default 8)
	// bounds the connections.
	DSN string
	// Timeout bounds each round trip; the default is DefaultTimeout. Locks are waited for
	// half as long.
	Timeout time.Duration
	// Create makes the schema and the tables if they are not there. Without it the error
	// is ErrNoTables: a wrong DSN must not become an empty ledger.
	Create bool
}

// DefaultTimeout is how long a round trip to the database may take.
const DefaultTimeout = 8 * time.Second

// defaultConnections is how many connections a gateway opens at most.
const defaultConnections = 8

// Store is a store.Shared on PostgreSQL 15 or newer.
type Store struct {
	pool    *pgxpool.Pool
	schema  string // as an SQL identifier
	place   string // for people, without secrets
	timeout time.Duration
	sql     statements
}

// Open connects to a database and creates or migrates the tables.
func Open(ctx context.Context, o Options) (*Store, error) {
	config, schema, err := parse(o.DSN)
	if err != nil {
		return nil, err
	}
	s := &Store{schema: pgx.Identifier{schema}.Sanitize(), place: place(config, schema), timeout: o.Timeout}
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = s.timeout
	}
	s.sql = newStatements(s.schema, s.timeout)
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("store postgres: %w", err)
	}
	if err := s.prepareSchema(ctx, schema, o.Create); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("store postgres %s: %w", s.place, err)
	}
	return s, nil
}

// parse reads a DSN, with the parameters that are ours.
func parse(dsn string) (config *pgxpool.Config, schema string, err error) {
	if config, err = pgxpool.ParseConfig(dsn); err != nil {
		return nil, "", fmt.Errorf("store postgres: %w; write a URL such as postgres://user@host/database?schema=farebox", err)
	}
	parameters := config.ConnConfig.RuntimeParams
	if schema = parameters["schema"]; schema == "" {
		schema = "farebox"
	}
	delete(parameters, "schema")
	if parameters["application_name"] == "" {
		parameters["application_name"] = "farebox"
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = defaultConnections
	}
	return config, schema, nil
}

// place names a database and a schema for people: a DSN may have a password in it.
func place(config *pgxpool.Config, schema string) string {
	c := config.ConnConfig
	return fmt.Sprintf("postgres://%s/%s?schema=%s", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), c.Database, schema)
}

// Place is which database and schema a DSN names, without secrets.
func Place(dsn string) (string, error) {
	config, schema, err := parse(dsn)
	if err != nil {
		return "", err
	}
	return place(config, schema), nil
}

// Place is which database and schema it is, without secrets.
func (s *Store) Place() string { return s.place }

// Close implements store.Store.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// within bounds one round trip.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// acquire takes a connection of the pool.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	limited, cancel := s.within(ctx)
	defer cancel()
	c, err := s.pool.Acquire(limited)
	if err != nil {
		return nil, s.explain(err)
	}
	return c, nil
}

// give returns a connection whose transaction is over, or closes it: a connection that
// had an error may lead to a server that must not be written to any more.
func give(c *pgxpool.Conn, sound bool) {
	if !sound {
		conn := c.Hijack()
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(closing)
		return
	}
	c.Release()
}

// run sends statements in one round trip; read gets the rows of each.
func run(ctx context.Context, c *pgxpool.Conn, batch *pgx.Batch, read func(i int, rows pgx.Rows) error) error {
	results := c.SendBatch(ctx, batch)
	for i := range batch.Len() {
		rows, err := results.Query()
		if err == nil && read != nil {
			err = read(i, rows)
		}
		if rows != nil {
			rows.Close()
			err = errors.Join(err, rows.Err())
		}
		if err != nil {
			return errors.Join(err, results.Close())
		}
	}
	return results.Close()
}

var _ store.Shared = (*Store)(nil)
