package badger

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4"
)

// ErrNotEmpty: a backup is restored into a directory of its own.
var ErrNotEmpty = errors.New("the directory is not empty")

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
	err = db.Load(r, 16)
	if err == nil { // its log begins anew
		err = db.Update(func(t *badger.Txn) error { return t.Delete(headKey) })
	}
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}
