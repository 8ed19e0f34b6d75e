// Package store is the interface of what keeps the ledger. A store knows no rule
// about credits.
package store

import (
	"context"
	"errors"
	"strings"
)

// ErrNotFound: no record has that id.
var ErrNotFound = errors.New("no such record")

// ErrTooBig: the update has more writes than one transaction can hold. Nothing was
// written; use several smaller updates.
var ErrTooBig = errors.New("too much for one transaction")

// Kind is the kind of a record. Records of a kind are stored together.
type Kind byte

// Kinds of records.
const (
	Account     Kind = 'a' // state of an account, without its open holds
	Hold        Kind = 'h' // open holds, by account and charge
	Charge      Kind = 'c' // resolved charges, by account and charge
	Entry       Kind = 'j' // the journal, by account and sequence
	Idempotency Kind = 'i' // results under idempotency keys, by account and key
	Key         Kind = 'k' // API keys, by hash
	KeyOf       Kind = 'l' // which API keys an account has, by account and hash
	Member      Kind = 'p' // members, by account and id
	Owned       Kind = 'o' // whose a grant is: id → account
	Job         Kind = 'q' // jobs that have not ended, by charge
	UpstreamID  Kind = 'f' // whose an upstream's id is, by kind and id
	Book        Kind = 'b' // price books, by digest
	Usage       Kind = 'u' // sums of what was used, by account, time and what it was for
	Session     Kind = 's' // portal sessions and links to them, by hash
	SessionEnd  Kind = 'e' // when sessions and links end, by time and hash
	SessionsOf  Kind = 't' // the sessions and links of each key or member
	Operator    Kind = 'r' // operators' keys, by hash
	Notice      Kind = 'n' // what an account was notified of, by account
	Outbox      Kind = 'x' // events that wait for delivery, in order
	Profile     Kind = 'v' // what operators have set for an account: labels, limits
	Endpoint    Kind = 'w' // webhooks of accounts, and endpoints that are off, by name
	Delivery    Kind = 'd' // deliveries of the last days, in order
	Gateway     Kind = 'g' // gateways that share the ledger, by id
	Meta        Kind = 'm' // format, decimals, clock
	Checkpoint  Kind = 'y' // what stays of the entries that have left, by account
)

// names of the kinds, in the order of their keys, and how many bytes one of their
// records may have. Records of the ledger grow with grants and allocations, whose
// number is not bounded, but not with texts; see ledger.Bounded.
var names = []struct {
	Kind
	plural string
	most   int
}{
	{Account, "accounts", 64 << 20}, {Book, "price books", 16 << 20}, {Charge, "charges", 4 << 20}, {Delivery, "deliveries", 256 << 10},
	{SessionEnd, "ends of sessions", 1 << 10}, {UpstreamID, "upstream ids", 4 << 10}, {Gateway, "gateways", 64 << 10}, {Hold, "open holds", 4 << 20},
	{Idempotency, "idempotency keys", 1 << 20}, {Entry, "entries", 4 << 20}, {Key, "API keys", 4 << 10}, {KeyOf, "API keys by account", 1 << 10},
	{Meta, "settings", 1 << 20}, {Notice, "notices", 64 << 10}, {Owned, "grants", 4 << 10}, {Member, "members", 16 << 10}, {Job, "jobs", 4 << 20},
	{Operator, "operator keys", 4 << 10}, {Session, "sessions", 64 << 10}, {SessionsOf, "sessions by key", 16 << 10}, {Usage, "usage sums", 64 << 10},
	{Profile, "profiles of accounts", 64 << 10}, {Endpoint, "endpoints", 64 << 10}, {Outbox, "events to deliver", 256 << 10},
	{Checkpoint, "checkpoints", 1 << 20},
}

// MostID is how many bytes an ID may have.
const MostID = 8 << 10

// Most is how many bytes a record of the kind may have; 0 if there is no such kind.
func (k Kind) Most() int {
	for i := range names {
		if names[i].Kind == k {
			return names[i].most
		}
	}
	return 0
}

// Kinds are all kinds, in the order of their keys: a scan of each of them reads
// everything.
func Kinds() []Kind {
	list := make([]Kind, len(names))
	for i, n := range names {
		list[i] = n.Kind
	}
	return list
}

// String is what the records of a kind are called, in the plural.
func (k Kind) String() string {
	for _, n := range names {
		if n.Kind == k {
			return n.plural
		}
	}
	return "records of kind " + string(k)
}

// ID addresses a record.
type ID struct {
	Kind    Kind
	Account string // "" for records that belong to no account
	Name    string
}

// Bytes is the key by which ordered stores sort: kind, account, name. Account ids
// contain no NUL.
func (id ID) Bytes() []byte { return id.Append(make([]byte, 0, id.Len())) }

// Append is Bytes, appended to b.
func (id ID) Append(b []byte) []byte {
	b = append(b, byte(id.Kind), '/')
	b = append(b, id.Account...)
	b = append(b, 0)
	return append(b, id.Name...)
}

// Len is the length of Bytes.
func (id ID) Len() int { return len(id.Account) + len(id.Name) + 3 }

// ParseID reads what Bytes wrote.
func ParseID(b []byte) (id ID, ok bool) { return ParseKey(string(b)) }

// ParseKey is ParseID of a key that does not change: the id keeps parts of it.
func ParseKey(key string) (id ID, ok bool) {
	if len(key) < 3 {
		return ID{}, false
	}
	account, name, ok := strings.Cut(key[2:], "\x00")
	return ID{Kind: Kind(key[0]), Account: account, Name: name}, ok
}

// Snapshot reads one consistent state.
type Snapshot interface {
	// Get is the record, or ErrNotFound. It must not be changed.
	Get(id ID) ([]byte, error)
	// Scan calls fn for each record of a kind, in order of account and name,
	// beginning at (account, name); with only it stays within that account. The
	// value is valid until fn returns. fn stops the scan with ErrStop.
	Scan(from ID, only bool, fn func(id ID, value []byte) error) error
	// ScanBack calls fn for the records of a kind and account whose names are
	// less than from's, or for all if it has no name, last first.
	ScanBack(from ID, fn func(id ID, value []byte) error) error
}

// ErrStop ends a Scan without an error.
var ErrStop = errors.New("stop")

// Tx is a Snapshot that sees and collects its own writes.
type Tx interface {
	Snapshot
	// Put copies the value.
	Put(id ID, value []byte) error
	Delete(id ID) error
}

// ErrFull: the disk is nearly full. What has begun can end; nothing new may begin.
var ErrFull = errors.New("the disk is nearly full")

// Space is the room on the disk of a store, in bytes.
type Space struct {
	Free, Total int64
	Needs       int64 // with less than that free, nothing new may begin
}

// OnDisk is a Store that knows how much room its disk has.
type OnDisk interface {
	// Space is the room on the disk, as it was some moments ago.
	Space() Space
	// Full is not nil while the disk is nearly full; then it wraps ErrFull. Updates
	// still succeed, as long as there is a byte left: they are for the end of what
	// has begun.
	Full() error
}

// Change is what an update did to a record.
type Change struct {
	ID      ID
	Value   []byte
	Deleted bool
}

// Feed is a Store that another one can follow: it gets every update, in order, some
// moments after it is durable.
type Feed interface {
	// Follow calls begin with a snapshot, and then next with each later update, until ctx
	// ends. It ends with ErrTooSlow if next does not keep up.
	Follow(ctx context.Context, begin func(Snapshot) error, next func(seq uint64, changes []Change) error) error
}

// ErrTooSlow: a follower is so far behind that it has to begin again.
var ErrTooSlow = errors.New("the follower is too slow")

// Compaction says how a store is made smaller.
type Compaction struct {
	Whole bool // all of it, however little that gains
	Paced bool // leaves half of the time to requests
}

// Compacter is a Store that can be made smaller while it is used. The error wraps
// ErrFull if there is no room for what it has to write before it can delete.
type Compacter interface {
	Compact(ctx context.Context, c Compaction) error
	// Size is how many bytes the store takes on its disk.
	Size() (int64, error)
}

// Store keeps records. Every method is safe for concurrent use.
type Store interface {
	// Update calls fn while no other update can change the named accounts, and
	// commits what fn wrote to tx, atomically and durably, before it returns. After
	// an error from fn or the commit the store is unchanged. fn may run again after
	// a conflict.
	Update(ctx context.Context, accounts []string, fn func(tx Tx) error) error
	// View reads a consistent snapshot.
	View(ctx context.Context, fn func(s Snapshot) error) error
	// Close releases the store. No other method may be running.
	Close() error
}
