package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/farebox-dev/farebox/meter/store"
)

// reader reads records in a transaction that its owner ends. Several goroutines may use
// it: they take turns on the connection, page by page.
type reader struct {
	s   *Store
	ctx context.Context //nolint:containedctx // as long as the transaction

	mu     sync.Mutex // guards all below
	conn   *pgxpool.Conn
	begin  []string // statements that are sent with the first read
	failed error    // of the transaction: nothing more can be read
	trips  int      // how often it was read
}

// View implements store.Store. The transaction begins with the first read.
func (s *Store) View(ctx context.Context, fn func(store.Snapshot) error) (err error) {
	r := &reader{s: s, ctx: ctx, begin: []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", s.sql.looks}}
	defer func() { r.end(err == nil) }()
	return fn(r)
}

// end ends the transaction of a view.
func (r *reader) end(sound bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return
	}
	conn := r.conn
	r.conn, r.failed = nil, errors.Join(r.failed, errEnded)
	if !sound {
		give(conn, false)
		return
	}
	go func() { // its caller need not wait for that
		ctx, cancel := r.s.within(context.Background())
		defer cancel()
		_, err := conn.Exec(ctx, "COMMIT")
		give(conn, err == nil)
	}()
}

var errEnded = errors.New("the view of the database has ended")

// row is a record as it is stored.
type row struct{ key, value []byte }

// query reads the rows of one statement.
func (r *reader) query(sql string, args ...any) (list []row, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return nil, r.failed
	}
	r.trips++
	if r.conn != nil {
		list, err = r.send(sql, args)
	} else {
		for range firstTries {
			if list, err = r.first(sql, args); !errors.Is(err, store.ErrAgain) {
				break
			}
		}
	}
	r.failed = err
	return list, err
}

// firstTries is how often the first read of a view is sent. Connections that were idle
// may have been cut, and nothing was read from them yet.
const firstTries = 3

// first begins the transaction with the first read.
func (r *reader) first(sql string, args []any) (list []row, err error) {
	if r.conn, err = r.s.acquire(r.ctx); err != nil {
		return nil, err
	}
	if list, err = r.send(sql, args, r.begin...); err != nil {
		give(r.conn, false)
		r.conn = nil
	}
	return list, err
}

// send sends a read, behind other statements.
func (r *reader) send(sql string, args []any, before ...string) (list []row, err error) {
	batch := &pgx.Batch{}
	for _, x := range before {
		batch.Queue(x)
	}
	batch.Queue(sql, args...)
	ctx, cancel := r.s.within(r.ctx)
	defer cancel()
	err = run(ctx, r.conn, batch, func(i int, rows pgx.Rows) error {
		if i == len(before) {
			list, err = appendRows(list, rows)
		}
		return err
	})
	return list, r.s.explain(err)
}

func appendRows(list []row, rows pgx.Rows) ([]row, error) {
	for rows.Next() {
		var x row
		if err := rows.Scan(&x.key, &x.value); err != nil {
			return list, err
		}
		list = append(list, x)
	}
	return list, rows.Err()
}

// Get implements store.Snapshot.
func (r *reader) Get(id store.ID) ([]byte, error) {
	list, err := r.query("SELECT key, value FROM "+r.s.table(id.Kind)+" WHERE key = $1", id.Bytes())
	if err == nil && len(list) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0].value, nil
}

// Pages of a scan: most scans end after a few records, the others read everything.
const (
	firstPage = 32
	mostPage  = 2048
)

// Scan implements store.Snapshot.
func (r *reader) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	_, high := bounds(from, only)
	return r.scan("SELECT key, value FROM "+r.s.table(from.Kind)+" WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3", from.Bytes(), high,
		func(last []byte) (low, to []byte) { return append(last, 0), high }, fn)
}

// ScanBack implements store.Snapshot.
func (r *reader) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	low, high := bounds(store.ID{Kind: from.Kind, Account: from.Account}, true)
	if from.Name != "" {
		high = from.Bytes()
	}
	return r.scan("SELECT key, value FROM "+r.s.table(from.Kind)+" WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3", low, high,
		func(last []byte) (from, to []byte) { return low, last }, fn)
}

// scan reads page after page; rest is what is left behind a record.
func (r *reader) scan(sql string, low, high []byte, rest func(last []byte) (low, high []byte), fn func(store.ID, []byte) error) error {
	for size := firstPage; ; size = min(4*size, mostPage) {
		page, err := r.query(sql, low, high, size)
		if err != nil {
			return err
		}
		for _, x := range page {
			id, ok := store.ParseKey(string(x.key))
			if !ok {
				continue
			}
			if err := fn(id, x.value); errors.Is(err, store.ErrStop) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if len(page) < size {
			return nil
		}
		low, high = rest(page[len(page)-1].key)
	}
}

// bounds are the keys that a scan reads: from the first up to, not with, the second.
func bounds(from store.ID, only bool) (low, high []byte) {
	if !only {
		return from.Bytes(), []byte{byte(from.Kind), '/' + 1}
	}
	high = store.ID{Kind: from.Kind, Account: from.Account}.Bytes()
	high[len(high)-1] = 1 // behind the NUL that ends the account
	return from.Bytes(), high
}

// Versions implements store.Shared.
func (s *Store) Versions(ctx context.Context) (map[store.Kind]uint64, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, s.sql.times)
	if err != nil {
		return nil, s.explain(err)
	}
	all := map[store.Kind]uint64{}
	var kind string
	var times int64
	_, err = pgx.ForEachRow(rows, []any{&kind, &times}, func() error {
		all[store.Kind(kind[0])] = uint64(times) //nolint:gosec // a count
		return nil
	})
	return all, s.explain(err)
}
