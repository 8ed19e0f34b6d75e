package api

import (
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/usage"
)

// UnpricedView is what the price file does not name.
type UnpricedView struct {
	// Requests without a price since the server began, most frequent first: passed
	// for nothing, or refused.
	Requests []UnpricedRow `json:"requests"`
	More     int64         `json:"more,omitempty"` // requests of kinds beyond those that are kept
	// Caught are the models of the last 30 days that were priced by an entry with a
	// "*", or by policies.unlisted_model.
	Caught []CaughtRow `json:"caught"`
}

// UnpricedRow is one kind of request without a price.
type UnpricedRow struct {
	Reason string    `json:"reason"` // operation_not_priced, model_not_priced, free
	Method string    `json:"method"`
	Path   string    `json:"path"` // ids as *
	Model  string    `json:"model,omitempty"`
	Count  int64     `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// CaughtRow is a model without an entry of its own.
type CaughtRow struct {
	Entry    string `json:"entry"`
	Unlisted bool   `json:"unlisted,omitempty"` // by policies.unlisted_model
	Model    string `json:"model"`
	Requests int64  `json:"requests"`
	Credits  string `json:"credits"`

	amount money.Amount
}

// CaughtDays is how far back the models are looked for.
const CaughtDays = 30

func (c *call) unpriced() (UnpricedView, error) {
	v := UnpricedView{Requests: []UnpricedRow{}}
	list, more := c.m.Unpriced()
	for _, u := range list {
		v.Requests = append(v.Requests, UnpricedRow(u))
	}
	v.More = more
	b, _ := c.m.Book()
	var err error
	v.Caught, err = c.caught(b)
	return v, err
}

// caught are the models that were asked for lately and that a price file only
// prices by a pattern, or as an unlisted model.
func (c *call) caught(b *pricing.Book) ([]CaughtRow, error) {
	now := c.m.Now()
	rows := []CaughtRow{}
	q := usage.Query{From: now.AddDate(0, 0, -CaughtDays), To: now.Add(usage.Slot), By: "model"}
	err := c.m.Reports.UsageOfAll(c.Context(), q, func(_ string, r *usage.Report) {
		for _, l := range r.Lines() {
			if row, ok := caughtBy(b, l.Group, now); ok {
				i := slices.IndexFunc(rows, func(x CaughtRow) bool { return x.Model == row.Model })
				if i < 0 {
					i = len(rows)
					rows = append(rows, row)
				}
				rows[i].Requests += l.Requests
				rows[i].amount += l.Net()
			}
		}
	})
	for i := range rows {
		rows[i].Credits = c.text(rows[i].amount)
	}
	slices.SortFunc(rows, func(a, b CaughtRow) int { return strings.Compare(a.Entry+"\x00"+a.Model, b.Entry+"\x00"+b.Model) })
	return rows, err
}

func caughtBy(b *pricing.Book, model string, now time.Time) (row CaughtRow, ok bool) {
	if model == "" || b.Model(model) != nil {
		return row, false
	}
	row = CaughtRow{Model: model, Entry: b.Policies.UnlistedModel, Unlisted: true}
	if m := b.ModelFor(model, now); m != nil {
		row.Entry, row.Unlisted = m.Key, false
	}
	return row, row.Unlisted && row.Entry != "" || strings.Contains(row.Entry, "*")
}
