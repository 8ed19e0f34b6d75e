package badger

import (
	"os"
	"path/filepath"
)

// Exists reports whether there is a database in dir. Open would create one.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "MANIFEST"))
	return err == nil
}

// Guard has check called each time before files are written in the background.
// While it returns an error, none are: the directory may have been replaced by
// another, which must not get files of this one.
func (s *Store) Guard(check func() error) { s.guard.Store(&check) }

func (s *Store) guarded() error {
	if check := s.guard.Load(); check != nil {
		return (*check)()
	}
	return nil
}
