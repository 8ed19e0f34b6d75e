package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Suffix ends the names of backups in a directory.
const Suffix = ".backup"

// File is a backup in a directory.
type File struct {
	Header
	Path string
	Size int64
}

// Name is what a backup is called in a directory: names sort by the time.
func Name(h Header) string {
	what := "full"
	if h.Base != "" {
		what = "increment"
	}
	return "farebox-" + h.Taken.UTC().Format("20060102T150405.000Z") + "-" + what + Suffix
}

// Series are the backups of one ledger in a directory, oldest first.
type Series []File

// List reads the headers of the backups in a directory. A file that is named like
// one and is none is an error: what cannot be read cannot be restored.
func List(dir string) (Series, error) {
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list Series
	for _, f := range there {
		if f.IsDir() || !strings.HasSuffix(f.Name(), Suffix) {
			continue
		}
		x, err := header(filepath.Join(dir, f.Name()))
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, f.Name()), err)
		}
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b File) int { return a.Taken.Compare(b.Taken) })
	for i := range list {
		if list[i].Ledger != list[0].Ledger {
			return nil, fmt.Errorf("%s is a backup of ledger %s, %s of ledger %s; keep the backups of each ledger in a directory of its own", list[0].Path, list[0].Ledger, list[i].Path, list[i].Ledger)
		}
	}
	return list, nil
}

func header(path string) (File, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return File{}, err
	}
	defer f.Close() //nolint:errcheck // only read from
	r, err := NewReader(f)
	if err != nil {
		return File{}, err
	}
	x := File{Header: r.Header, Path: path}
	if info, err := f.Stat(); err == nil {
		x.Size = info.Size()
	}
	return x, nil
}

// At is the newest backup that was taken at t or before; a zero t is the newest.
func (s Series) At(t time.Time) (File, error) {
	for _, f := range slices.Backward(s) {
		if t.IsZero() || !f.Taken.After(t) {
			return f, nil
		}
	}
	if len(s) == 0 {
		return File{}, errors.New("there is no backup")
	}
	return File{}, fmt.Errorf("no backup is that old; the oldest was taken at %s", s[0].Taken.Format(time.RFC3339))
}

// Chain is the full backup that f needs, the increments between, and f.
func (s Series) Chain(f File) (Series, error) {
	chain := Series{f}
	for f.Base != "" {
		i := slices.IndexFunc(s, func(x File) bool { return x.ID == f.Base })
		if i < 0 || len(chain) > len(s) {
			return nil, fmt.Errorf("%s is an increment of backup %s, which is not in the directory", f.Path, f.Base)
		}
		f = s[i]
		chain = append(chain, f)
	}
	slices.Reverse(chain)
	return chain, nil
}

// Open opens the files of a chain as one source. Close them after use.
func (s Series) Open() (*Chain, io.Closer, error) {
	var files closers
	var list []*Reader
	for _, x := range s {
		f, err := os.Open(x.Path)
		if err != nil {
			return nil, nil, errors.Join(err, files.Close())
		}
		files = append(files, f)
		r, err := NewReader(f)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("%s: %w", x.Path, err), files.Close())
		}
		list = append(list, r)
	}
	c, err := NewChain(list)
	if err != nil {
		return nil, nil, errors.Join(err, files.Close())
	}
	return c, files, nil
}

// Expired are the backups that none of those to keep needs: whole chains, from a full
// backup to its last increment. The newest chain is never among them.
func (s Series) Expired(keep func(File) bool) Series {
	needed := map[string]bool{}
	for i, f := range s {
		if i == len(s)-1 || keep(f) {
			for chain, err := s.Chain(f); err == nil && len(chain) > 0; chain = chain[1:] {
				needed[chain[0].ID] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(s), func(f File) bool { return needed[f.ID] })
}

type closers []io.Closer

func (c closers) Close() (err error) {
	for _, x := range c {
		err = errors.Join(err, x.Close())
	}
	return err
}
