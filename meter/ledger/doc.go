// Package ledger holds every rule about credits in one pure function:
//
//	Apply(account, command, now, terms) → entries, result
//
// It uses no clock, no randomness, no I/O and no map order. A rule writes what it
// decides into an Entry, and only an Entry changes the account (see Fold), so the
// state of an account is always the fold of its journal. Production, simulation
// and verification run the same code; a store only keeps the results.
//
// Every Entry moves amounts between books and sums to zero:
//
//	issued · available:g · held:g · spent · expired · revoked · overage · debt · absorbed
package ledger
