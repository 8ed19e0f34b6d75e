package api

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/usage"
)

// ChargeView is one request and what it cost.
type ChargeView struct {
	ID            string            `json:"id"`
	At            time.Time         `json:"at"`
	SettledAt     *time.Time        `json:"settled_at,omitempty"`
	State         string            `json:"state"` // open, charged, refunded, refunded in part
	Operation     string            `json:"operation"`
	OperationName string            `json:"operation_name"`
	Feature       string            `json:"feature,omitempty"`
	Model         string            `json:"model,omitempty"`
	Member        string            `json:"member,omitempty"`
	Key           string            `json:"key,omitempty"`
	Labels        map[string]string `json:"labels"`
	Held          string            `json:"held"`
	Cost          string            `json:"cost"`     // before refunds
	Refunded      string            `json:"refunded"` // of Cost
	Credits       string            `json:"credits"`  // paid in the end
	Worth         string            `json:"worth,omitempty"`
	Quantities    map[string]string `json:"quantities"`
	Usage         string            `json:"usage,omitempty"` // as the journal has it: "input=12 output=30"
	Outcome       string            `json:"outcome,omitempty"`
	Status        int               `json:"status,omitempty"` // HTTP status of the answer
	Estimated     bool              `json:"estimated,omitempty"`
}

// ChargeDetail is a charge with why it cost what it cost.
type ChargeDetail struct {
	ChargeView
	Drawn       []DrawnView       `json:"drawn"`
	Calculation []CalculationLine `json:"calculation"`
	Book        string            `json:"book"` // digest of the price book
}

// DrawnView is what a charge took from one source.
type DrawnView struct {
	Grant  string `json:"grant,omitempty"`
	Type   string `json:"type"` // of the grant, or overage, debt
	Amount string `json:"amount"`
}

// CalculationLine is one step of a price.
type CalculationLine struct {
	Label string `json:"label"`
	Text  string `json:"text"`
	Total string `json:"total"`
}

func (c *call) chargeView(h *ledger.Charge) ChargeView {
	_, s := usage.Of(h)
	v := ChargeView{
		ID: string(h.ID), At: h.At.UTC(), SettledAt: timeOf(h.SettledAt), State: report.StateOf(h), Operation: h.Operation, OperationName: h.Operation,
		Feature: h.Subject.Feature, Model: h.Model, Member: h.Member, Key: h.Key, Labels: map[string]string{}, Held: c.text(h.HeldTotal()),
		Cost: c.text(h.Cost), Refunded: c.text(h.Refunded), Credits: c.text(s.Net()), Worth: c.worth(s.Net()), Quantities: map[string]string{},
		Usage: h.Usage.String(), Outcome: h.Outcome, Status: h.Status, Estimated: h.Estimated,
	}
	if op := c.bookNow().Operation(h.Operation); op != nil {
		v.OperationName = op.Name
	}
	for _, l := range h.Labels {
		v.Labels[l.Name] = l.Value
	}
	for _, u := range s.Units {
		v.Quantities[u.Unit] = u.Count.String()
	}
	return v
}

func (c *call) charges() (List[ChargeView], error) {
	labels := c.labels()
	names := slices.Concat(usage.Dimensions, labels, []string{"state", "outcome"})
	q := c.URL.Query()
	f, err := c.chargeFilter(q, names)
	if err != nil {
		return List[ChargeView]{}, err
	}
	switch q.Get("format") {
	case "csv":
		return List[ChargeView]{}, c.chargesCSV(f, labels)
	case "jsonl":
		return List[ChargeView]{}, c.chargesLines(f)
	case "focus":
		return List[ChargeView]{}, c.chargesFocus(f)
	}
	n, err := limit(q, 50, 500)
	if err != nil {
		return List[ChargeView]{}, err
	}
	out := List[ChargeView]{Data: []ChargeView{}}
	if out.DetailsSince, err = c.since(); err != nil {
		return out, err
	}
	err = c.m.Reports.Charges(c.Context(), c.who.account, f, func(h *ledger.Charge) bool {
		if len(out.Data) == n {
			out.NextCursor = out.Data[n-1].ID
			return false
		}
		out.Data = append(out.Data, c.chargeView(h))
		return true
	})
	return out, err
}

func (c *call) chargeFilter(q url.Values, names []string) (f report.ChargeFilter, err error) {
	zone, err := c.zone(q)
	if err != nil {
		return f, err
	}
	if q.Has("from") || q.Has("to") || q.Has("period") {
		if f.From, f.To, err = c.span(q, zone); err != nil {
			return f, err
		}
	}
	f.Text, f.Before = q.Get("q"), q.Get("cursor")
	if f.Before != "" && !strings.HasPrefix(f.Before, ledger.ChargePrefix) {
		return f, invalid("cursor=%s is not one that a list returned", f.Before)
	}
	f.Where, err = c.where(q, names)
	return f, err
}

func (c *call) charge() (ChargeDetail, error) {
	h, err := c.m.Reports.Charge(c.Context(), c.who.account, c.PathValue("charge"))
	if err != nil {
		return ChargeDetail{}, err
	}
	if !c.who.seesAll && h.Member != c.who.member {
		return ChargeDetail{}, ErrForbidden
	}
	d := ChargeDetail{ChargeView: c.chargeView(h), Drawn: []DrawnView{}, Calculation: []CalculationLine{}, Book: h.Book}
	drawn := h.Captures
	if h.State == ledger.Held {
		drawn = h.Allocations
	}
	for _, x := range drawn {
		d.Drawn = append(d.Drawn, DrawnView{Grant: string(x.Grant), Type: x.Type, Amount: c.text(x.Amount)})
	}
	for _, l := range c.m.Reports.ExplainCharge(c.Context(), h) {
		d.Calculation = append(d.Calculation, CalculationLine{Label: l.Label, Text: l.Text, Total: l.Total.String()})
	}
	return d, nil
}
