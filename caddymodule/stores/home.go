package stores

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

// identityFile is in a data directory and says which ledger that holds. While the
// gateway runs, it is how the directory is recognised: by device and inode.
const identityFile = "LEDGER"

var (
	// ErrGone: the data directory was deleted, unmounted or replaced while it was
	// open.
	ErrGone = errors.New("the data directory is gone")
	// ErrOtherLedger: the identity file and the ledger do not belong together.
	ErrOtherLedger = errors.New("the data directory is mixed up")
)

// Home is a data directory with the ledger in it.
type Home struct {
	*badger.Store
	Dir    string
	Ledger writer.Ledger
	// Seen is when a gateway was last at work here, as far as files tell.
	Seen time.Time

	file *os.File // the identity file; open, so that its inode is not given to another
	info os.FileInfo

	looked atomic.Int64 // when, in nanoseconds since began
	began  time.Time
	gone   atomic.Pointer[error]
	stop   chan struct{}
	once   sync.Once
	done   sync.WaitGroup
}

// Open opens the ledger in dir, which must be there: see Create.
func Open(dir string, logf func(format string, args ...any)) (*Home, error) {
	if !badger.Exists(dir) {
		return nil, NoLedger(dir)
	}
	seen := lastSeen(dir)
	s, err := badger.Open(dir, logf)
	if err != nil {
		return nil, err
	}
	h := &Home{Store: s, Dir: dir, Seen: seen, began: time.Now(), stop: make(chan struct{})}
	if err := h.identify(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := os.Remove(filepath.Join(dir, standbyFile)); err == nil && logf != nil {
		logf("%s was a copy of another ledger, and is a ledger of its own now", dir)
	}
	s.Guard(h.look)
	return h, nil
}

// NoLedger says what to do about a directory without a ledger.
func NoLedger(dir string) error {
	what := "does not exist"
	if list, err := os.ReadDir(dir); err == nil && len(list) == 0 {
		what = "is empty"
	} else if err == nil {
		what = "has files, but no ledger"
	} else if !errors.Is(err, fs.ErrNotExist) {
		what = err.Error()
	}
	return fmt.Errorf(`%w: the data directory %s %s
If it should have a ledger: is its volume mounted, and is the path right?
If this gateway is new, create one: farebox meter init --data %s`, writer.ErrNoLedger, dir, what, dir)
}

// Create makes an empty ledger in dir.
func Create(ctx context.Context, dir string, now time.Time) (writer.Ledger, error) {
	s, err := badger.Open(dir, nil)
	if err != nil {
		return writer.Ledger{}, err
	}
	l, err := writer.Create(ctx, s, now)
	if err == nil {
		err = writeIdentity(dir, l)
	}
	return l, errors.Join(err, s.Close())
}

// identify compares the ledger with the identity file, and writes what a version
// without identities, a restore or a copy has left out.
func (h *Home) identify() error {
	path := filepath.Join(h.Dir, identityFile)
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own directory
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found := err == nil
	h.Ledger, err = writer.Identify(context.Background(), h.Store, oldest(h.Dir))
	if errors.Is(err, writer.ErrNoLedger) {
		return NoLedger(h.Dir)
	}
	if err != nil {
		return err
	}
	var named writer.Ledger
	if found {
		if err := json.Unmarshal(text, &named); err != nil || named.ID != h.Ledger.ID {
			return fmt.Errorf("%w: %s names the ledger %q, but the records are those of %s; put the files of one ledger there, or, if the records are right, remove %s", ErrOtherLedger, path, named.ID, h.Ledger.ID, path)
		}
	} else if err := writeIdentity(h.Dir, h.Ledger); err != nil {
		return err
	}
	if h.file, err = os.Open(path); err != nil { //nolint:gosec // the operator's own directory
		return err
	}
	h.info, err = h.file.Stat()
	return err
}

// writeIdentity writes the identity file; after a crash it is there whole or not at all.
func writeIdentity(dir string, l writer.Ledger) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, identityFile+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it was renamed
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, identityFile))
}

// lookEvery is how often the directory is looked at.
const lookEvery = 250 * time.Millisecond

// heartbeat is how often the identity file gets the time, so that the next start
// knows until when this gateway ran.
const heartbeat = time.Minute

// Watch looks at the directory until Close, and calls report when it is gone, or
// there again. now is the ledger's clock.
func (h *Home) Watch(report func(error), now func() time.Time) {
	h.done.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var last error
		var beaten time.Time
		for {
			select {
			case <-h.stop:
				return
			case <-tick.C:
			}
			err := h.look()
			if (err == nil) != (last == nil) {
				report(err)
			}
			last = err
			if err == nil && time.Since(beaten) >= heartbeat {
				beaten = time.Now()
				_ = os.Chtimes(h.file.Name(), time.Time{}, now()) // without it, the last entry has to do
			}
		}
	})
}

// Gone is ErrGone with details while the directory is not there; else nil.
func (h *Home) Gone() error {
	if err := h.gone.Load(); err != nil {
		return *err
	}
	return nil
}

// look checks that the directory is still the one that was opened.
func (h *Home) look() error {
	h.looked.Store(int64(time.Since(h.began)))
	now, err := os.Stat(h.file.Name())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: %s was deleted or unmounted while it was in use. Paid requests are refused. Stop the gateway, bring the directory back or restore a backup, and start again", ErrGone, h.Dir)
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrGone, err)
	case !os.SameFile(now, h.info):
		err = fmt.Errorf("%w: there is another directory at %s now. Paid requests are refused. Restart the gateway if that is the right one", ErrGone, h.Dir)
	}
	if err == nil {
		h.gone.Store(nil)
		return nil
	}
	h.gone.Store(&err)
	return err
}

// Update implements store.Store. A directory that is gone takes nothing: what was
// written to its open files would be lost with them.
func (h *Home) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	if time.Since(h.began)-time.Duration(h.looked.Load()) > lookEvery {
		_ = h.look()
	}
	if err := h.Gone(); err != nil {
		return err
	}
	return h.Store.Update(ctx, accounts, fn)
}

// Close implements store.Store.
func (h *Home) Close() error {
	h.once.Do(func() { close(h.stop) })
	h.done.Wait()
	return errors.Join(h.Store.Close(), h.file.Close())
}

// lastSeen is when the identity file got the time, or else when the newest file in
// the directory was written.
func lastSeen(dir string) (at time.Time) {
	if info, err := os.Stat(filepath.Join(dir, identityFile)); err == nil {
		return info.ModTime()
	}
	for _, t := range times(dir) {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// oldest is when the first file in the directory was written.
func oldest(dir string) time.Time {
	at := time.Now()
	for _, t := range times(dir) {
		if t.Before(at) {
			at = t
		}
	}
	return at
}

// times are those of the files in a data directory and in its log.
func times(dir string) (list []time.Time) {
	for _, pattern := range []string{"*", "log/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			continue
		}
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && filepath.Base(name) != "LOCK" {
				list = append(list, info.ModTime())
			}
		}
	}
	return list
}

var _ store.Store = (*Home)(nil)
