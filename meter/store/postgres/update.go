package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/farebox-dev/farebox/meter/store"
)

// maxUpdate is how many bytes one update writes at most.
const maxUpdate = 64 << 20

// Update implements store.Store. What it locks are the accounts, and what belongs to
// none.
func (s *Store) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	a := &store.Ahead{Locks: append([]string{store.Common}, accounts...)}
	return s.UpdateAhead(ctx, a, func(tx store.SharedTx) error { return fn(tx) })
}

// UpdateAhead implements store.Shared.
func (s *Store) UpdateAhead(ctx context.Context, a *store.Ahead, fn func(tx store.SharedTx) error) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	t := &tx{ahead: map[string][]byte{}}
	t.reader = &reader{s: s, ctx: ctx, conn: conn}
	t.Overlay = store.Overlay{Snapshot: (*known)(t), Own: map[string][]byte{}}
	sound := false
	defer func() { give(conn, sound) }()
	if err := t.begin(a); err != nil {
		return s.explain(err)
	}
	if err := errors.Join(fn(t), t.failed); err != nil {
		sound = s.rollback(ctx, conn)
		return err
	}
	if err := t.commit(); err != nil {
		return s.explain(err)
	}
	sound = true
	return nil
}

func (s *Store) rollback(ctx context.Context, conn *pgxpool.Conn) bool {
	ctx, cancel := s.within(context.WithoutCancel(ctx))
	defer cancel()
	_, err := conn.Exec(ctx, "ROLLBACK")
	return err == nil
}

// tx is an update that runs. What it was asked to read ahead is in memory.
type tx struct {
	store.Overlay
	reader *reader
	now    time.Time
	ahead  map[string][]byte // by key; nil is a record that does not exist
	ranges []span            // read whole
	failed error             // a write that did not fit, whether fn looked or not
	size   int
}

// span is the records of one kind and account, in order.
type span struct {
	store.ID
	rows []row
}

// Now implements store.SharedTx.
func (t *tx) Now() time.Time { return t.now }

// Put implements store.Tx.
func (t *tx) Put(id store.ID, value []byte) error {
	if t.size += id.Len() + len(value); t.size > maxUpdate {
		t.failed = store.ErrTooBig
		return t.failed
	}
	return t.Overlay.Put(id, value)
}

// Fetch implements store.Fetcher.
func (t *tx) Fetch(ids []store.ID) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id store.ID) bool {
		_, asked := t.ahead[string(id.Bytes())]
		return asked
	})
	for i, keys := range t.split(ids) {
		if len(keys) == 0 {
			continue
		}
		rows, err := t.reader.query(t.reader.s.sql.get[i], keys)
		if err != nil {
			return err
		}
		for _, x := range rows {
			t.ahead[string(x.key)] = x.value
		}
	}
	return nil
}

// begin is the first round trip.
func (t *tx) begin(a *store.Ahead) error {
	s, batch := t.reader.s, &pgx.Batch{}
	var reads []func(pgx.Rows) error
	queue := func(read func(pgx.Rows) error, sql string, args ...any) {
		batch.Queue(sql, args...)
		reads = append(reads, read)
	}
	none := func(pgx.Rows) error { return nil }
	queue(none, "BEGIN")
	queue(none, s.sql.limits)
	if len(a.Locks) > 0 {
		queue(none, s.sql.locks, s.locks(a.Locks))
	}
	queue(t.readClock, s.sql.clock) // after the locks: whoever had them before has an earlier time
	for i, keys := range t.split(a.Records) {
		if len(keys) > 0 {
			queue(t.readRecords, s.sql.get[i], keys)
		}
	}
	for _, id := range a.Ranges {
		t.ranges = append(t.ranges, span{ID: id})
	}
	for i := range 2 {
		low, high := t.spans(i)
		if len(low) > 0 {
			queue(t.readRanges, s.sql.ranges[i], low, high)
		}
	}
	ctx, cancel := s.within(t.reader.ctx)
	defer cancel()
	return run(ctx, t.reader.conn, batch, func(i int, rows pgx.Rows) error { return reads[i](rows) })
}

// locks are the numbers of names, in order and each once: all take them in the
// same order, so that no two wait for each other.
func (s *Store) locks(names []string) []int64 {
	list := make([]int64, len(names))
	for i, n := range names {
		list[i] = s.lock(n)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// split are the keys of ids, by table.
func (t *tx) split(ids []store.ID) (keys [2][][]byte) {
	for _, id := range ids {
		key := id.Bytes()
		t.ahead[string(key)] = nil
		i := tableOf(id.Kind)
		keys[i] = append(keys[i], key)
	}
	return keys
}

func tableOf(k store.Kind) int {
	if inHistory(k) {
		return 1
	}
	return 0
}

func (t *tx) spans(table int) (low, high [][]byte) {
	for i := range t.ranges {
		if tableOf(t.ranges[i].Kind) == table {
			from, to := bounds(t.ranges[i].ID, true)
			low, high = append(low, from), append(high, to)
		}
	}
	return low, high
}

func (t *tx) readClock(rows pgx.Rows) error {
	var version int
	if !rows.Next() {
		return errors.Join(fmt.Errorf("%w: there is no version in the database", ErrOtherSchema), rows.Err())
	}
	if err := rows.Scan(&t.now, &version); err != nil {
		return err
	}
	if version != len(steps) {
		return otherSchema(version)
	}
	t.now = t.now.UTC()
	return nil
}

func (t *tx) readRecords(rows pgx.Rows) error {
	list, err := appendRows(nil, rows)
	for _, x := range list {
		t.ahead[string(x.key)] = x.value
	}
	return err
}

func (t *tx) readRanges(rows pgx.Rows) error {
	list, err := appendRows(nil, rows)
	at := map[string]int{}
	for i := range t.ranges {
		at[string(t.ranges[i].Bytes())] = i
	}
	for _, x := range list {
		id, ok := store.ParseKey(string(x.key))
		if i, asked := at[string(store.ID{Kind: id.Kind, Account: id.Account}.Bytes())]; ok && asked {
			t.ranges[i].rows = append(t.ranges[i].rows, x)
		}
	}
	return err
}

// commit is the second round trip.
func (t *tx) commit() error {
	s, batch := t.reader.s, &pgx.Batch{}
	var keys, values, removed [2][][]byte
	for _, key := range slices.Sorted(maps.Keys(t.Own)) { // all write in the same order
		i := tableOf(store.Kind(key[0]))
		if v := t.Own[key]; v == nil {
			removed[i] = append(removed[i], []byte(key))
		} else {
			keys[i], values[i] = append(keys[i], []byte(key)), append(values[i], v)
		}
	}
	for i := range 2 {
		if len(keys[i]) > 0 {
			batch.Queue(s.sql.put[i], keys[i], values[i])
		}
		if len(removed[i]) > 0 {
			batch.Queue(s.sql.remove[i], removed[i])
		}
	}
	if kinds := t.watched(); len(kinds) > 0 {
		batch.Queue(s.sql.changed, kinds)
	}
	batch.Queue("COMMIT")
	ctx, cancel := s.within(t.reader.ctx)
	defer cancel()
	return run(ctx, t.reader.conn, batch, nil)
}

// watched are the kinds of which processes have records in memory and that are changed.
func (t *tx) watched() (kinds []string) {
	for _, k := range store.Watched {
		for key := range t.Own {
			if key[0] == byte(k) {
				kinds = append(kinds, string(rune(k)))
				break
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// known is what a tx has read ahead, and behind it the database.
type known tx

// Get implements store.Snapshot.
func (k *known) Get(id store.ID) ([]byte, error) {
	key := id.Bytes()
	v, asked := k.ahead[string(key)]
	if !asked {
		rows := k.span(id)
		if rows == nil {
			return k.reader.Get(id)
		}
		if i, ok := slices.BinarySearchFunc(rows.rows, key, byKey); ok {
			v = rows.rows[i].value
		}
	}
	if v == nil {
		return nil, store.ErrNotFound
	}
	return v, nil
}

func byKey(x row, key []byte) int { return bytes.Compare(x.key, key) }

// span is what was read ahead of an id's kind and account, or nil.
func (k *known) span(id store.ID) *span {
	for i := range k.ranges {
		if r := &k.ranges[i]; r.Kind == id.Kind && r.Account == id.Account {
			return r
		}
	}
	return nil
}

// Scan implements store.Snapshot.
func (k *known) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	r := k.span(from)
	if r == nil || !only {
		return k.reader.Scan(from, only, fn)
	}
	i, _ := slices.BinarySearchFunc(r.rows, from.Bytes(), byKey)
	for _, x := range r.rows[i:] {
		id, _ := store.ParseKey(string(x.key))
		if err := fn(id, x.value); errors.Is(err, store.ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// ScanBack implements store.Snapshot.
func (k *known) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	return k.reader.ScanBack(from, fn)
}
