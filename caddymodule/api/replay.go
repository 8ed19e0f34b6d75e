package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/change"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// ReplayRequest asks what the charges of the last days would have cost by
// another price file.
type ReplayRequest struct {
	Text string `json:"text"`
	Days int    `json:"days"`
}

// ReplayView is what a replay found. Amounts are decimal strings in credits.
type ReplayView struct {
	Days       int             `json:"days"`
	Unit       string          `json:"unit"`
	Charges    int             `json:"charges"`
	Unpriced   int             `json:"not_priced_again"`
	Difference string          `json:"difference"`
	Rows       []ReplayRow     `json:"rows"`
	Refused    []ReplayRefused `json:"would_hit_402"`
	Reasons    []ReplayReason  `json:"reasons"`
	Notes      []string        `json:"notes"`
}

// ReplayRow is an operation with a model.
type ReplayRow struct {
	Operation  string `json:"operation"`
	Model      string `json:"model,omitempty"`
	Charges    int    `json:"charges"`
	Old        string `json:"charged"`
	New        string `json:"would_cost"`
	Difference string `json:"difference"`

	was, is money.Amount
}

// ReplayRefused is an account whose balance would not have sufficed.
type ReplayRefused struct {
	Account  string    `json:"account"`
	Requests int       `json:"requests"`
	First    time.Time `json:"first"`
}

// ReplayReason is why charges could not be priced again.
type ReplayReason struct {
	Reason  string `json:"reason"`
	Charges int    `json:"charges"`
	Credits string `json:"credits"`

	amount money.Amount
}

func (c *call) replayPrices(in ReplayRequest) (ReplayView, error) {
	return c.replayed(&in)
}

func (c *call) replayed(in *ReplayRequest) (ReplayView, error) {
	b, _ := c.m.Book()
	other, problems := pricefile.Load("new.yaml", []byte(in.Text))
	switch {
	case other == nil:
		return ReplayView{}, fmt.Errorf("%w: the price file has errors:\n%s", input.ErrInvalid, problems)
	case in.Days < 1:
		return ReplayView{}, fmt.Errorf("%w: days is %d; write 1 or more", input.ErrInvalid, in.Days)
	case other.Credit.Decimals != b.Credit.Decimals:
		return ReplayView{}, fmt.Errorf("%w: credit.decimals is %d here and %d there, so costs can't be compared", input.ErrInvalid, b.Credit.Decimals, other.Credit.Decimals)
	}
	r := &replay{
		call: c, other: other, decimals: b.Credit.Decimals, since: c.m.Now().AddDate(0, 0, -in.Days), books: map[string]*pricing.Book{},
		view: &ReplayView{Days: in.Days, Unit: b.Credit.Plural, Rows: []ReplayRow{}, Refused: []ReplayRefused{}, Reasons: []ReplayReason{}, Notes: []string{}},
	}
	var ids []string // first, so that no snapshot is open while journals are read
	err := c.m.Accounts.Each(c.Context(), "", func(a *ledger.Account) bool {
		ids = append(ids, string(a.ID))
		return true
	})
	for _, id := range ids {
		if err = errors.Join(err, r.account(id)); err != nil {
			return ReplayView{}, err
		}
	}
	return *r.finish(b), nil
}

// replay prices the journals of all accounts again.
type replay struct {
	*call
	other    *pricing.Book
	decimals int
	since    time.Time
	books    map[string]*pricing.Book // that charges were made with
	view     *ReplayView
}

// book is the one that a charge was made with; nil if it is not kept.
func (r *replay) book(digest string) *pricing.Book {
	b, known := r.books[digest]
	if !known {
		b, _ = r.m.Books.Find(r.Context(), digest)
		r.books[digest] = b
	}
	return b
}

var (
	errBookGone  = errors.New("the price book that they were made with is not kept")
	errNotLinear = errors.New("their cost depends on what the journal does not keep: a field of the request, or a free tier")
)

// again is what a charge would have cost. A price is only computed from the
// recorded usage if the book of the charge gives from it what was charged: then
// nothing that the journal does not know has played a part.
func (r *replay) again(h *ledger.Charge, e *ledger.Entry, plan string) (money.Amount, error) {
	old := r.book(h.Book)
	if old == nil {
		return 0, errBookGone
	}
	usage, marks, err := pricebook.ReadUsage(e.Outcome.Usage)
	if err != nil {
		return 0, err
	}
	rec := &pricing.Recorded{
		Operation: h.Operation, Model: h.Model, At: h.At, Usage: usage, Marks: marks, Free: h.FreeUsed.Decimal(ledger.FreeDecimals), Made: old,
	}
	if e.Outcome.Model != "" {
		rec.Model = e.Outcome.Model
	}
	was, is := old.Plan(marks.Plan), r.other.Plan(plan)
	if same, ok := change.Scale(old, r.other, rec, was, is, e.Cost); ok && same == e.Cost {
		return same, nil
	}
	cost, err := rec.Reprice(r.other, is)
	if errors.Is(err, pricing.ErrNoLongerPriced) {
		return 0, err
	}
	if check, errCheck := rec.Reprice(old, was); err == nil && errCheck == nil && check == e.Cost {
		return cost, nil
	}
	if scaled, ok := change.Scale(old, r.other, rec, was, is, e.Cost); ok {
		return scaled, nil
	}
	return 0, errNotLinear
}

// add counts a charge that was priced again.
func (r *replay) add(h *ledger.Charge, model string, was, is money.Amount) {
	i := slices.IndexFunc(r.view.Rows, func(x ReplayRow) bool { return x.Operation == h.Operation && x.Model == model })
	if i < 0 {
		i = len(r.view.Rows)
		r.view.Rows = append(r.view.Rows, ReplayRow{Operation: h.Operation, Model: model})
	}
	row := &r.view.Rows[i]
	row.Charges++
	row.was += was
	row.is += is
}

func (r *replay) leaveOut(reason error, cost money.Amount) {
	i := slices.IndexFunc(r.view.Reasons, func(x ReplayReason) bool { return x.Reason == reason.Error() })
	if i < 0 {
		i = len(r.view.Reasons)
		r.view.Reasons = append(r.view.Reasons, ReplayReason{Reason: reason.Error()})
	}
	r.view.Reasons[i].Charges++
	r.view.Reasons[i].amount += cost
	r.view.Unpriced++
}

func (r *replay) finish(b *pricing.Book) *ReplayView {
	v := r.view
	var sum money.Amount
	for i := range v.Rows {
		row := &v.Rows[i]
		row.Old, row.New, row.Difference = r.text(row.was), r.text(row.is), signed(row.is-row.was, r.decimals)
		sum += row.is - row.was
	}
	slices.SortStableFunc(v.Rows, func(a, b ReplayRow) int {
		return strings.Compare(a.Operation+"\x00"+a.Model, b.Operation+"\x00"+b.Model)
	})
	v.Difference = signed(sum, r.decimals)
	for i := range v.Reasons {
		v.Reasons[i].Credits = r.text(v.Reasons[i].amount)
	}
	v.Notes = append(v.Notes, "The 402s are an estimate: charges in the order of the journal against each balance, without holds. Requests that were refused then, or that would now be clamped, are not in the journal.")
	for _, ch := range change.Diff(b, r.other) {
		part, _, _ := strings.Cut(ch.What, ".")
		if ch.Section == "operations" && slices.Contains([]string{"match", "where", "measure", "quantity", "free_tier", "order"}, part) {
			v.Notes = append(v.Notes, "Not replayed: "+ch.String()+". The journal keeps no requests that could match or measure differently.")
		}
		if ch.Section == "plans" && strings.HasPrefix(ch.What, "credits") {
			v.Notes = append(v.Notes, "Not replayed: "+ch.String()+". Balances are those of the plans as they were.")
		}
	}
	return v
}

func signed(a money.Amount, decimals int) string {
	if a > 0 {
		return "+" + a.Text(decimals)
	}
	return strings.Replace(a.Text(decimals), "-", "−", 1)
}

// walk goes through the journal of one account with two balances: the one that
// was, and, extra lower, the one that would have been.
type walk struct {
	*replay
	account   string
	plan      string
	unlimited bool
	available money.Amount
	extra     money.Amount // what would have been spent more; negative: less
	opened    map[ledger.ChargeID]*ledger.Charge
	deltas    map[ledger.ChargeID]money.Amount
	refusals  ReplayRefused
}

func (r *replay) account(id string) error {
	w := &walk{replay: r, account: id, opened: map[ledger.ChargeID]*ledger.Charge{}, deltas: map[ledger.ChargeID]money.Amount{}}
	before, err := r.m.Upkeep.Checkpoint(r.Context(), id) // what has left comes first
	if err != nil {
		return err
	}
	w.plan, w.opened = before.Account.Sub.Plan, before.Account.Holds
	for _, g := range before.Account.Grants {
		w.available += g.Available
		w.unlimited = w.unlimited || g.Unlimited
	}
	err = r.m.Reports.Journal(r.Context(), id, 0, func(e *ledger.Entry) bool {
		w.entry(e)
		return true
	})
	if w.refusals.Requests > 0 {
		w.refusals.Account = id
		r.view.Refused = append(r.view.Refused, w.refusals)
	}
	return err
}

func (w *walk) entry(e *ledger.Entry) {
	if e.Sub != nil {
		w.plan = e.Sub.Plan
	}
	var expired money.Amount
	for _, p := range e.Postings {
		switch p.Book {
		case ledger.BookAvailable:
			w.available += p.Amount
		case ledger.BookExpired:
			expired += p.Amount
		case ledger.BookIssued, ledger.BookHeld, ledger.BookSpent, ledger.BookRevoked, ledger.BookOverage, ledger.BookDebt, ledger.BookAbsorbed:
		}
	}
	for _, g := range e.Grants {
		w.unlimited = w.unlimited || g.Unlimited
	}
	if expired > 0 {
		w.expire(expired)
	}
	switch {
	case e.Kind == ledger.KindHold && e.Opened != nil:
		w.opened[e.Charge] = e.Opened
	case e.Kind == ledger.KindSettle && e.Outcome != nil:
		if h := w.opened[e.Charge]; h != nil {
			delete(w.opened, e.Charge)
			w.settle(h, e)
		}
	case e.Kind == ledger.KindRefund || e.Kind == ledger.KindRelease:
		w.extra -= w.deltas[e.Charge] // a refunded charge would be refunded, too
		delete(w.deltas, e.Charge)
	}
}

// expire: what would have been spent more would have come out of what ended
// unused; what would have been saved would have ended with it.
func (w *walk) expire(unused money.Amount) {
	w.extra = max(0, w.extra-unused)
}

func (w *walk) settle(h *ledger.Charge, e *ledger.Entry) {
	if h.At.Before(w.since) {
		return
	}
	w.view.Charges++
	cost, err := w.again(h, e, w.plan)
	if err != nil {
		w.leaveOut(err, e.Cost)
		cost = e.Cost
	} else {
		model := h.Model
		if e.Outcome.Model != "" {
			model = e.Outcome.Model
		}
		w.add(h, model, e.Cost, cost)
	}
	delta := cost - e.Cost
	if w.refused(delta) {
		if w.refusals.Requests == 0 {
			w.refusals.First = h.At
		}
		w.refusals.Requests++
		delta = -e.Cost // it would not have run
	}
	w.extra += delta
	w.deltas[e.Charge] = delta
}

// refused: the balance after the charge would have been below zero, and the
// plan does not go on into overage.
func (w *walk) refused(delta money.Amount) bool {
	extra := w.extra + delta
	if w.unlimited || extra <= 0 || w.available-extra >= 0 {
		return false
	}
	p := w.other.Plan(w.plan)
	return p == nil || p.Overage == nil
}
