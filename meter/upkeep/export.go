package upkeep

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/usage"
	"github.com/farebox-dev/farebox/meter/writer"
)

// An export is a compressed file of JSON lines: a head, the entries and the charges of
// one account after the other, and an end with their numbers.

type headLine struct {
	Type    string    `json:"type"` // head
	Ledger  string    `json:"ledger"`
	Before  time.Time `json:"before"`
	Written time.Time `json:"written"`
}

type endLine struct {
	Type    string `json:"type"` // end
	Entries int    `json:"entries"`
	Charges int    `json:"charges"`
}

// EntryLine is an entry of a journal in an export.
type EntryLine struct {
	Type     string           `json:"type"` // entry
	Account  ledger.AccountID `json:"account"`
	Seq      uint64           `json:"seq"`
	At       time.Time        `json:"at"`
	Kind     string           `json:"kind"`
	Charge   ledger.ChargeID  `json:"charge,omitempty"`
	Reason   string           `json:"reason,omitempty"`
	Postings []PostingLine    `json:"postings,omitempty"`
	// Record is the entry as it was stored. The SHA-256 of the hash of the entry before
	// it and of Record without its first byte and its last 32 is those 32.
	Record []byte `json:"record"`
}

// PostingLine is one side of an entry.
type PostingLine struct {
	Book   string         `json:"book"`
	Grant  ledger.GrantID `json:"grant,omitempty"`
	Amount string         `json:"amount"`
}

// ChargeLine is a charge in an export.
type ChargeLine struct {
	Type      string            `json:"type"` // charge
	Account   ledger.AccountID  `json:"account"`
	ID        ledger.ChargeID   `json:"id"`
	At        time.Time         `json:"at"`
	SettledAt time.Time         `json:"settled_at"`
	State     string            `json:"state"`
	Operation string            `json:"operation,omitempty"`
	Model     string            `json:"model,omitempty"`
	Member    string            `json:"member,omitempty"`
	Key       string            `json:"key,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Cost      string            `json:"cost"`
	Refunded  string            `json:"refunded"`
	Units     map[string]string `json:"units,omitempty"`
	Outcome   string            `json:"outcome,omitempty"`
	Status    int               `json:"status,omitempty"`
	Book      string            `json:"book,omitempty"` // digest of the price book
}

// Entry is an entry as a line.
func Entry(e *ledger.Entry, raw []byte, decimals int) EntryLine {
	l := EntryLine{Type: "entry", Account: e.Account, Seq: e.Seq, At: e.At, Kind: e.Kind.String(), Charge: e.Charge, Reason: e.Reason, Record: raw}
	for _, p := range e.Postings {
		l.Postings = append(l.Postings, PostingLine{p.Book.String(), p.Grant, p.Amount.Text(decimals)})
	}
	return l
}

// Charge is a charge as a line.
func Charge(c *ledger.Charge, decimals int) ChargeLine {
	text := func(a money.Amount) string { return a.Text(decimals) }
	l := ChargeLine{
		Type: "charge", Account: c.Account, ID: c.ID, At: c.At, SettledAt: c.SettledAt, State: c.State.String(), Operation: c.Operation, Model: c.Model,
		Member: c.Member, Key: c.Key, Labels: map[string]string{}, Cost: text(c.Cost), Refunded: text(c.Refunded), Units: map[string]string{},
		Outcome: c.Outcome, Status: c.Status, Book: c.Book,
	}
	for _, x := range c.Labels {
		l.Labels[x.Name] = x.Value
	}
	_, s := usage.Of(c)
	for _, u := range s.Units {
		l.Units[u.Unit] = u.Count.String()
	}
	return l
}

// export writes what is to leave into a file, which is there whole or not at all.
func (u *Upkeep) export(ctx context.Context, r Retention, before time.Time, targets []target) (path string, err error) {
	if err := os.MkdirAll(r.Export, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(r.Export, ulid.New("before-"+before.UTC().Format("20060102T150405")+"-", time.Now())+".jsonl.gz")
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator's directory
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it was renamed
	buffered := bufio.NewWriterSize(f, 1<<20)
	zip := gzip.NewWriter(buffered)
	x := &exporter{lines: json.NewEncoder(zip), decimals: r.Decimals, end: endLine{Type: "end"}}
	err = x.lines.Encode(headLine{"head", u.writer.Status().ID, before, time.Now().UTC()})
	for i := 0; i < len(targets) && err == nil; i++ {
		if err = ctx.Err(); err == nil {
			err = x.account(ctx, u.store, targets[i])
		}
	}
	if err == nil {
		err = x.lines.Encode(x.end)
	}
	if err = errors.Join(err, zip.Close(), buffered.Flush(), f.Sync(), f.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", err
	}
	return path, syncDir(r.Export)
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type exporter struct {
	lines    *json.Encoder
	decimals int
	end      endLine
}

// account writes what leaves of one account.
func (x *exporter) account(ctx context.Context, s store.Store, t target) error {
	a, err := survey(ctx, s, t)
	if errors.Is(err, errBroken) {
		return nil // nothing of it leaves
	}
	if err != nil {
		return err
	}
	return s.View(ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Entry, Account: string(t.account)}, true, func(_ store.ID, raw []byte) error {
			e, err := ledger.DecodeEntry(raw)
			if err == nil && e.Seq > t.upto {
				err = store.ErrStop
			}
			if err != nil {
				return err
			}
			x.end.Entries++
			if err := x.lines.Encode(Entry(e, raw, x.decimals)); err != nil || !resolves(e) || a.again[e.Charge] > e.Seq {
				return err
			}
			c, err := writer.Charge(v, t.account, e.Charge)
			if errors.Is(err, ledger.ErrNoCharge) {
				return nil // broken: nothing of the account leaves
			}
			if err == nil {
				x.end.Charges++
				err = x.lines.Encode(Charge(c, x.decimals))
			}
			return err
		})
	})
}
