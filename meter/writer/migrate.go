package writer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// formatVersion is the layout of records in a store. What changes it adds a
// migration.
const formatVersion = 2

// migration turns a store of format from into one of the next. It may be cut
// off anywhere and run again, from the start: it writes what it comes to, never
// what it adds. Only when it has ended does the store have the new format.
type migration struct {
	from int
	what string
	run  func(ctx context.Context, s store.Store) error
}

// migrations are all there are, in order.
var migrations = []migration{
	{1, "usage sums, from all charges", func(ctx context.Context, s store.Store) error { return rebuildUsage(ctx, s, 500) }},
}

// ErrNoLedger: there is nothing in the store.
var ErrNoLedger = errors.New("there is no ledger here")

var formatID = store.ID{Kind: store.Meta, Name: "format"}

// Format is the format of a store; ErrNoLedger if nothing was ever written to it.
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
	case format < formatVersion:
		return fmt.Errorf("%w: it has format %d, this version of farebox reads and writes format %d; stop the gateway and run: farebox meter migrate --data <dir>   (it makes a backup first)",
			ErrOtherFormat, format, formatVersion)
	case format > formatVersion:
		return fmt.Errorf("%w: it has format %d, which a newer version of farebox has written; this version reads and writes format %d. Use the newer version, or restore a backup of before",
			ErrOtherFormat, format, formatVersion)
	}
	return nil
}

// Migrate brings a store that nobody else uses to the newest format, one step
// after the other. Cut off anywhere, it can be run again. progress, if not nil,
// is told of each step before it begins.
func Migrate(ctx context.Context, s store.Store, progress func(from, to int, what string)) error {
	format, err := Format(ctx, s)
	if err != nil {
		return err
	}
	if format > formatVersion {
		return fits(format)
	}
	for format < formatVersion {
		i := slices.IndexFunc(migrations, func(m migration) bool { return m.from == format })
		if i < 0 {
			return fmt.Errorf("%w: there is no way from format %d to %d", ErrOtherFormat, format, formatVersion)
		}
		m := &migrations[i]
		if progress != nil {
			progress(format, format+1, m.what)
		}
		if err := m.run(ctx, s); err != nil {
			return fmt.Errorf("migrating format %d to %d (%s): %w", format, format+1, m.what, err)
		}
		format++
		err := s.Update(ctx, nil, func(tx store.Tx) error { return tx.Put(formatID, []byte(strconv.Itoa(format))) })
		if err != nil {
			return fmt.Errorf("writing format %d: %w", format, err)
		}
	}
	return nil
}

// rebuildUsage makes every account's usage sums anew from its charges, in
// commits of at most most records.
func rebuildUsage(ctx context.Context, s store.Store, most int) error {
	var accounts []string
	err := s.View(ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Account}, false, func(id store.ID, _ []byte) error {
			accounts = append(accounts, id.Account)
			return nil
		})
	})
	for _, account := range accounts {
		if err == nil {
			err = rebuildUsageOf(ctx, s, account, most)
		}
	}
	return err
}

// edit is a record to be written; without a value, to be deleted.
type edit struct {
	id    store.ID
	value []byte
}

func rebuildUsageOf(ctx context.Context, s store.Store, account string, most int) error {
	var edits []edit
	err := s.View(ctx, func(v store.Snapshot) (err error) {
		edits, err = usageEdits(v, account)
		return err
	})
	if err != nil {
		return fmt.Errorf("account %s: %w", account, err)
	}
	for part := range slices.Chunk(edits, most) {
		err := s.Update(ctx, []string{account}, func(tx store.Tx) error {
			for _, e := range part {
				if err := e.write(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("account %s: %w", account, err)
		}
	}
	return nil
}

func (e *edit) write(tx store.Tx) error {
	if e.value == nil {
		return tx.Delete(e.id)
	}
	return tx.Put(e.id, e.value)
}

// usageEdits is what is different between an account's usage sums and what its
// charges come to, in order.
func usageEdits(v store.Snapshot, account string) (edits []edit, err error) {
	want := used{}
	err = v.Scan(store.ID{Kind: store.Charge, Account: account}, true, func(id store.ID, value []byte) error {
		c, err := ledger.DecodeCharge(value)
		if err != nil {
			return fmt.Errorf("charge %s: %w", id.Name, err)
		}
		want.add(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = v.Scan(store.ID{Kind: store.Usage, Account: account}, true, func(id store.ID, value []byte) error {
		switch s := want[id.Name]; {
		case s == nil:
			edits = append(edits, edit{id: id})
		case bytes.Equal(value, s.Append(nil)):
			delete(want, id.Name) // it is there already
		}
		return nil
	})
	for name, s := range want {
		edits = append(edits, edit{store.ID{Kind: store.Usage, Account: account, Name: name}, s.Append(nil)})
	}
	slices.SortFunc(edits, func(a, b edit) int { return bytes.Compare(a.id.Bytes(), b.id.Bytes()) })
	return edits, err
}
