package api

import (
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// EntryView is a line of the journal. The portal leaves out what names requests
// and members.
type EntryView struct {
	Seq       uint64        `json:"seq"`
	At        time.Time     `json:"at"`
	Kind      string        `json:"kind"`
	Charge    string        `json:"charge,omitempty"`
	Grant     string        `json:"grant,omitempty"` // the last of Grants; of the operator's API only
	Grants    []string      `json:"grants,omitempty"`
	Operation string        `json:"operation,omitempty"`
	Model     string        `json:"model,omitempty"`
	Member    string        `json:"member,omitempty"`
	Key       string        `json:"key,omitempty"`
	Amount    string        `json:"amount,omitempty"` // credits that moved: held, charged, returned, granted, expired
	Usage     string        `json:"usage,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	Plan      string        `json:"plan,omitempty"`
	Postings  []PostingView `json:"postings"`
}

// PostingView is one side of an entry; those of an entry sum to zero.
type PostingView struct {
	Book   string `json:"book"`
	Grant  string `json:"grant,omitempty"`
	Amount string `json:"amount"`
}

// entryView is what account holders see of an entry.
func (c *call) entryView(e *ledger.Entry) EntryView {
	v := EntryView{Seq: e.Seq, At: e.At.UTC(), Kind: e.Kind.String(), Charge: string(e.Charge), Reason: e.Reason, Postings: []PostingView{}}
	if v.Reason == "" && e.Outcome != nil {
		v.Reason = e.Outcome.Text
	}
	if e.Sub != nil {
		v.Plan = e.Sub.Plan
	}
	for _, g := range e.Grants {
		v.Grants = append(v.Grants, string(g.ID))
	}
	for _, p := range e.Postings {
		v.Postings = append(v.Postings, PostingView{Book: p.Book.String(), Grant: string(p.Grant), Amount: c.text(p.Amount)})
	}
	return v
}

// wholeEntryView adds what only operators see.
func (c *call) wholeEntryView(e *ledger.Entry) EntryView {
	v := c.entryView(e)
	if h := e.Opened; h != nil {
		v.Operation, v.Model, v.Member, v.Key = h.Operation, h.Model, h.Member, h.Key
	}
	if o := e.Outcome; o != nil {
		v.Usage = o.Usage.String()
		if o.Model != "" {
			v.Model = o.Model
		}
	}
	if n := len(v.Grants); n > 0 {
		v.Grant = v.Grants[n-1]
	}
	v.Amount = c.text(moved(e))
	return v
}

// moved is the amount that an entry is about.
func moved(e *ledger.Entry) (sum money.Amount) {
	book := map[ledger.Kind]ledger.Book{
		ledger.KindHold: ledger.BookHeld, ledger.KindExtend: ledger.BookHeld, ledger.KindSettle: ledger.BookSpent,
		ledger.KindGrant: ledger.BookIssued, ledger.KindKept: ledger.BookExpired, ledger.KindExpire: ledger.BookExpired, ledger.KindVoid: ledger.BookRevoked,
	}[e.Kind]
	for _, p := range e.Postings {
		switch {
		case p.Book == book && book == ledger.BookIssued:
			sum -= p.Amount
		case p.Book == book:
			sum += p.Amount
		case book == 0 && p.Amount < 0: // a refund or release: what left held or spent
			sum -= p.Amount
		}
	}
	return sum
}

func (c *call) journal() (List[EntryView], error) {
	limit, err := number(c.URL.Query(), "limit", 10_000)
	if err != nil {
		return List[EntryView]{}, err
	}
	after, err := number(c.URL.Query(), "after", 1<<62)
	if err != nil {
		return List[EntryView]{}, err
	}
	if limit == 0 {
		limit = 100
	}
	out := List[EntryView]{Data: []EntryView{}}
	if out.DetailsSince, err = c.since(); err != nil {
		return out, err
	}
	latest := c.URL.Query().Get("after") == ""
	opened := map[ledger.ChargeID]*ledger.Charge{}
	err = c.m.Reports.Journal(c.Context(), c.who.account, after, func(e *ledger.Entry) bool {
		if e.Kind == ledger.KindHold {
			opened[e.Charge] = e.Opened
		} else if e.Opened == nil {
			e.Opened = opened[e.Charge] // a settle shows what its hold was for
			if e.Kind != ledger.KindObserve {
				delete(opened, e.Charge)
			}
		}
		out.Data = append(out.Data, c.wholeEntryView(e))
		if !latest {
			return uint64(len(out.Data)) < limit
		}
		if uint64(len(out.Data)) >= 2*limit { // the newest are wanted: forget the oldest as they pass
			out.Data = slices.Delete(out.Data, 0, len(out.Data)-int(limit)) //nolint:gosec // at most 10,000
		}
		return true
	})
	if n := len(out.Data) - int(limit); n > 0 { //nolint:gosec // see above
		out.Data = out.Data[n:]
	}
	return out, err
}

// ledger lists the journal, newest first. It names no requests and no members.
func (c *call) ledger() (List[EntryView], error) {
	q := c.URL.Query()
	n, err := limit(q, 50, 1000)
	if err != nil {
		return List[EntryView]{}, err
	}
	before, err := cursorNumber(q)
	if err != nil {
		return List[EntryView]{}, err
	}
	out := List[EntryView]{Data: []EntryView{}}
	if out.DetailsSince, err = c.since(); err != nil {
		return out, err
	}
	err = c.m.Reports.JournalBack(c.Context(), c.who.account, before, func(e *ledger.Entry) bool {
		if len(out.Data) == n {
			out.NextCursor = numberCursor(out.Data[n-1].Seq)
			return false
		}
		out.Data = append(out.Data, c.entryView(e))
		return true
	})
	return out, err
}
