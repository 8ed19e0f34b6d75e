// Package badger keeps the ledger in an embedded Badger database: one process,
// one machine, one directory.
package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	boptions "github.com/dgraph-io/badger/v4/options"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/archive"
)

// ErrInUse: another process has the directory open.
var ErrInUse = errors.New("the data directory is in use")

// Store is a store.Store on Badger, with a log of its own in front. An update is
// durable when it is in the log; it is in memory from then on, in fresh, and a
// goroutine writes what has gathered there every few seconds: journal entries and
// resolved charges to the archive, all others to Badger. A record that changed many
// times in between is written once, and one that came and went not at all.
type Store struct {
	db      *badger.DB
	log     *wal
	archive *archive.Archive // of journal entries and resolved charges

	updating sync.Mutex // one Update at a time; guards log, tx and broken
	tx       *tx
	broken   error // the log may end otherwise than this process knows
	logf     func(format string, args ...any)

	mu       sync.Mutex // guards the layers: held for moments only
	room     *sync.Cond // signals that the tables have caught up
	fresh    *layer     // updates since the last flush began
	frozen   *layer     // what the flush that runs writes; nil if none does
	base     *base      // Badger as it was before that flush
	seq      uint64     // the last batch in fresh
	flushed  uint64     // the last batch of the last flush that ended
	freezing uint64     // the last batch in frozen
	behind   int64      // bytes in fresh, with those that later updates replaced
	failed   error      // of the last flush
	closed   bool

	feed     feed
	guard    atomic.Pointer[func() error]
	flushing sync.Mutex // one flush at a time; guards marks
	space    *space
	marks    marks
	wake     chan struct{}      // the next flush is due early
	merge    chan struct{}      // the archive has one more run
	merging  context.CancelFunc // ends the merge that runs; guarded by mu
	stop     context.Context
	halted   context.CancelFunc
	stopped  sync.WaitGroup
}

// headKey holds the number of the last batch that reached Badger. It belongs to
// no kind of record, like all keys that begin with "!".
var headKey = []byte("!/head")

// logKey says that there is a log.
var logKey = []byte("!/log")

var errClosed = errors.New("the store is closed")

// size is a variable for tests, which make everything small.
var size = sizes{memTable: 16 << 20, table: 4 << 20, value: 1 << 20, segment: 8 << 20, behind: 32 << 20, log: 256 << 20}

type sizes struct {
	memTable int64 // up to four of them are not yet in synced tables
	table    int64
	value    int64 // largest that stays out of Badger's value log
	segment  int64 // of the log in front
	log      int64 // bytes of log that are kept, about, before Badger is made to write tables
	behind   int64 // bytes of updates after which a flush begins before its time
}

// options are those of a sidecar: small tables, and no value of the ledger in
// the value log, so that it needs no garbage collection. Nothing is synced here
// but whole tables: the log in front is what survives a power cut.
func options(dir string, logf func(format string, args ...any)) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(false).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMemTableSize(size.memTable).
		WithNumMemtables(2).
		WithBaseTableSize(size.table).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(16 << 20).
		WithValueLogFileSize(16 << 20).
		WithValueThreshold(size.value).
		WithChecksumVerificationMode(boptions.OnBlockRead).
		WithCompactL0OnClose(false).
		WithCompression(boptions.ZSTD). // of usage, which is most of them, a third less than Snappy
		WithLogger(logger(logf))
}

// Open opens or creates the database in dir. It waits a little for the lock of a
// process that is about to end; then the error is ErrInUse.
func Open(dir string, logf func(format string, args ...any)) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	room := &space{dir: dir}
	if err := room.prepare(); err != nil {
		return nil, err
	}
	o := options(dir, logf)
	if room.cramped {
		o = o.WithNumCompactors(0)
	}
	var err error
	for try := range 20 {
		var db *badger.DB
		if db, err = badger.Open(o); err == nil {
			return open(db, room, logf)
		}
		if try > 2 && !locked(err) {
			break // an open right after a kill during an open can fail once
		}
		time.Sleep(100 * time.Millisecond)
	}
	if locked(err) {
		return nil, fmt.Errorf("%w: %s is open in %s; stop that one, or use another directory", ErrInUse, dir, holder(dir))
	}
	return nil, fmt.Errorf("opening the data directory %s: %w", dir, err)
}

func locked(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "Cannot acquire directory lock") || strings.Contains(err.Error(), "resource temporarily unavailable"))
}

// holder names the process in Badger's lock file.
func holder(dir string) string {
	pid, err := os.ReadFile(filepath.Join(dir, "LOCK")) //nolint:gosec // the operator's own directory
	if err != nil || len(bytes.TrimSpace(pid)) == 0 {
		return "another process"
	}
	return "process " + string(bytes.TrimSpace(pid))
}

// open replays the part of the log that Badger lacks. Replaying a batch that it
// has is harmless, as a batch sets absolute values.
func open(db *badger.DB, room *space, logf func(string, ...any)) (*Store, error) {
	s := &Store{
		db: db, space: room, logf: logf, fresh: new(layer), tx: newTx(), wake: make(chan struct{}, 1), merge: make(chan struct{}, 1),
		base: &base{t: db.NewTransaction(false), users: 1},
	}
	s.room = sync.NewCond(&s.mu)
	s.stop, s.halted = context.WithCancel(context.Background())
	if err := s.replay(room.dir); err != nil {
		s.base.release()
		return nil, errors.Join(err, db.Close())
	}
	s.beginSpace()
	s.stopped.Go(s.flusher)
	s.stopped.Go(s.watchSpace)
	s.stopped.Go(s.merger)
	return s, nil
}

func (s *Store) replay(dir string) error {
	head, had, err := s.readState()
	if err != nil {
		return err
	}
	after, need := uint64(0), head
	switch {
	case s.marks.whole():
		after = s.marks.reach()
		need = after
	case len(s.marks.list) > 0: // Badger has lost something that was not in a table yet
		need = s.marks.certain()
	}
	if s.log, err = openLog(filepath.Join(dir, "log"), after, s.again); err != nil {
		return err
	}
	if err = s.checkLog(head, need, had); err == nil {
		if s.flushed = after; after == 0 {
			s.marks.restart()
			s.flushed = s.log.first() - 1
		}
		s.seq = s.log.seq
		s.log.certain.Store(min(s.marks.certain(), s.flushed))
		err = s.openArchive(filepath.Join(dir, "archive"))
	}
	if err != nil {
		s.log.close()
	}
	return err
}

// readState is what Badger knows of the log: the last batch of the last flush that
// ended, and whether there was a log at all.
func (s *Store) readState() (head uint64, had bool, err error) {
	if s.marks, err = readMarks(s.base.t); err != nil {
		return 0, false, err
	}
	v := view{base: s.base}
	raw, err := v.get(headKey)
	if err == nil {
		head = binary.BigEndian.Uint64(raw)
	} else if !errors.Is(err, store.ErrNotFound) {
		return 0, false, err
	}
	_, err = v.get(logKey)
	if errors.Is(err, store.ErrNotFound) {
		return head, false, nil
	}
	return head, true, err
}

// checkLog refuses a log that does not reach from what the tables need to what
// they have. A new directory gets its first segment.
func (s *Store) checkLog(head, need uint64, had bool) error {
	l := s.log
	switch {
	case l.seq < head || had && len(l.segments) == 0:
		return fmt.Errorf("%w: it ends with batch %d, but batch %d was written; restore a backup", ErrDamaged, l.seq, max(head, 1))
	case len(l.segments) > 0 && l.first() > need+1:
		return fmt.Errorf("%w: the tables end with batch %d, the log begins with batch %d; restore a backup", ErrDamaged, need, l.first())
	case len(l.segments) == 0:
		if _, err := l.room(1); err != nil {
			return err
		}
	}
	if had {
		return nil
	}
	return s.db.Update(func(t *badger.Txn) error { return t.Set(logKey, nil) })
}

// again puts a batch of the log into memory. What it replaces in Badger may be
// newer, if Badger has lost something: then the batches that follow make it so again.
func (s *Store) again(_ uint64, payload []byte) error {
	writes, err := decodeWrites(payload)
	if err != nil {
		return err
	}
	for _, w := range writes {
		s.fresh.Set(text(w.key), w.value)
	}
	s.behind += int64(len(payload))
	return nil
}

// View implements store.Store.
func (s *Store) View(_ context.Context, fn func(store.Snapshot) error) error {
	return s.viewAt(func(_ uint64, v store.Snapshot) error { return fn(v) })
}

// viewAt is View with the number of the last batch that the snapshot has.
func (s *Store) viewAt(fn func(seq uint64, v store.Snapshot) error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	v := &view{layers: [2]*layer{s.fresh.Copy(), s.frozen}, base: s.base}
	v.base.users++
	seq := s.seq
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		v.base.release()
		s.mu.Unlock()
	}()
	return fn(seq, v)
}

// Close implements store.Store.
func (s *Store) Close() error {
	if !s.halt() {
		return nil
	}
	err := s.flush()
	return errors.Join(err, s.shut())
}

// halt ends updates, views and the flusher. It reports false if it did so before.
func (s *Store) halt() bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.closed = true
	s.room.Broadcast()
	s.mu.Unlock()
	s.halted()
	s.stopped.Wait()
	s.updating.Lock() // the update that runs, if there is one, ends first
	defer s.updating.Unlock()
	return true
}

// shut closes the files.
func (s *Store) shut() error {
	s.log.close()
	s.mu.Lock()
	s.base.release()
	s.mu.Unlock()
	s.archive.Close()
	return s.closeBadger()
}

// logger passes on Badger's warnings and errors only.
type logger func(format string, args ...any)

func (l logger) Errorf(f string, a ...any)   { l.log("error: "+f, a...) }
func (l logger) Warningf(f string, a ...any) { l.log("warning: "+f, a...) }
func (logger) Infof(string, ...any)          {}
func (logger) Debugf(string, ...any)         {}

func (l logger) log(f string, a ...any) {
	if l != nil {
		l(strings.TrimSpace(f), a...)
	}
}
