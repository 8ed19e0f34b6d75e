package store

import (
	"context"
	"errors"
	"time"
)

// ErrAgain: an update of a Shared store failed for a reason that passes, such as a
// connection that was cut. It may have been committed all the same: what is sent again
// must find out.
var ErrAgain = errors.New("the database did not answer; the same can be sent again")

// Shared is a Store that several processes write to at the same time. Nothing that was
// read in an earlier update is still true in the next one.
type Shared interface {
	Store
	// UpdateAhead is Update that locks names and reads records in the round trip that
	// begins it. Two updates that lock the same name run one after the other. fn runs
	// once: after an error that wraps ErrAgain the caller decides.
	UpdateAhead(ctx context.Context, a *Ahead, fn func(tx SharedTx) error) error
	// Versions is how often records of each watched kind were changed, by any process.
	Versions(ctx context.Context) (map[Kind]uint64, error)
}

// Ahead is what an update of a Shared store locks, and reads at once.
type Ahead struct {
	// Locks are names, usually ids of accounts: whoever changes what belongs to an
	// account locks its id. Common is the lock of what belongs to no account.
	Locks []string
	// Records are read in any case, whether they exist or not.
	Records []ID
	// Ranges are read whole: all records of that kind and account.
	Ranges []ID
}

// Common is the name that an update locks which changes what belongs to no account.
const Common = ""

// SharedTx is a Tx of a Shared store.
type SharedTx interface {
	Tx
	// Now is the time of the database's clock, read when all names were locked.
	Now() time.Time
}

// Watched are the kinds of records whose changes Versions counts: those that processes
// keep in memory, and that hardly ever change.
var Watched = []Kind{Key, Member, Operator, Profile, Endpoint, Job, Book}

// Fetcher is a SharedTx for which each Get is a round trip, unless it was read ahead.
type Fetcher interface {
	// Fetch reads records ahead of their Get, all in one round trip.
	Fetch(ids []ID) error
}
