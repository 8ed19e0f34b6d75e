// Package stores has the Caddy modules that say where a ledger is kept.
package stores

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

func init() { caddy.RegisterModule(Badger{}) }

// Opener is a module in the namespace meter.stores.
type Opener interface {
	// Address identifies what Open would open; equal addresses share one ledger.
	Address() string
	// Open opens the store; it creates none. It is not called while a configuration
	// is only validated.
	Open(log *zap.Logger) (store.Store, error)
}

// Badger keeps the ledger in a directory on this machine.
type Badger struct {
	// Dir is the data directory; farebox meter init creates it. Default: "meter" in
	// Caddy's data directory.
	Dir string `json:"dir,omitempty"`
}

// CaddyModule implements caddy.Module.
func (Badger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "meter.stores.badger", New: func() caddy.Module { return new(Badger) }}
}

// Provision implements caddy.Provisioner.
func (b *Badger) Provision(caddy.Context) error {
	b.Dir = caddy.NewReplacer().ReplaceAll(b.Dir, "")
	if b.Dir == "" {
		b.Dir = DefaultDir()
	}
	dir, err := filepath.Abs(b.Dir)
	if err != nil {
		return fmt.Errorf("store badger %s: %w", b.Dir, err)
	}
	b.Dir = dir
	return nil
}

// DefaultDir is the data directory of a configuration that names none.
func DefaultDir() string { return filepath.Join(caddy.AppDataDir(), "meter") }

// Address implements Opener.
func (b *Badger) Address() string { return "badger:" + b.Dir }

// Open implements Opener.
func (b *Badger) Open(log *zap.Logger) (store.Store, error) {
	return Open(b.Dir, func(format string, args ...any) { log.Warn(fmt.Sprintf("store: "+format, args...)) })
}

// UnmarshalCaddyfile reads `badger [<dir>]`.
func (b *Badger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if d.NextArg() {
		b.Dir = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("store badger has no option %q; write: store badger <dir>", d.Val())
	}
	return nil
}

// Closing reports whether the directory's lock is held by this very process.
func Closing(err error) bool {
	return errors.Is(err, badger.ErrInUse) && strings.Contains(err.Error(), fmt.Sprintf("process %d;", os.Getpid()))
}

var (
	_ Opener                = (*Badger)(nil)
	_ caddy.Provisioner     = (*Badger)(nil)
	_ caddyfile.Unmarshaler = (*Badger)(nil)
)
