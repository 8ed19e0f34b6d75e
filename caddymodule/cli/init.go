package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

// initCommand is the only way to a new ledger, besides the demo and a restore: a
// wrong path or a volume that is not mounted must not become one.
func (c *cli) initCommand() *cobra.Command {
	var config string
	cmd := command("init", "Create an empty ledger in the data directory of the configuration, or in --data", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		place, err := c.data, error(nil)
		if place == "" {
			place, err = configuredPlace(config)
		}
		if err == nil && !stores.IsDSN(place) {
			place, err = filepath.Abs(place)
		}
		if err != nil {
			return &exit{exitInvalid, err}
		}
		return create(cmd.Context(), place)
	})
	cmd.Flags().StringVar(&config, "config", "", "configuration whose data directory it is (default: ./Caddyfile, if there is one)")
	return cmd
}

// create makes an empty ledger in a directory or a database.
func create(ctx context.Context, place string) (err error) {
	var l writer.Ledger
	if stores.IsDSN(place) {
		l, place, err = stores.CreateIn(ctx, place, time.Now())
	} else {
		l, err = stores.Create(ctx, place, time.Now())
	}
	if errors.Is(err, writer.ErrLedgerExists) || errors.Is(err, badger.ErrInUse) {
		return &exit{exitRefused, fmt.Errorf("--data %s: %w", place, err)}
	}
	if err != nil {
		return err
	}
	fmt.Printf("created the ledger %s in %s\n", l.ID, place)
	return nil
}

// configuredPlace is the data directory or the database that farebox run would open.
func configuredPlace(config string) (string, error) {
	b, err := adapted(config)
	if err != nil {
		return "", fmt.Errorf("reading the configuration: %w\nOr name the data directory: --data <dir>", err)
	}
	var text struct {
		Apps struct {
			Meter struct {
				Store struct {
					Module string `json:"module"`
					stores.Badger
					DSN string `json:"dsn"`
				} `json:"store"`
			} `json:"meter"`
		} `json:"apps"`
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &text); err != nil {
			return "", fmt.Errorf("reading the configuration: %w", err)
		}
	}
	store := &text.Apps.Meter.Store
	if store.Module == "postgres" {
		return caddy.NewReplacer().ReplaceAll(store.DSN, ""), nil
	}
	if store.Module != "" && store.Module != "badger" {
		return "", fmt.Errorf("the configuration keeps its ledger in a store %s, which needs no data directory", store.Module)
	}
	return store.Dir, store.Provision(caddy.Context{})
}

// adapted is a configuration as JSON, or nil if none is named and none is here.
func adapted(config string) ([]byte, error) {
	name := cmp.Or(config, "Caddyfile")
	b, err := os.ReadFile(name) //nolint:gosec // the operator's own file
	if config == "" && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil || strings.HasSuffix(name, ".json") {
		return b, err
	}
	b, _, err = caddyconfig.GetAdapter("caddyfile").Adapt(b, map[string]any{"filename": name})
	return b, err
}

// upgradeCommand replaces the running gateway by a new process.
func (c *cli) upgradeCommand() *cobra.Command {
	return command("upgrade", "Replace the running gateway by a new process of the program on disk; no request is refused", cobra.NoArgs, func(*cobra.Command, []string) error {
		return request(c, http.MethodPost, "/meter/upgrade", "", nil, func(w *tabwriter.Writer, v api.UpgradeView) {
			fmt.Fprintf(w, "process %d serves; the old process ends when its requests have ended\n", v.Process)
			fmt.Fprintf(w, "the ledger was closed for %d ms; requests waited\n", v.LedgerClosed)
		})
	})
}
