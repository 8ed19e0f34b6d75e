package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/standby"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

func (c *cli) copyCommand() *cobra.Command {
	var from, to string
	cmd := command("copy --from PLACE --to PLACE", "Copy a ledger that no gateway uses from a data directory into a database, or back, and compare every record", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		if from == "" || to == "" {
			return &exit{exitInvalid, errors.New("name both places: --from ./data/meter --to postgres://user@host/database")}
		}
		return c.copyLedger(cmd.Context(), place(from), place(to))
	})
	cmd.Flags().StringVar(&from, "from", "", "the ledger: a data directory, or postgres://…")
	cmd.Flags().StringVar(&to, "to", "", "an empty place: a new data directory, or postgres://… with a schema that has no ledger")
	return cmd
}

// place is a data directory or a DSN, which may have the name of its store in front.
func place(text string) string {
	if rest, ok := strings.CutPrefix(text, "badger:"); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(text, "postgres:"); ok && !stores.IsDSN(text) {
		return rest
	}
	return text
}

// copyLedger copies, compares, and verifies. If it is cut off, the same command goes on.
func (c *cli) copyLedger(ctx context.Context, from, to string) error {
	source, err := stores.OpenAny(ctx, from)
	if errors.Is(err, writer.ErrNoLedger) {
		return &exit{exitNotFound, fmt.Errorf("--from: %w", err)}
	}
	if err != nil {
		return &exit{exitRefused, fmt.Errorf("--from: %w", err)}
	}
	defer source.Close() //nolint:errcheck // only read from
	ledger, err := unused(ctx, source)
	if err != nil {
		return &exit{exitRefused, err}
	}
	target, err := stores.OpenEmpty(ctx, to)
	if err != nil {
		return &exit{exitInvalid, fmt.Errorf("--to: %w", err)}
	}
	defer target.Close() //nolint:errcheck // all that was written is durable
	shown := time.Now()
	_, written, err := backup.Mirror(ctx, source, target, ledger, func(n int64) {
		if time.Since(shown) > time.Second/4 {
			c.progress("%s records", humanize.Comma(n))
			shown = time.Now()
		}
	})
	c.progress("")
	if errors.Is(err, backup.ErrNotEmpty) {
		return &exit{exitRefused, fmt.Errorf("--to: %w; name an empty place", err)}
	}
	if err != nil {
		return fmt.Errorf("copying: %w\nThe same command goes on where this one ended", err)
	}
	return compared(ctx, source, target, written)
}

// unused is the id of a ledger that no gateway works on.
func unused(ctx context.Context, s store.Store) (string, error) {
	l, err := writer.Identity(ctx, s)
	if err != nil {
		return "", err
	}
	alive, err := writer.AliveAt(ctx, s)
	if err == nil && len(alive) > 0 {
		err = fmt.Errorf("%d gateways work on the ledger, one of them on %s; stop them first, or wait 30 seconds if they are gone", len(alive), alive[0].Host)
	}
	return l.ID, err
}

// compared reads both ledgers again, and recomputes the copy from its journal.
func compared(ctx context.Context, source, target store.Store, written int64) error {
	records, differing, err := backup.Differing(ctx, source, target)
	if err != nil {
		return err
	}
	if differing > 0 {
		return &exit{exitBroken, fmt.Errorf("%d of %d records differ: the ledger was changed while it was copied; run the same command again", differing, records)}
	}
	r, err := writer.Verify(ctx, target)
	if err != nil {
		return err
	}
	if err := backup.Finish(ctx, target); err != nil {
		return err
	}
	if !r.Clean() {
		return &exit{exitBroken, fmt.Errorf("the copy is the same, but the ledger does not verify: %s", r.Problems[0])}
	}
	fmt.Printf("copied  %s records (%s of them now) · the same in both · accounts %d · charges %d · entries %d · verified\n",
		humanize.Comma(records), humanize.Comma(written), r.Accounts, r.Charges, r.Entries)
	return nil
}

// followAgain is how long the command waits before it connects again.
const followAgain = time.Second

// followSilence is how long the server may send nothing: it sends a beat each second.
const followSilence = 5 * time.Second

// followCommand keeps a copy of the server's ledger.
func (c *cli) followCommand() *cobra.Command {
	return command("follow", "Keep a copy of the running server's ledger in --data, some moments behind it, until interrupted", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		if c.data == "" {
			return &exit{exitInvalid, errors.New("name the directory of the copy: --data <dir>")}
		}
		dir, err := filepath.Abs(c.data)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		for {
			err := c.followOnce(ctx, dir)
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, stores.ErrNoStandby) {
				return &exit{exitRefused, err}
			}
			say("connection lost: %v; the copy stays as it is", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(followAgain):
			}
		}
	})
}

// followOnce makes one copy, and keeps it up to date until the connection ends.
func (c *cli) followOnce(ctx context.Context, dir string) error {
	to, err := stores.NewStandby(dir)
	if err != nil {
		return err
	}
	defer to.Close() //nolint:errcheck // its updates are durable
	res, err := c.send(http.MethodGet, "/meter/ledger/follow", http.Header{}, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read until it ends
	if res.StatusCode != http.StatusOK {
		return decodeAnswer(res, nil)
	}
	stop := context.AfterFunc(ctx, func() { _ = res.Body.Close() })
	defer stop()
	silence := time.AfterFunc(followSilence, func() { _ = res.Body.Close() })
	defer silence.Stop()
	said := time.Time{}
	return standby.Receive(ctx, res.Body, to.Store(), to.Whole, func(p standby.Progress) {
		silence.Reset(followSilence)
		if p.Whole && time.Since(said) >= time.Minute {
			said = time.Now()
			say("%s has everything up to %s: %d records and %d updates", dir, p.At.Format(time.RFC3339), p.Records, p.Updates)
		}
	})
}

// say prints a line with the time.
func say(format string, args ...any) {
	fmt.Printf("%s %s\n", time.Now().Format(time.RFC3339), fmt.Sprintf(format, args...))
}
