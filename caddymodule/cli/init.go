package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

// initCommand is the only way to a new ledger, besides the demo and a restore: a
// wrong path or a volume that is not mounted must not become one.
func (c *cli) initCommand() *cobra.Command {
	return command("init", "Create an empty ledger in a data directory (--data; default: that of a Caddyfile without store)", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		dir := c.data
		if dir == "" {
			dir = stores.DefaultDir()
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		l, err := stores.Create(cmd.Context(), dir, time.Now())
		if errors.Is(err, writer.ErrLedgerExists) || errors.Is(err, badger.ErrInUse) {
			return &exit{exitRefused, fmt.Errorf("--data %s: %w", dir, err)}
		}
		if err != nil {
			return err
		}
		fmt.Printf("created the ledger %s in %s\n", l.ID, dir)
		return nil
	})
}
