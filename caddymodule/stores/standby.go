package stores

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

// standbyFile is in a data directory that is a copy of another ledger: it may be made
// anew at any time. A gateway that opens the directory removes it.
const standbyFile = "STANDBY"

// ErrNoStandby: a directory holds a ledger that is not a copy.
var ErrNoStandby = errors.New("the directory holds a ledger of its own")

// Standby is a copy of a ledger, in a directory. A new one is made in a directory next
// to it, and takes its place when it is whole.
type Standby struct {
	dir   string
	store *badger.Store
}

// NewStandby begins a new copy, next to the one that dir may have.
func NewStandby(dir string) (*Standby, error) {
	if _, err := os.Stat(filepath.Join(dir, standbyFile)); err != nil && badger.Exists(dir) {
		return nil, fmt.Errorf("%w: %s; name an empty directory, or remove it", ErrNoStandby, dir)
	}
	if old := dir + ".old"; !badger.Exists(dir) && badger.Exists(old) { // a crash between two renames
		if err := errors.Join(os.RemoveAll(dir), os.Rename(old, dir)); err != nil {
			return nil, err
		}
	}
	next := dir + ".next"
	if err := os.RemoveAll(next); err != nil {
		return nil, err
	}
	s, err := badger.Open(next, nil)
	if err == nil {
		err = os.WriteFile(filepath.Join(next, standbyFile), nil, 0o600)
	}
	return &Standby{dir, s}, err
}

// Store is where the copy is written.
func (s *Standby) Store() store.Store { return s.store }

// Whole puts the copy in its place, and opens it there.
func (s *Standby) Whole() (store.Store, error) {
	next, old := s.dir+".next", s.dir+".old"
	err := errors.Join(s.store.Close(), os.RemoveAll(old))
	if err == nil && badger.Exists(s.dir) {
		err = os.Rename(s.dir, old)
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(s.dir), os.Rename(next, s.dir), os.RemoveAll(old))
	}
	if err != nil {
		return nil, fmt.Errorf("putting the copy in its place: %w; it is in %s", err, next)
	}
	s.store, err = badger.Open(s.dir, nil)
	return s.store, err
}

// Close closes the copy. One that is not whole is removed.
func (s *Standby) Close() error {
	return errors.Join(s.store.Close(), os.RemoveAll(s.dir+".next"))
}
