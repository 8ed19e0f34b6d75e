package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/meter/backup"
)

func (c *cli) backupCommand() *cobra.Command {
	var full bool
	var keep string
	cmd := command("backup FILE|DIR", "Copy the ledger of the running server into a file, or what changed into a directory of backups", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		if err := c.noDryRun(cmd); err != nil {
			return err
		}
		if isDir(args[0]) {
			return c.backupInto(args[0], full, keep)
		}
		if full || keep != "" {
			return &exit{exitInvalid, errors.New("--full and --keep are for a directory of backups; write: farebox meter backup <directory>/")}
		}
		taken, err := c.takeBackup(filepath.Dir(args[0]), wholeBackup, func(backup.Header) string { return args[0] })
		if err != nil {
			return err
		}
		return c.showBackup(taken, args[0], nil)
	})
	cmd.Flags().BoolVar(&full, "full", false, "write a full backup into the directory, even if an increment would do")
	cmd.Flags().StringVar(&keep, "keep", "", "how long backups in the directory are kept, such as 30d; older ones that no newer one needs are removed")
	return cmd
}

// isDir reports whether path names a directory, there or to be made.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() || strings.HasSuffix(path, string(filepath.Separator))
}

// backupInto adds a backup to a directory: an increment of the newest one there, or a
// full one if there is none.
func (c *cli) backupInto(dir string, full bool, keep string) error {
	days, err := parseDays(keep)
	if err != nil && keep != "" {
		return &exit{exitInvalid, fmt.Errorf("--keep: %w", err)}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &exit{exitInvalid, err}
	}
	list, err := backup.List(dir)
	if err != nil {
		return &exit{exitInvalid, fmt.Errorf("%w; move it out of the directory", err)}
	}
	write := wholeBackup
	if !full && len(list) > 0 {
		write = func(w io.Writer, from io.Reader) (backup.Header, backup.Counts, error) {
			return increment(w, from, list)
		}
	}
	taken, err := c.takeBackup(dir, write, func(h backup.Header) string { return filepath.Join(dir, backup.Name(h)) })
	if err != nil {
		return err
	}
	var removed []string
	if keep != "" {
		if removed, err = removeExpired(dir, taken.Taken.AddDate(0, 0, -days)); err != nil {
			return err
		}
	}
	return c.showBackup(taken, dir, removed)
}

// backupWriter writes a backup of what the server sends, and reads that to its end.
type backupWriter func(w io.Writer, from io.Reader) (backup.Header, backup.Counts, error)

// wholeBackup writes what the server sends as it is.
func wholeBackup(w io.Writer, from io.Reader) (h backup.Header, counts backup.Counts, err error) {
	r, err := backup.NewReader(io.TeeReader(from, w))
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) {
		return h, counts, err
	}
	return r.Header, r.Counts(), nil
}

// increment writes what changed since the newest backup of the list.
func increment(w io.Writer, from io.Reader, list backup.Series) (h backup.Header, counts backup.Counts, err error) {
	newest := list[len(list)-1]
	r, err := backup.NewReader(from)
	if err != nil {
		return h, counts, err
	}
	if h = r.Header; newest.Ledger != h.Ledger {
		return h, counts, &exit{exitRefused, fmt.Errorf("the directory holds backups of ledger %s, but the server's is %s; name another directory", newest.Ledger, h.Ledger)}
	}
	chain, err := list.Chain(newest)
	if err != nil {
		return h, counts, againWithFull(err)
	}
	old, files, err := chain.Open()
	if err != nil {
		return h, counts, againWithFull(err)
	}
	defer files.Close() //nolint:errcheck // only read from
	h.Base = newest.ID
	if counts, err = backup.Diff(w, h, old, r); errors.Is(err, backup.ErrDamaged) || errors.Is(err, backup.ErrCutOff) {
		err = againWithFull(err)
	}
	return h, counts, err
}

func againWithFull(err error) error {
	return &exit{exitInvalid, fmt.Errorf("the increment can't be made: %w\nBegin again with a full backup: --full", err)}
}

// takenBackup is a backup that was written and read to its end mark.
type takenBackup struct {
	backup.Header
	backup.Counts
	File  string `json:"file"`
	Bytes uint64 `json:"bytes"`
}

// takeBackup asks the server for a full backup. Nothing has the name of a backup that
// is not whole and synced.
func (c *cli) takeBackup(dir string, write backupWriter, name func(backup.Header) string) (*takenBackup, error) {
	res, err := c.send(http.MethodGet, "/meter/backup", http.Header{}, nil)
	if err != nil {
		return nil, c.unreachable(http.MethodPost, "", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if res.StatusCode != http.StatusOK {
		return nil, decodeAnswer(res, nil)
	}
	tmp, err := os.CreateTemp(dir, ".farebox-backup-")
	if err != nil {
		return nil, &exit{exitInvalid, err}
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone when all went well
	m := &measured{c: c}
	h, counts, err := write(io.MultiWriter(tmp, m), res.Body)
	c.progress("")
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return nil, fmt.Errorf("no backup was written: %w", err)
	}
	t := &takenBackup{h, counts, name(h), m.n}
	if err := os.Rename(tmp.Name(), t.File); err != nil {
		return nil, err
	}
	return t, syncDir(dir)
}

func (c *cli) showBackup(t *takenBackup, restore string, removed []string) error {
	return c.show(t, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "wrote %s, %s: %s\n", t.File, humanize.Bytes(t.Bytes), summary(&t.Counts))
		for _, f := range removed {
			fmt.Fprintf(w, "removed %s\n", f)
		}
		fmt.Fprintf(w, "restore it with: farebox meter restore %s --data <new directory>\n", restore)
	})
}

// summary is how many records of each kind there are, those first that people know.
func summary(c *backup.Counts) string {
	first := []string{"accounts", "API keys", "members", "operator keys", "price books", "charges", "open holds", "entries", "events to deliver"}
	var parts []string
	rest := c.Total()
	for _, kind := range first {
		parts = append(parts, fmt.Sprintf("%s %d", kind, c.Records[kind]))
		rest -= c.Records[kind]
	}
	parts = append(parts, fmt.Sprintf("others %d", rest))
	if c.Deleted > 0 {
		parts = append(parts, fmt.Sprintf("deleted %d", c.Deleted))
	}
	return strings.Join(parts, " · ")
}

// removeExpired removes the backups of a directory that none since a moment needs.
func removeExpired(dir string, since time.Time) (removed []string, err error) {
	list, err := backup.List(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range list.Expired(func(f backup.File) bool { return f.Taken.After(since) }) {
		if err := os.Remove(f.Path); err != nil {
			return removed, err
		}
		removed = append(removed, f.Path)
	}
	return removed, nil
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's own directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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

// noDryRun refuses --dry-run for a command that cannot try what it does.
func (c *cli) noDryRun(cmd *cobra.Command) error {
	if c.dryRun {
		return &exit{exitInvalid, fmt.Errorf("%s has no --dry-run; nothing was done", cmd.Name())}
	}
	return nil
}
