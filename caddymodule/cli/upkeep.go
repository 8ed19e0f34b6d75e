package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

func (c *cli) compactCommand() *cobra.Command {
	return command("compact", "Let go what is older than the retention, and make the ledger's files as small as they get; or only those of --data", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if c.data != "" {
			if err := c.noDryRun(cmd); err != nil {
				return err
			}
			return c.compactData(cmd.Context())
		}
		return request(c, http.MethodPost, "/meter/ledger/compact", "", nil, printUpkeep)
	})
}

func printUpkeep(w *tabwriter.Writer, v api.UpkeepView) {
	if v.Before != nil {
		fmt.Fprintf(w, "left\tentries %d · charges %d · accounts %d, all from before %s\n", v.Entries, v.Charges, v.Accounts, v.Before.Format(time.RFC3339))
	}
	if v.File != "" {
		fmt.Fprintf(w, "export\t%s\n", v.File)
	}
	for _, p := range v.Problems {
		fmt.Fprintf(w, "stays\t%s\n", p)
	}
	if v.SizeBefore > 0 {
		fmt.Fprintf(w, "files\t%s → %s\n", humanize.Bytes(uint64(v.SizeBefore)), humanize.Bytes(uint64(v.Size))) //nolint:gosec // not negative
	}
}

// compactData compacts a directory that no gateway has open.
func (c *cli) compactData(ctx context.Context) error {
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return err
	}
	if !badger.Exists(dir) {
		return &exit{exitNotFound, fmt.Errorf("--data %s: %w", dir, writer.ErrNoLedger)}
	}
	s, err := badger.Open(dir, nil)
	if errors.Is(err, badger.ErrInUse) {
		return &exit{exitRefused, fmt.Errorf("%w\nA gateway compacts its own directory: farebox meter compact, without --data", err)}
	}
	if err != nil {
		return err
	}
	defer c.patience()()
	var v api.UpkeepView
	v.SizeBefore, err = s.Size()
	if err = errors.Join(err, s.Compact(ctx, store.Compaction{Whole: true}), s.Close()); err != nil {
		return err
	}
	if s, err = badger.Open(dir, nil); err != nil { // it removes what closing has left
		return err
	}
	v.Size, err = s.Size()
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	return c.show(v, func(w *tabwriter.Writer) { printUpkeep(w, v) })
}
