package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/archive"
)

// runsKey holds the names of the archive's files, so that a missing one is noticed.
var runsKey = []byte("!/runs")

// archived reports whether a key is one of the records that the archive keeps:
// they are most of a ledger, and hardly ever change. Directories from before there
// was an archive have them in Badger.
func archived(key string) bool {
	return len(key) > 1 && key[1] == '/' && (key[0] == byte(store.Entry) || key[0] == byte(store.Charge))
}

func (s *Store) openArchive(dir string) error {
	names, err := (&view{base: s.base}).get(runsKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	s.archive, err = archive.Open(dir, s.flushed, strings.Fields(string(names)))
	if errors.Is(err, archive.ErrDamaged) {
		return errors.Join(ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	s.renew()
	return nil
}

// writeRun writes the records of a layer that belong in the archive.
func (s *Store) writeRun(frozen *layer, m mark) error {
	return s.archive.Write(m.from, m.to, func(w *archive.Writer) (err error) {
		for _, kind := range []store.Kind{store.Charge, store.Entry} { // in order
			prefix := string([]byte{byte(kind), '/'})
			frozen.Ascend(prefix, func(key string, value []byte) bool {
				if !strings.HasPrefix(key, prefix) {
					return false
				}
				err = w.Add(archive.Record{Key: key, Value: value})
				return err == nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) runNames() []byte {
	set := s.archive.Acquire()
	defer s.archive.Release(set)
	return []byte(strings.Join(set.Names(), " "))
}

// merger merges runs of the archive when there are too many, until the store halts.
func (s *Store) merger() {
	for {
		select {
		case <-s.stop.Done():
			return
		case <-s.merge:
		}
		for again := true; again; {
			var err error
			if again, err = s.mergeRuns(); err != nil && s.stop.Err() == nil && s.logf != nil {
				s.logf("error: merging the archive: %v; it is tried again after the next flush", err)
			}
		}
	}
}

// mergeRuns makes one run of several, if there are too many, and the disk has room.
func (s *Store) mergeRuns() (bool, error) {
	if err := s.guarded(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(s.stop)
	defer cancel()
	s.mu.Lock()
	s.merging = cancel
	s.mu.Unlock()
	if now := s.space.measure(); s.Full() != nil || s.archive.Need() > now.Free-now.Needs {
		return false, nil
	}
	merged, err := s.archive.Merge(ctx)
	if !merged && s.Full() != nil {
		return false, nil
	}
	if !merged {
		return false, err
	}
	err = errors.Join(err, s.noteRuns())
	s.mu.Lock()
	s.renew()
	s.mu.Unlock()
	return err == nil, err
}

// Compact implements store.Compacter. What it reads and writes is the whole directory,
// or what is worth it.
func (s *Store) Compact(ctx context.Context, c store.Compaction) error {
	if now := s.space.measure(); s.Full() != nil || s.archive.Size() > now.Free-now.Needs {
		return fmt.Errorf("%w: a compaction needs %d MB for a moment, %d MB are free", store.ErrFull, (s.archive.Size()+now.Needs)>>20, now.Free>>20)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stop, cancel)()
	tables := s.db.NewTransaction(false) // no such record ever comes to them any more
	defer tables.Discard()
	below := func(key string) bool {
		_, err := tables.Get(bytesOf(key))
		return !errors.Is(err, badger.ErrKeyNotFound)
	}
	err := errors.Join(s.flush(), s.archive.Compact(ctx, c, below))
	if err == nil {
		err = s.noteRuns()
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.renew()
	s.mu.Unlock()
	if c.Paced {
		return s.db.Flatten(1)
	}
	return s.db.Flatten(2)
}

// Size implements store.Compacter.
func (s *Store) Size() (sum int64, err error) {
	err = filepath.WalkDir(s.space.dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil // a file that was merged meanwhile
		}
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil {
			sum += taken(info)
		}
		return nil
	})
	return sum, err
}

// noteRuns writes the names of the runs. While Badger is paused, those from before
// have to do: a run stands for those that were merged into it.
func (s *Store) noteRuns() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if !s.mayMakeTables() {
		return nil
	}
	return s.db.Update(func(t *badger.Txn) error { return t.Set(runsKey, s.runNames()) })
}

// stopMerge ends the merge that runs.
func (s *Store) stopMerge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.merging != nil {
		s.merging()
	}
}
