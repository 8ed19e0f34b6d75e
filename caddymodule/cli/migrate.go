package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox"
	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/writer"
)

func (c *cli) migrateCommand() *cobra.Command {
	var file string
	cmd := command("migrate", "Bring a data directory (--data) of an older version to this one's format; makes a backup first", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		return c.migrate(cmd.Context(), file)
	})
	cmd.Flags().StringVar(&file, "backup", "", "where the backup goes (default: a new file next to the directory)")
	return cmd
}

// migrate backs up, migrates and verifies. No gateway can have the directory
// open meanwhile.
func (c *cli) migrate(ctx context.Context, file string) error {
	if c.data == "" {
		return &exit{exitInvalid, errors.New("name the data directory: --data <dir>")}
	}
	if _, err := os.Stat(filepath.Join(c.data, "MANIFEST")); err != nil { // opening it would make one
		return &exit{exitNotFound, fmt.Errorf("--data %s: %w: %w", c.data, writer.ErrNoLedger, err)}
	}
	s, err := badger.Open(c.data, nil)
	if errors.Is(err, badger.ErrInUse) {
		return &exit{exitRefused, fmt.Errorf("stop the gateway first: %w", err)}
	}
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // all that was written is synced
	format, err := writer.Format(ctx, s)
	switch {
	case errors.Is(err, writer.ErrNoLedger):
		return &exit{exitNotFound, fmt.Errorf("--data %s: %w", c.data, err)}
	case err != nil:
		return &exit{exitRefused, err}
	case format == writer.NewestFormat():
		fmt.Printf("%s has format %d already; nothing to do\n", c.data, format)
		return nil
	case format > writer.NewestFormat(): // Migrate says what to do
	default:
		if file, err = backupBefore(ctx, s, c.data, file, format); err != nil {
			return err
		}
		fmt.Printf("backup   %s\n", file)
	}
	err = writer.Migrate(ctx, s, func(p writer.Progress) {
		if p.Records == 0 {
			fmt.Printf("migrate  format %d to %d: %s\n", p.From, p.To, p.Step)
		}
		c.progress("%d records", p.Records)
	})
	c.progress("")
	if errors.Is(err, writer.ErrOtherFormat) {
		return &exit{exitRefused, err}
	}
	if err != nil {
		return fmt.Errorf("%w\nRun it again, or restore the backup: farebox meter restore %s --data <new directory>", err, file)
	}
	r, err := writer.Verify(ctx, s)
	if err != nil {
		return err
	}
	if !r.Clean() {
		return &exit{exitBroken, fmt.Errorf("the migrated ledger does not verify: %s\nThe backup %s is as it was before", r.Problems[0], file)}
	}
	fmt.Printf("migrated  accounts %d · charges %d · entries %d · verified\n", r.Accounts, r.Charges, r.Entries)
	return nil
}

// backupBefore writes a backup to a file that is not there yet; "" is one of a
// new name next to the directory.
func backupBefore(ctx context.Context, s store.Store, dir, file string, format int) (string, error) {
	if file == "" {
		file = fmt.Sprintf("%s-format-%d-%s.backup", filepath.Clean(dir), format, time.Now().UTC().Format("20060102T150405.000Z"))
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator's own file
	if errors.Is(err, os.ErrExist) {
		return "", &exit{exitRefused, fmt.Errorf("the backup %s exists already and is not overwritten; name another file: --backup <file>", file)}
	}
	if err != nil {
		return "", &exit{exitInvalid, fmt.Errorf("--backup: %w", err)}
	}
	l, err := writer.Identity(ctx, s)
	if err == nil {
		err = s.View(ctx, func(v store.Snapshot) error {
			now := time.Now()
			_, err := backup.Write(ctx, f, backup.Header{ID: ulid.New("bk_", now), Ledger: l.ID, Version: farebox.Version(), Taken: now}, v)
			return err
		})
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(file)
		return "", fmt.Errorf("writing the backup %s; nothing was migrated: %w", file, err)
	}
	return file, nil
}
