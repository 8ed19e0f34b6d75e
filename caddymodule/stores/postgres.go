package stores

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/postgres"
	"github.com/farebox-dev/farebox/meter/writer"
)

func init() { caddy.RegisterModule(Postgres{}) }

// Postgres keeps the ledger in a PostgreSQL database, which several gateways share.
type Postgres struct {
	// DSN is a connection string of libpq, such as
	// postgres://meter@db.internal/shop?schema=farebox. Its placeholders are replaced: a
	// password belongs into the environment or a file.
	DSN string `json:"dsn"`
	// Timeout bounds each round trip to the database. Default: 8 seconds.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	place   string
}

// CaddyModule implements caddy.Module.
func (Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "meter.stores.postgres", New: func() caddy.Module { return new(Postgres) }}
}

// Provision implements caddy.Provisioner.
func (p *Postgres) Provision(caddy.Context) (err error) {
	if p.DSN = caddy.NewReplacer().ReplaceAll(p.DSN, ""); p.DSN == "" {
		return errors.New("store postgres needs a database; write: store postgres postgres://user@host/database")
	}
	p.place, err = postgres.Place(p.DSN)
	return err
}

// Address implements Opener.
func (p *Postgres) Address() string { return p.place }

// Open implements Opener.
func (p *Postgres) Open(*zap.Logger) (store.Store, error) {
	return openDatabase(context.Background(), postgres.Options{DSN: p.DSN, Timeout: time.Duration(p.Timeout)})
}

// UnmarshalCaddyfile reads `postgres <dsn>`, with the option `timeout <duration>`.
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if !d.AllArgs(&p.DSN) {
		return d.Err("write: store postgres <dsn>, such as: store postgres {env.METER_DATABASE}")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var text string
		if d.Val() != "timeout" {
			return d.Errf("store postgres has no option %q; it has timeout", d.Val())
		}
		if !d.AllArgs(&text) {
			return d.ArgErr()
		}
		within, err := caddy.ParseDuration(text)
		if err != nil || within < 100*time.Millisecond {
			return d.Errf("timeout %q: write a duration such as 8s, at least 100ms", text)
		}
		p.Timeout = caddy.Duration(within)
	}
	return nil
}

// IsDSN reports whether a place names a database and not a directory.
func IsDSN(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// openDatabase opens the ledger in a database, which must be there: see CreateIn.
func openDatabase(ctx context.Context, o postgres.Options) (store.Store, error) {
	s, err := postgres.Open(ctx, o)
	if errors.Is(err, postgres.ErrNoTables) {
		return nil, fmt.Errorf("%w: %w\nIf this gateway is new, create one: farebox meter init", writer.ErrNoLedger, err)
	}
	if err != nil {
		return nil, err
	}
	if _, err := writer.Identity(ctx, s); err != nil {
		if errors.Is(err, writer.ErrNoLedger) {
			err = fmt.Errorf("%w in %s\nIf this gateway is new, create one: farebox meter init", err, s.Place())
		}
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenAny opens the ledger in a directory or a database, for a command that reads it.
func OpenAny(ctx context.Context, place string) (store.Store, error) {
	if IsDSN(place) {
		return openDatabase(ctx, postgres.Options{DSN: place})
	}
	if !badger.Exists(place) { // opening it would make one
		return nil, writer.ErrNoLedger
	}
	return badger.Open(place, nil)
}

// OpenEmpty opens a directory or a database that a ledger is to be copied to.
func OpenEmpty(ctx context.Context, place string) (store.Store, error) {
	if IsDSN(place) {
		return postgres.Open(ctx, postgres.Options{DSN: place, Create: true})
	}
	return badger.Open(place, nil)
}

// CreateIn makes an empty ledger in a database.
func CreateIn(ctx context.Context, dsn string, now time.Time) (writer.Ledger, string, error) {
	s, err := postgres.Open(ctx, postgres.Options{DSN: dsn, Create: true})
	if err != nil {
		return writer.Ledger{}, "", err
	}
	l, err := writer.Create(ctx, s, now)
	return l, s.Place(), errors.Join(err, s.Close())
}

var (
	_ Opener                = (*Postgres)(nil)
	_ caddy.Provisioner     = (*Postgres)(nil)
	_ caddyfile.Unmarshaler = (*Postgres)(nil)
)
