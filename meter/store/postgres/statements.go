package postgres

import (
	"fmt"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
)

// statements are those of every update, with the names of the tables in them.
type statements struct {
	limits  string // of an update
	looks   string // of a view, which can last: a backup is read as slowly as it is written
	locks   string
	clock   string
	get     [2]string // of records, of history
	ranges  [2]string
	put     [2]string
	remove  [2]string
	changed string
	times   string
}

func newStatements(schema string, timeout time.Duration) statements {
	ms := strconv.FormatInt(timeout.Milliseconds(), 10)
	half := strconv.FormatInt(timeout.Milliseconds()/2, 10)
	// Plans must not depend on how large the tables were when they were last analysed. A plan
	// that seems expensive would be compiled for 30 ms, each time.
	limits := func(idle string) string {
		return "SELECT set_config('statement_timeout', '" + ms + "', true), set_config('lock_timeout', '" + half + "', true)," +
			" set_config('idle_in_transaction_session_timeout', '" + idle + "', true), set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true)"
	}
	x := statements{
		limits:  limits(ms),
		looks:   limits("1h"),
		locks:   "SELECT count(pg_advisory_xact_lock(k)) FROM unnest($1::bigint[]) AS k",
		clock:   "SELECT clock_timestamp(), version FROM " + schema + ".version",
		changed: "INSERT INTO " + schema + ".changes AS c SELECT unnest($1::text[]), 1 ON CONFLICT (kind) DO UPDATE SET times = c.times + 1",
		times:   "SELECT kind, times FROM " + schema + ".changes",
	}
	for i, table := range []string{schema + ".records", schema + ".history"} {
		x.get[i] = "SELECT key, value FROM " + table + " WHERE key = ANY($1::bytea[])"
		x.ranges[i] = fmt.Sprintf("SELECT r.key, r.value FROM unnest($1::bytea[], $2::bytea[]) AS s(low, high) CROSS JOIN LATERAL"+
			" (SELECT key, value FROM %s WHERE key >= s.low AND key < s.high ORDER BY key) AS r", table)
		x.put[i] = "INSERT INTO " + table + " AS r SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
		x.remove[i] = "DELETE FROM " + table + " WHERE key = ANY($1::bytea[])"
	}
	return x
}

// lock is the number of a name's lock. It is the same in every process, and another one
// in another schema of the same database. Two names that share a number only wait for
// each other.
func (s *Store) lock(name string) int64 {
	return int64(xxhash.Sum64String(s.schema + "\x00" + name)) //nolint:gosec // any number will do
}
