package writer

import (
	"context"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Companion is what belongs to a command but not to the ledger, such as the keys and
// members of an account that is imported. Both are in one commit, or neither is.
type Companion struct {
	// Check, if set, runs before the command. Its error is that of the command, which
	// then does nothing.
	Check func(store.Snapshot) error
	// Write, if set, runs after a command that did something. Its error fails the commit.
	Write func(store.Tx) error
}

// Go is Writer.Go with a companion. What cannot be written fails at once: the caller
// reports it, and sends it again.
func (with *Companion) Go(ctx context.Context, w *Writer, account ledger.AccountID, c ledger.Command, then func(ledger.Result, error)) {
	j := &job{account: account, command: c, with: with, answer: then, soon: true, last: true}
	err := w.Patience.stuck()
	if err == nil {
		err = w.send(ctx, j)
	}
	if err != nil {
		then(ledger.Result{}, err)
	}
}

// refused reports whether the companion of a command refuses it.
func (j *job) refused(s store.Snapshot) bool {
	if j.with == nil || j.with.Check == nil {
		return false
	}
	j.err = j.with.Check(s)
	return j.err != nil
}

// accompany writes the companion of a command that did something.
func (j *job) accompany(tx store.Tx) error {
	if j.with == nil || j.with.Write == nil || j.err != nil || j.result.Replayed {
		return nil
	}
	return j.with.Write(tx)
}

// ImportedBefore reports whether an account was imported before with the same hash;
// else the error is ledger.ErrAccountExists.
func ImportedBefore(s store.Snapshot, c ledger.Import) (bool, error) {
	r, err := remembered(s, c.ID, importKeys, ledger.ImportKey)
	if err == nil && (r == nil || r.Hash != c.Hash) {
		err = ledger.ErrAccountExists
	}
	return err == nil, err
}

// GrantedBefore is the grant under an idempotency key of an account, or nil.
func GrantedBefore(s store.Snapshot, account ledger.AccountID, key string) (*ledger.Remembered, error) {
	if key == "" {
		return nil, nil
	}
	return remembered(s, account, grantKeys, key)
}
