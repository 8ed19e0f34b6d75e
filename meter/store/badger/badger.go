// Package badger keeps the ledger in an embedded Badger database: one process,
// one machine, one directory.
package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/farebox-dev/farebox/meter/store"
)

// ErrInUse: another process has the directory open.
var ErrInUse = errors.New("the data directory is in use")

// Store is a store.Store on Badger. It writes from one goroutine at a time.
type Store struct {
	db     *badger.DB
	closed atomic.Bool
}

// options are those of a sidecar: every commit synced, small tables, and no
// value of the ledger in the value log, so that it needs no garbage collection.
func options(dir string, logf func(format string, args ...any)) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true). // without it a power cut loses acknowledged commits
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMemTableSize(16 << 20).
		WithNumMemtables(2).
		WithBaseTableSize(4 << 20).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(16 << 20).
		WithValueLogFileSize(16 << 20).
		WithValueThreshold(1 << 20).
		WithCompactL0OnClose(false).
		WithLogger(logger(logf))
}

// Open opens or creates the database in dir. A lock that a process which has
// just ended may still hold is waited for; one that stays is ErrInUse.
func Open(dir string, logf func(format string, args ...any)) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	var err error
	for try := range 20 {
		var db *badger.DB
		if db, err = badger.Open(options(dir, logf)); err == nil {
			return &Store{db: db}, nil
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

type txn struct{ *badger.Txn }

// Update implements store.Store.
func (s *Store) Update(_ context.Context, _ []string, fn func(store.Tx) error) error {
	t := s.db.NewTransaction(true)
	defer t.Discard()
	if err := fn(txn{t}); err != nil {
		return err
	}
	return t.Commit()
}

// View implements store.Store.
func (s *Store) View(_ context.Context, fn func(store.Snapshot) error) error {
	return s.db.View(func(t *badger.Txn) error { return fn(txn{t}) })
}

// Backup implements store.Store: Badger's own stream format, all versions.
func (s *Store) Backup(_ context.Context, w io.Writer) error {
	_, err := s.db.Backup(w, 0)
	return err
}

// Close implements store.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.db.Close()
}

func (t txn) Get(id store.ID) ([]byte, error) {
	item, err := t.Txn.Get(id.Bytes())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

func (t txn) Put(id store.ID, value []byte) error { return tooBig(t.Set(id.Bytes(), value)) }

func (t txn) Delete(id store.ID) error { return tooBig(t.Txn.Delete(id.Bytes())) }

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w: %w", store.ErrTooBig, err)
	}
	return err
}

func (t txn) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	prefix := []byte{byte(from.Kind), '/'}
	if only {
		prefix = store.ID{Kind: from.Kind, Account: from.Account}.Bytes()
	}
	it := t.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 64})
	defer it.Close()
	for it.Seek(from.Bytes()); it.ValidForPrefix(prefix); it.Next() {
		key := it.Item().KeyCopy(nil)
		account, name, ok := strings.Cut(string(key[2:]), "\x00")
		if !ok {
			return fmt.Errorf("a key of unknown form in the data directory: %q", key)
		}
		id := store.ID{Kind: from.Kind, Account: account, Name: name}
		err := it.Item().Value(func(v []byte) error { return fn(id, v) })
		if errors.Is(err, store.ErrStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// logger passes Badger's warnings and errors on and drops its chatter.
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
