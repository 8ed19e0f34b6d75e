// Package ledger holds every rule about credits in one pure function:
//
//	Apply(account, command, now, terms) → entries, result
//
// No clock, no randomness, no I/O, no map order. A rule decides, writes what it
// decided into an Entry, and the Entry alone changes the account (see fold), so
// the state of an account is always the fold of its journal. Production, the
// simulation and verification run the same code; a store only keeps what comes
// out of it.
//
// Every Entry moves amounts between books and sums to zero:
//
//	issued · available:g · held:g · spent · expired · revoked · overage · debt · absorbed
package ledger
