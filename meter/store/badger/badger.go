// Package badger keeps the ledger in an embedded Badger database: one process,
// one machine, one directory.
package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	boptions "github.com/dgraph-io/badger/v4/options"

	"github.com/farebox-dev/farebox/meter/store"
)

// ErrInUse: another process has the directory open.
var ErrInUse = errors.New("the data directory is in use")

// Store is a store.Store on Badger, with a log of its own in front.
type Store struct {
	db  *badger.DB
	log *wal

	mu      sync.Mutex // one Update at a time; guards all below
	broken  error      // log and tables may disagree until the next start
	applied chan error // the last batch on its way into Badger; answers once
	closed  bool
}

// headKey holds the number of the last batch that reached Badger. It belongs to
// no kind of record.
var headKey = []byte("!/head")

// size is a variable for tests, which make everything small.
var size = sizes{memTable: 16 << 20, table: 4 << 20, value: 1 << 20, segment: 8 << 20}

type sizes struct {
	memTable int64 // up to four of them are not yet in synced tables
	table    int64
	value    int64 // largest that stays out of Badger's value log
	segment  int64 // of the log in front
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
		WithLogger(logger(logf))
}

// Open opens or creates the database in dir. It waits a little for the lock of a
// process that is about to end; then the error is ErrInUse.
func Open(dir string, logf func(format string, args ...any)) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	var err error
	for try := range 20 {
		var db *badger.DB
		if db, err = badger.Open(options(dir, logf)); err == nil {
			return open(db, filepath.Join(dir, "log"))
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

// open replays the log: all batches that the tables may lack. Replaying one that
// they have is harmless, as a batch sets absolute values.
func open(db *badger.DB, dir string) (*Store, error) {
	head, err := headOf(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Store{db: db}
	first := true
	s.log, err = openLog(dir, func(seq uint64, payload []byte) error {
		if first && seq > head+1 {
			return fmt.Errorf("%w: the tables end with batch %d, the log begins with batch %d; restore a backup", ErrDamaged, head, seq)
		}
		first = false
		return s.replay(seq, payload)
	})
	if err == nil && s.log.seq < head {
		err = fmt.Errorf("%w: it ends with batch %d, but batch %d was written; restore a backup", ErrDamaged, s.log.seq, head)
		s.log.close()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func headOf(db *badger.DB) (head uint64, err error) {
	err = db.View(func(t *badger.Txn) error {
		item, err := t.Get(headKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			head = binary.BigEndian.Uint64(v)
			return nil
		})
	})
	return head, err
}

func (s *Store) replay(seq uint64, payload []byte) error {
	writes, err := decodeWrites(payload)
	if err != nil {
		return err
	}
	return s.db.Update(func(t *badger.Txn) error { return fill(t, seq, writes) })
}

// fill puts a batch and its number into a Badger transaction.
func fill(t *badger.Txn, seq uint64, writes []write) error {
	for _, w := range writes {
		var err error
		if w.value == nil {
			err = t.Delete(w.key)
		} else {
			err = t.Set(w.key, w.value)
		}
		if err != nil {
			return tooBig(err)
		}
	}
	return tooBig(t.Set(headKey, binary.BigEndian.AppendUint64(nil, seq)))
}

// Update implements store.Store. It returns when the batch is durable in the
// log; Badger takes it while the caller goes on, and the next Update or View
// waits for that.
func (s *Store) Update(_ context.Context, _ []string, fn func(store.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(); err != nil {
		return err
	}
	t := s.db.NewTransaction(true)
	collect := &tx{snapshot: snapshot{t}, own: map[string]int{}}
	err := fn(collect)
	if err == nil {
		err = collect.failed
	}
	if err == nil && len(collect.writes) > 0 {
		err = tooBig(t.Set(headKey, binary.BigEndian.AppendUint64(nil, s.log.seq+1)))
	}
	if err != nil || len(collect.writes) == 0 {
		t.Discard()
		return err
	}
	if err := s.log.append(collect.writes); err != nil {
		t.Discard()
		err = fmt.Errorf("writing the log: %w", err)
		if s.log.touched { // only the next start can find out how much of it is on disk
			s.broken = err
		}
		return err
	}
	applied := make(chan error, 1)
	s.applied = applied
	t.CommitWith(func(err error) { applied <- err })
	return nil
}

// settle waits until the last batch is in Badger.
func (s *Store) settle() error {
	if s.applied != nil {
		if err := <-s.applied; err != nil { // it is in the log: the next start finds it
			s.broken = fmt.Errorf("writing the tables: %w", err)
		}
		s.applied = nil
	}
	return s.broken
}

// View implements store.Store.
func (s *Store) View(_ context.Context, fn func(store.Snapshot) error) error {
	s.mu.Lock()
	_ = s.settle() // what is broken can still be read
	t := s.db.NewTransaction(false)
	s.mu.Unlock()
	defer t.Discard()
	return fn(snapshot{t})
}

// Backup implements store.Store: Badger's own stream format, all versions.
func (s *Store) Backup(_ context.Context, w io.Writer) error {
	s.mu.Lock()
	err := s.settle()
	s.mu.Unlock()
	if err == nil {
		_, err = s.db.Backup(w, 0)
	}
	return err
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.settle()
	s.log.close()
	return errors.Join(err, s.db.Close())
}

// tx writes into a Badger transaction and keeps a list for the log.
type tx struct {
	snapshot
	writes []write
	own    map[string]int // key → its place in writes
	failed error          // a write that did not fit, whether fn looked or not
}

func (t *tx) Put(id store.ID, value []byte) error {
	return t.write(write{key: id.Bytes(), value: append([]byte{}, value...)})
}

func (t *tx) Delete(id store.ID) error { return t.write(write{key: id.Bytes()}) }

func (t *tx) write(w write) error {
	var err error
	if w.value == nil {
		err = t.t.Delete(w.key)
	} else {
		err = t.t.Set(w.key, w.value)
	}
	if err != nil {
		t.failed = tooBig(err)
		return t.failed
	}
	if i, again := t.own[string(w.key)]; again {
		t.writes[i] = w
		return nil
	}
	t.own[string(w.key)] = len(t.writes)
	t.writes = append(t.writes, w)
	return nil
}

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w: %w", store.ErrTooBig, err)
	}
	return err
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
