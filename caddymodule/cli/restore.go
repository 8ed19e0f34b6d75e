package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

func (c *cli) restoreCommand() *cobra.Command {
	var at string
	cmd := command("restore FILE|DIR", "Make a new data directory (--data) from a backup, and verify it", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		if c.data == "" {
			return &exit{exitInvalid, fmt.Errorf("name the new directory: --data <dir>")}
		}
		from, err := openBackup(args[0], at)
		if err != nil {
			return &exit{exitInvalid, fmt.Errorf("restoring %s: %w", args[0], err)}
		}
		defer from.Close() //nolint:errcheck // only read from
		return c.restore(cmd.Context(), from)
	})
	cmd.Flags().StringVar(&at, "at", "", "of a directory of backups, the newest that was taken at this time or before, such as 2026-03-01T12:00:00Z")
	return cmd
}

// backupSource is what a ledger is restored from.
type backupSource struct {
	backup.Source
	io.Closer
	header *backup.Header // nil: of an earlier version
}

// openBackup opens a file, or the chain of a directory that leads to a moment.
func openBackup(path, at string) (*backupSource, error) {
	if !isDir(path) {
		if at != "" {
			return nil, errors.New("--at is for a directory of backups")
		}
		f, err := os.Open(path) //nolint:gosec // the operator's own file
		if err != nil {
			return nil, err
		}
		s, h, err := backup.Open(f)
		if err == nil && h != nil && h.Base != "" {
			err = fmt.Errorf("it is an increment of backup %s; restore from the directory that holds both", h.Base)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return &backupSource{s, f, h}, nil
	}
	var moment time.Time
	if at != "" {
		var err error
		if moment, err = time.Parse(time.RFC3339, at); err != nil {
			return nil, fmt.Errorf("--at %q is not a time; write it like 2026-03-01T12:00:00Z", at)
		}
	}
	list, err := backup.List(path)
	if err != nil {
		return nil, err
	}
	last, err := list.At(moment)
	if err != nil {
		return nil, err
	}
	chain, err := list.Chain(last)
	if err != nil {
		return nil, err
	}
	s, files, err := chain.Open()
	if err != nil {
		return nil, err
	}
	return &backupSource{s, files, &last.Header}, nil
}

// restore fills a directory next to the one that is wanted, and gives it its name only
// when everything is in it: a restore that is cut off leaves nothing that looks whole.
func (c *cli) restore(ctx context.Context, from *backupSource) error {
	target, err := newDir(c.data)
	if err != nil {
		return &exit{exitInvalid, err}
	}
	tmp, err := os.MkdirTemp(filepath.Dir(target), filepath.Base(target)+".restoring-")
	if err != nil {
		return &exit{exitInvalid, err}
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // it has another name when all went well
	counts, problem, err := c.fill(ctx, tmp, from)
	if err != nil {
		return err
	}
	if err := putInPlace(tmp, target); err != nil {
		return err
	}
	if problem != nil {
		return problem
	}
	if from.header == nil {
		fmt.Println("This backup is of an earlier version. It has no checksums and no end mark, so that a flipped bit or a missing end can't be seen.")
		return nil
	}
	fmt.Printf("The ledger as it was at %s. Every block had its checksum, and the end mark counts the same: %s\n", from.header.Taken.UTC().Format(time.RFC3339), summary(counts))
	return nil
}

// newDir checks that a directory is not there, or is empty.
func newDir(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	there, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return path, os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("the directory is not empty: %s; name a new one", path)
	}
	return path, err
}

// fill loads a backup into dir and says what was checked. A backup that is not whole
// is an error; problem is one of the ledger that the backup faithfully holds.
func (c *cli) fill(ctx context.Context, dir string, from *backupSource) (counts *backup.Counts, problem, err error) {
	s, err := badger.Open(dir, nil)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	n, err := backup.Load(ctx, s, &shown{Source: from, c: c})
	c.progress("")
	if err != nil {
		return nil, nil, &exit{exitInvalid, fmt.Errorf("nothing was restored: %w", err)}
	}
	switch format, err := writer.Format(ctx, s); {
	case errors.Is(err, writer.ErrNoLedger):
		return nil, nil, &exit{exitInvalid, errors.New("nothing was restored: the backup holds no ledger")}
	case err == nil && format < writer.NewestFormat():
		fmt.Printf("restored  a ledger of format %d; bring it to this version's with: farebox meter migrate --data %s\n", format, c.data)
		return &n, nil, nil
	}
	r, err := writer.Verify(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	if !r.Clean() {
		return &n, &exit{exitBroken, fmt.Errorf("the backup is whole, but the ledger in it does not verify: %s\nSee: farebox meter verify --repair-report --data %s", r.Problems[0], c.data)}, nil
	}
	fmt.Printf("restored  accounts %d · charges %d · entries %d · verified\n", r.Accounts, r.Charges, r.Entries)
	return &n, nil, nil
}

// shown says on a terminal how much was read.
type shown struct {
	backup.Source
	c     *cli
	n     int64
	shown time.Time
}

func (s *shown) Next() (backup.Record, error) {
	if s.n++; s.n%4096 == 0 && time.Since(s.shown) > time.Second/4 {
		s.c.progress("%s records", humanize.Comma(s.n))
		s.shown = time.Now()
	}
	return s.Source.Next()
}

// putInPlace gives tmp the name of target. An empty directory that can't be replaced,
// such as a mounted volume, gets its files one by one, the one without which it is no
// ledger last.
func putInPlace(tmp, target string) error {
	if err := os.Remove(target); err == nil || errors.Is(err, os.ErrNotExist) {
		if err := os.Rename(tmp, target); err != nil {
			return err
		}
		return syncDir(filepath.Dir(target))
	}
	files, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	const last = "MANIFEST"
	for _, f := range files {
		if f.Name() != last {
			if err := os.Rename(filepath.Join(tmp, f.Name()), filepath.Join(target, f.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Rename(filepath.Join(tmp, last), filepath.Join(target, last)); err != nil {
		return err
	}
	return syncDir(target)
}

func (c *cli) backupsCommand() *cobra.Command {
	return command("backups DIR", "List the backups in a directory, and read each to its end", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		list, err := backup.List(args[0])
		if err != nil {
			return &exit{exitInvalid, err}
		}
		type row struct {
			backup.File
			Problem string `json:"problem,omitempty"`
		}
		rows, broken := []row{}, 0
		for _, f := range list {
			x := row{File: f}
			if err := readChain(list, f); err != nil {
				x.Problem = err.Error()
				broken++
			}
			rows = append(rows, x)
		}
		err = c.show(rows, func(w *tabwriter.Writer) {
			fmt.Fprintln(w, "TAKEN\tSIZE\tFILE\tCAN BE RESTORED")
			for _, x := range rows {
				can := "yes"
				if x.Problem != "" {
					can = "no: " + x.Problem
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Taken.UTC().Format(time.RFC3339), humanize.Bytes(uint64(x.Size)), filepath.Base(x.Path), can) //nolint:gosec // a size
			}
		})
		if err == nil && broken > 0 {
			return &exit{exitBroken, fmt.Errorf("%d of %d backups can't be restored; make a new one: farebox meter backup --full %s", broken, len(list), args[0])}
		}
		return err
	})
}

// readChain reads all that restoring f would read.
func readChain(list backup.Series, f backup.File) error {
	chain, err := list.Chain(f)
	if err != nil {
		return err
	}
	s, files, err := chain.Open()
	if err != nil {
		return err
	}
	defer files.Close() //nolint:errcheck // only read from
	for err == nil {
		_, err = s.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
