package badger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// ErrNotEmpty: a backup is restored into a directory of its own.
var ErrNotEmpty = errors.New("the directory is not empty")

// ErrNotABackup: the file is not what Backup wrote.
var ErrNotABackup = errors.New("the file is not a backup, or it is damaged or compressed")

// Restore makes a data directory from what Backup wrote.
func Restore(dir string, r io.Reader) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("%w: %s; name a new one", ErrNotEmpty, dir)
	}
	db, err := badger.Open(options(dir, nil))
	if err != nil {
		return err
	}
	err = load(db, r)
	if err == nil { // its log begins anew
		err = db.Update(func(t *badger.Txn) error { return t.Delete(headKey) })
	}
	if err == nil {
		err = db.Sync()
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return errors.Join(err, empty(dir))
	}
	return nil
}

// load reads a backup. Badger panics on some bytes that are not a backup.
func load(db *badger.DB, r io.Reader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrNotABackup, p)
		}
	}()
	if err = db.Load(r, 16); err != nil {
		err = fmt.Errorf("%w: %w", ErrNotABackup, err)
	}
	return err
}

// empty removes what an attempt has left in dir, so that the next one can begin.
func empty(dir string) error {
	there, err := os.ReadDir(dir)
	for _, f := range there {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, f.Name())))
	}
	return err
}
