package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

func (c *cli) backupCommand() *cobra.Command {
	return command("backup FILE", "Copy the whole ledger of the running server into a file", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		res, err := caddycmd.AdminAPIRequest(c.address, http.MethodGet, "/meter/backup", nil, nil)
		if err != nil {
			return c.unreachable(http.MethodPost, "", nil, nil, err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		tmp, err := os.CreateTemp(filepath.Dir(args[0]), ".farebox-backup-")
		if err != nil {
			return err
		}
		defer os.Remove(tmp.Name()) //nolint:errcheck // gone when all went well
		n, err := io.Copy(tmp, io.TeeReader(res.Body, &measured{c: c}))
		if err == nil && res.Trailer.Get("Backup-Complete") != "true" {
			err = fmt.Errorf("the server broke off; nothing was written to %s", args[0])
		}
		if err == nil {
			err = tmp.Sync()
		}
		if err == nil {
			err = tmp.Close()
		}
		if err == nil {
			err = os.Rename(tmp.Name(), args[0])
		}
		c.progress("")
		if err == nil {
			fmt.Printf("wrote %s, %d bytes\nrestore it with: farebox meter restore %s --data <new directory>\n", args[0], n, args[0])
		}
		return err
	})
}

// measured says on a terminal how much has passed.
type measured struct {
	c     *cli
	n     uint64
	shown time.Time
}

func (m *measured) Write(p []byte) (int, error) {
	m.n += uint64(len(p))
	if now := time.Now(); now.Sub(m.shown) > time.Second/4 {
		m.c.progress("%s", humanize.Bytes(m.n))
		m.shown = now
	}
	return len(p), nil
}

func (c *cli) restoreCommand() *cobra.Command {
	return command("restore FILE", "Make a new data directory (--data) from a backup, and verify it", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		if c.data == "" {
			return &exit{exitInvalid, fmt.Errorf("name the new directory: --data <dir>")}
		}
		f, err := os.Open(args[0]) //nolint:gosec // the operator's own file
		if err != nil {
			return &exit{exitInvalid, err}
		}
		defer f.Close() //nolint:errcheck // only read from
		if err := badger.Restore(c.data, f); err != nil {
			return &exit{exitInvalid, fmt.Errorf("restoring %s: %w", args[0], err)}
		}
		return c.verifyRestored(cmd.Context())
	})
}

// verifyRestored proves that what was restored is a ledger and adds up.
func (c *cli) verifyRestored(ctx context.Context) error {
	s, err := badger.Open(c.data, nil)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // only read from
	if format, err := writer.Format(ctx, s); err == nil && format < writer.NewestFormat() {
		fmt.Printf("restored  a ledger of format %d; bring it to this version's with: farebox meter migrate --data %s\n", format, c.data)
		return nil
	}
	r, err := writer.Verify(ctx, s)
	if err != nil {
		return err
	}
	if !r.Clean() {
		return &exit{exitBroken, fmt.Errorf("the restored ledger does not verify: %s", r.Problems[0])}
	}
	fmt.Printf("restored  accounts %d · charges %d · entries %d · verified\n", r.Accounts, r.Charges, r.Entries)
	return nil
}

// noDryRun refuses --dry-run for a command that cannot try what it does.
func (c *cli) noDryRun(cmd *cobra.Command) error {
	if c.dryRun {
		return &exit{exitInvalid, fmt.Errorf("%s has no --dry-run; nothing was done", cmd.Name())}
	}
	return nil
}
