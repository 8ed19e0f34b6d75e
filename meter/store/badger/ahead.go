package badger

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ahead allocates the files of Badger's memtables before Badger writes to them: the
// current one, and an empty file in the place of the next one, which Badger takes
// for its own.
type ahead struct {
	current, next string // paths
}

const memtableSuffix = ".mem"

// memtableBytes is more than Badger writes into the file of a memtable: it begins
// another when one is full, before a transaction.
func memtableBytes() int64 { return size.memTable + size.memTable/2 }

// keep makes sure that both files are there. It reports false if the disk has no
// room for them.
func (a *ahead) keep(dir string) bool {
	if a.ready() {
		return true
	}
	newest, ok := newestMemtable(dir)
	if !ok {
		return true // a Badger that names them differently: the margin has to do
	}
	current, next := memtablePath(dir, newest), memtablePath(dir, newest+1)
	if current != a.next && !allocated(current, os.O_RDWR) || !allocated(next, os.O_RDWR|os.O_CREATE|os.O_EXCL) {
		return false
	}
	a.current, a.next = current, next
	return true
}

// ready reports whether Badger has not taken the next file yet.
func (a *ahead) ready() bool {
	info, err := os.Stat(a.next)
	return a.next != "" && err == nil && info.Size() == 0
}

// allocated reports whether a file has its blocks. Where that cannot be known, the
// margin has to do.
func allocated(path string, flags int) bool {
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // our own directory
	if err != nil {
		return false
	}
	err = allocate(f, memtableBytes())
	_ = f.Close()
	if err != nil && isFull(err) {
		if flags&os.O_CREATE != 0 {
			_ = os.Remove(path)
		}
		return false
	}
	return true
}

func memtablePath(dir string, n int) string {
	return filepath.Join(dir, fmt.Sprintf("%05d%s", n, memtableSuffix))
}

// newestMemtable is the number of the memtable that Badger writes to.
func newestMemtable(dir string) (n int, ok bool) {
	names, _ := filepath.Glob(filepath.Join(dir, "*"+memtableSuffix))
	for _, name := range names {
		k, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), memtableSuffix))
		info, statErr := os.Stat(name)
		if err == nil && statErr == nil && info.Size() > 0 && (!ok || k > n) {
			n, ok = k, true
		}
	}
	return n, ok
}

// openingTakes is how much Badger writes at most when it opens or closes: a table for
// each memtable, and what is small.
func openingTakes(dir string) int64 {
	n := size.memTable / 4
	names, _ := filepath.Glob(filepath.Join(dir, "*"+memtableSuffix))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Size() > 0 {
			n += min(taken(info), size.memTable)
		}
	}
	return n
}

// removeEmptyMemtables removes the files that the last process made ahead: Badger
// expects that a memtable which is there at its start is not empty.
func removeEmptyMemtables(dir string) error {
	names, _ := filepath.Glob(filepath.Join(dir, "*"+memtableSuffix))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Size() == 0 {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}
