package ledger

import (
	"crypto/sha256"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/money"
)

// Kind says what an Entry records.
type Kind uint8

// Kinds of entries.
const (
	KindOpened    Kind = iota + 1 // the account
	KindPlan                      // another plan, or another contract with it
	KindPeriod                    // a billing period closed, the next began
	KindGrant                     // credits were granted
	KindKept                      // unused credits were carried over
	KindExpire                    // credits expired
	KindHold                      // credits were held for a request
	KindExtend                    // a running request holds more
	KindObserve                   // a running request costs this much so far
	KindSettle                    // a request was charged
	KindRefund                    // a failed request, or a refund by hand
	KindRelease                   // a hold was returned, its request never ran
	KindVoid                      // an operator revoked a grant
	KindAttribute                 // name or suspension changed
	KindAlerts                    // the account got thresholds of its own
	KindAlert                     // a warning is due
	KindErased                    // what names people was erased
)

var kindNames = [...]string{
	"", "opened", "plan", "period", "grant", "kept", "expire", "hold", "extend", "observe",
	"settle", "refund", "release", "void", "attribute", "alerts", "alert", "erased",
}

// String is the kind's name in the journal: "hold", "settle", …
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Book is one side of a posting.
type Book uint8

// Books. Issued, overage, debt and absorbed are where credits come from: their
// postings are negative.
const (
	BookIssued Book = iota + 1
	BookAvailable
	BookHeld
	BookSpent
	BookExpired
	BookRevoked
	BookOverage
	BookDebt
	BookAbsorbed
)

var bookNames = [...]string{"", "issued", "available", "held", "spent", "expired", "revoked", "overage", "debt", "absorbed"}

// String is the book's name.
func (b Book) String() string {
	if int(b) < len(bookNames) {
		return bookNames[b]
	}
	return "unknown"
}

// Posting moves an amount into (or, negative, out of) a book. Available and
// held are per grant; held without a grant is held overage.
type Posting struct {
	Book   Book
	Grant  GrantID
	Amount money.Amount
	From   GrantID // available: the grant that these credits come from
}

// Entry is one line of the journal. It is immutable, its postings sum to zero, and
// it has everything that Fold needs to change the account.
type Entry struct {
	Account AccountID
	Seq     uint64
	At      time.Time
	Kind    Kind
	Reason  string

	Charge   ChargeID
	Postings []Posting
	Counters []CounterDelta

	Opened   *Charge       // hold: the whole charge
	Ago      int           // refund: how many billing periods ago its overage was; 2: or more
	Cost     money.Amount  // settle, extend: cost, new hold; refund: what came back
	Observed money.Amount  // extend, observe
	Grants   []*Grant      // new grants, still empty: postings fill them
	Sub      *Subscription // plan, period, grant of a renewal
	Left     *Subscription // plan: the contract that was left
	Lapsed   bool          // plan: Left was not paid
	Park     []GrantID
	Unpark   []GrantID
	Closed   *Period
	Given    []LineID
	Cursor   map[LineID]time.Time
	Name     string // opened, attribute
	Suspend  bool   // attribute
	Watch    *Watch // alerts
	Alert    string // alert: the threshold
	Alerted  map[AlertKey]time.Time
	Outcome  *Outcome

	Hash [32]byte // SHA-256 of the previous entry's hash and of this entry without it
}

// Outcome is how a request ended, as a settle or refund records it.
type Outcome struct {
	Text      string // "answered", "upstream 502", "client left"
	Usage     Usage
	Model     string // that priced the answer, if it is another than at the hold
	Estimated bool
	Status    int
}

// long reports whether a text of the outcome is longer than what is kept.
func (o *Outcome) long() bool { return bounded(reflect.ValueOf(o)) != nil }

// cut is the outcome with its texts as they are kept.
func (o Outcome) cut() Outcome {
	o.Text, o.Model = input.Cut(o.Text), input.Cut(o.Model)
	o.Usage.Quantities, o.Usage.Marks = slices.Clone(o.Usage.Quantities), slices.Clone(o.Usage.Marks)
	for i := range o.Usage.Quantities {
		o.Usage.Quantities[i].Unit = input.Cut(o.Usage.Quantities[i].Unit)
	}
	for i := range o.Usage.Marks {
		m := &o.Usage.Marks[i]
		m.Name, m.Value = input.Cut(m.Name), input.Cut(m.Value)
	}
	return o
}

func (e *Entry) sum() (sum money.Amount) {
	for _, p := range e.Postings {
		sum += p.Amount
	}
	return sum
}

// Reseal computes the hash of e again. It is for tests that forge entries.
func (e *Entry) Reseal(head [32]byte) { e.seal(head) }

// seal chains e to the entry before it.
func (e *Entry) seal(head [32]byte) {
	room := bodies.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	*room = e.appendBody(append((*room)[:0], head[:]...))
	e.Hash = sha256.Sum256(*room)
	bodies.Put(room)
}

// bodies are buffers in which entries are hashed.
var bodies = sync.Pool{New: func() any { return new([]byte) }}
