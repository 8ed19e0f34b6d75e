package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/farebox-dev/farebox/meter/store"
)

// formatVersion is the layout of records in a store. What changes it adds a
// migration.
const formatVersion = 5

// sameRecords is the oldest format with the same records as formatVersion. A store
// of it becomes one of formatVersion when it is opened. Format 4 only says that
// records may be in the archive of package badger, where older versions do not look,
// and format 5 that entries may have left, for which there is a checkpoint.
const sameRecords = 3

// migration turns a store of format from into one of the next. It may be cut off
// anywhere and run again from its first step: a step skips what it finds done.
// Only after the last step does the store have the new format.
type migration struct {
	from  int
	steps []step
}

type step struct {
	what string
	run  func(m *migrating) error
}

// migrations are all there are, in order.
var migrations = []migration{
	{1, []step{{"usage sums", rebuildUsage}}},
	// Accounts and holds come first: without them, the version before this one can
	// neither start nor serve an account, so it cannot spoil a store that is half
	// migrated.
	{2, []step{
		{"accounts", rewriteAccounts},
		{"open holds", rewriteHolds},
		{"charges", rewriteCharges},
		{"idempotency keys", renameKeys},
		{"jobs and owners of upstream ids", moveOwned},
		{"usage sums", rebuildUsage},
	}},
	{3, nil},
	{4, nil},
}

// Progress says how far a migration is.
type Progress struct {
	From, To int    // formats
	Step     string // what is migrated
	Records  int    // written in this step so far; 0 when it begins
}

// ErrNoLedger: nothing was ever written to the store.
var ErrNoLedger = errors.New("there is no ledger here")

var formatID = store.ID{Kind: store.Meta, Name: "format"}

// Format is the format of a store, or ErrNoLedger.
func Format(ctx context.Context, s store.Store) (format int, err error) {
	err = s.View(ctx, func(v store.Snapshot) error {
		format, err = readFormat(v)
		return err
	})
	return format, err
}

// NewestFormat is the format that this version reads and writes.
func NewestFormat() int { return formatVersion }

func readFormat(v store.Snapshot) (int, error) {
	text, err := v.Get(formatID)
	if errors.Is(err, store.ErrNotFound) {
		return 0, ErrNoLedger
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%w: its format is %q, which no version of farebox writes; restore a backup", ErrOtherFormat, text)
	}
	return n, nil
}

// fits explains a format that this version does not read.
func fits(format int) error {
	switch {
	case format < sameRecords:
		return fmt.Errorf("%w: it has format %d, this version of farebox reads and writes format %d; stop the gateway and run: farebox meter migrate --data <dir>   (it makes a backup first)",
			ErrOtherFormat, format, formatVersion)
	case format > formatVersion:
		return fmt.Errorf("%w: it has format %d, which a newer version of farebox has written; this version reads and writes format %d. Use the newer version, or restore a backup that is older",
			ErrOtherFormat, format, formatVersion)
	}
	return nil
}

// Migrate brings a store that no other process uses to the newest format, step by
// step. If it is interrupted, run it again. progress, if not nil, is called when a
// step begins and after each of its commits.
func Migrate(ctx context.Context, s store.Store, progress func(Progress)) error {
	format, err := Format(ctx, s)
	if err != nil {
		return err
	}
	if format > formatVersion {
		return fits(format)
	}
	for ; format < formatVersion; format++ {
		i := slices.IndexFunc(migrations, func(m migration) bool { return m.from == format })
		if i < 0 {
			return fmt.Errorf("%w: no migration leads from format %d to %d", ErrOtherFormat, format, formatVersion)
		}
		for _, x := range migrations[i].steps {
			m := &migrating{ctx: ctx, store: s, told: progress, at: Progress{From: format, To: format + 1, Step: x.what}}
			m.wrote(0)
			if err := x.run(m); err != nil {
				return fmt.Errorf("migrating format %d to %d (%s): %w", format, format+1, x.what, err)
			}
		}
		err := s.Update(ctx, nil, func(tx store.Tx) error { return tx.Put(formatID, []byte(strconv.Itoa(format+1))) })
		if err != nil {
			return fmt.Errorf("writing format %d: %w", format+1, err)
		}
	}
	return nil
}

// migrating is a step that runs.
type migrating struct {
	ctx   context.Context //nolint:containedctx // as long as the step
	store store.Store
	told  func(Progress)
	at    Progress
}

func (m *migrating) wrote(records int) {
	m.at.Records += records
	if m.told != nil {
		m.told(m.at)
	}
}

// edit is a record to be written, or deleted if it has no value.
type edit struct {
	id    store.ID
	value []byte
}

// migrateAtOnce and migrateBytes bound a commit of a migration.
var migrateAtOnce = 500

const migrateBytes = 4 << 20

// rewrite commits, in batches, the edits that change returns for the records of a
// kind.
func (m *migrating) rewrite(kind store.Kind, change func(id store.ID, value []byte) ([]edit, error)) error {
	from, more := store.ID{Kind: kind}, true
	for more {
		more = false
		var edits []edit
		size := 0
		err := m.store.View(m.ctx, func(v store.Snapshot) error {
			return v.Scan(from, false, func(id store.ID, value []byte) error {
				if len(edits) >= migrateAtOnce || size > migrateBytes {
					from, more = id, true
					return store.ErrStop
				}
				list, err := change(id, value)
				if err != nil {
					return fmt.Errorf("record %q of account %q: %w", id.Name, id.Account, err)
				}
				edits, size = append(edits, list...), size+len(value)
				return nil
			})
		})
		if err == nil {
			err = m.commit(edits)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *migrating) commit(edits []edit) error {
	if len(edits) == 0 {
		return nil
	}
	err := m.store.Update(m.ctx, nil, func(tx store.Tx) error {
		for _, e := range edits {
			var err error
			if e.value == nil {
				err = tx.Delete(e.id)
			} else {
				err = tx.Put(e.id, e.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		m.wrote(len(edits))
	}
	return err
}
