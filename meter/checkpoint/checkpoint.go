// Package checkpoint is what stays of the first entries of a journal when they leave
// the ledger: the account as it was behind them, and what they and their charges came
// to. The rest of the journal is verified from there.
package checkpoint

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/usage"
)

// Checkpoint stands for the entries of an account up to Account.Seq.
type Checkpoint struct {
	// Account is the account behind the last of them, with the holds that were open
	// then. Its Head is the hash that the next entry continues.
	Account *ledger.Account
	Made    time.Time
	Entries int // that left, ever
	Charges int // that left, ever
	// Kept are charges that stay although entries of theirs have left, because
	// something was booked on them later: what they had cost by those entries.
	Kept map[ledger.ChargeID]money.Amount
	// Used is what the charges that left have used, and Digest the sum of it over the
	// rows of the usage, which stay.
	Used   usage.Sum
	Digest Digest
}

// Start is the checkpoint of a journal of which nothing has left.
func Start(id ledger.AccountID) *Checkpoint {
	return &Checkpoint{Account: &ledger.Account{ID: id, Holds: map[ledger.ChargeID]*ledger.Charge{}}, Kept: map[ledger.ChargeID]money.Amount{}}
}

// Since is from when on an account has its entries and charges; zero: all of them.
func (c *Checkpoint) Since() time.Time { return c.Account.Clock }

// ID is where the checkpoint of an account is stored.
func ID(account ledger.AccountID) store.ID {
	return store.ID{Kind: store.Checkpoint, Account: string(account)}
}

// Read is the checkpoint of an account, or Start if nothing has left.
func Read(s store.Snapshot, account ledger.AccountID) (*Checkpoint, error) {
	raw, err := s.Get(ID(account))
	if errors.Is(err, store.ErrNotFound) {
		return Start(account), nil
	}
	if err != nil {
		return nil, err
	}
	c, err := Decode(raw)
	if err == nil && c.Account.ID != account {
		err = fmt.Errorf("%w: it is of account %s", ErrDamaged, c.Account.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint of account %s: %w", account, err)
	}
	return c, nil
}

// Left reports whether a charge that is not in the ledger is older than what the
// ledger keeps of its account.
func Left(s store.Snapshot, account ledger.AccountID, id ledger.ChargeID) (bool, error) {
	made, ok := ulid.Time(ledger.ChargePrefix, string(id))
	if !ok {
		return false, nil
	}
	c, err := Read(s, account)
	return err == nil && !made.After(c.Since()), err
}

// ErrDamaged: a checkpoint is not as it was written.
var ErrDamaged = errors.New("the checkpoint is damaged")

// version is the first byte of a record: those of other versions are refused.
const version = 1

// stored is a record: JSON, behind it its SHA-256.
type stored struct {
	Made    time.Time                        `json:"made"`
	State   []byte                           `json:"state"`
	Holds   [][]byte                         `json:"holds,omitempty"`
	Entries int                              `json:"entries"`
	Charges int                              `json:"charges"`
	Kept    map[ledger.ChargeID]money.Amount `json:"kept,omitempty"`
	Used    []byte                           `json:"used"`
	Digest  Digest                           `json:"digest"`
}

// Encode is the record of c.
func (c *Checkpoint) Encode() ([]byte, error) {
	s := stored{
		Made: c.Made.UTC(), State: ledger.AppendAccount(nil, c.Account), Entries: c.Entries, Charges: c.Charges, Kept: c.Kept,
		Used: c.Used.Append(nil), Digest: c.Digest,
	}
	for _, h := range c.Account.HoldsInOrder() {
		s.Holds = append(s.Holds, ledger.AppendCharge(nil, h))
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return append(append([]byte{version}, text...), sum[:]...), nil
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*Checkpoint, error) {
	if len(b) < 1+sha256.Size || b[0] != version {
		return nil, ErrDamaged
	}
	text := b[1 : len(b)-sha256.Size]
	if sum := sha256.Sum256(text); string(sum[:]) != string(b[len(b)-sha256.Size:]) {
		return nil, fmt.Errorf("%w: its checksum does not match", ErrDamaged)
	}
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, errors.Join(ErrDamaged, err)
	}
	a, err := ledger.DecodeAccount(s.State)
	if err != nil {
		return nil, errors.Join(ErrDamaged, err)
	}
	for _, raw := range s.Holds {
		h, err := ledger.DecodeCharge(raw)
		if err != nil {
			return nil, errors.Join(ErrDamaged, err)
		}
		a.Holds[h.ID] = h
	}
	used, err := usage.Decode(s.Used)
	if err != nil {
		return nil, errors.Join(ErrDamaged, err)
	}
	if s.Kept == nil {
		s.Kept = map[ledger.ChargeID]money.Amount{}
	}
	return &Checkpoint{Account: a, Made: s.Made, Entries: s.Entries, Charges: s.Charges, Kept: s.Kept, Used: used, Digest: s.Digest}, nil
}
