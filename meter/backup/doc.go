// Package backup writes and reads copies of a ledger that belong to no store: what
// one store wrote, every other can load.
//
// A backup is a file of blocks. The first is the header, as JSON; then come records
// in order of key, compressed; the last is the end mark, as JSON, which says how
// many records of each kind there are. Each block carries a checksum over itself and
// the checksum of the one before, so that a flipped bit, a missing block, blocks in
// another order and a file that was cut off are all found. Reader returns io.EOF only
// after the end mark was read and agreed with what came before it.
//
// An incremental backup holds what changed since another backup, which its header
// names. Full backups and their increments in one directory are a Series, from which
// the ledger can be restored as it was at each of them.
package backup
