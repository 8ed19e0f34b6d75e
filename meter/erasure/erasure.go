// Package erasure takes a person out of the ledger, which still adds up and verifies
// afterwards.
package erasure

import (
	"context"
	"errors"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/upkeep"
)

// Rule is what happens to the records of a kind.
type Rule byte

// Rules.
const (
	Anonymised Rule = iota + 1 // they stay, without what names people
	Deleted                    // those of the account
	None                       // there are none of an account without open requests
	Ids                        // they stay: ids of accounts and of what upstreams made
	Others                     // they are of the operator
)

// Rules say what becomes of each kind of record. A kind that is not here would be
// forgotten: a test compares them with store.Kinds.
var Rules = map[store.Kind]Rule{
	store.Account: Anonymised, store.Usage: Anonymised, store.Key: Anonymised, store.Checkpoint: Anonymised,
	store.Charge: Deleted, store.Entry: Deleted, store.Idempotency: Deleted, store.Member: Deleted, store.Profile: Deleted, store.Notice: Deleted, store.Outbox: Deleted,
	store.Delivery: Deleted, store.Endpoint: Deleted, store.Session: Deleted, store.SessionEnd: Deleted, store.SessionsOf: Deleted,
	store.Hold: None, store.Job: None,
	store.KeyOf: Ids, store.Owned: Ids, store.UpstreamID: Ids,
	store.Book: Others, store.Operator: Others, store.Meta: Others, store.Gateway: Others,
}

// Of is what an erasure works on.
type Of struct {
	Accounts  *account.Accounts
	Directory *directory.Directory
	Events    *event.Hub
	Upkeep    *upkeep.Upkeep
}

// Account closes an account and erases what names people in it. The account's id, what
// it has and had, and its usage by time, operation and model stay. by is who asked for
// it, for the entry that stays. The error wraps ledger.ErrNotSettled while requests of
// the account run; then, and after any other error, call it again.
func (o *Of) Account(ctx context.Context, id, by string) error {
	if _, err := o.Accounts.Close(ctx, id, ""); err != nil {
		return err
	}
	if err := o.Upkeep.Erase(ctx, id, by); err != nil {
		return err
	}
	err := errors.Join(o.Directory.Sessions.Erase(ctx, id), o.Directory.Keys.Erase(ctx, id), o.Directory.Members.Erase(ctx, id), o.Directory.Profiles.Erase(ctx, id))
	if err == nil {
		err = o.Events.Erase(ctx, id) // last: what came before may have posted events
	}
	return err
}
