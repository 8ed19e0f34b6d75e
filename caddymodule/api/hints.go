package api

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/usage"
)

// HintView says what the same requests would have cost otherwise. It is
// computed from what was used and from the price list that is in force.
type HintView struct {
	Kind      string `json:"kind"` // model: with a cheaper one; base: at the base price, without settings that cost more
	Operation string `json:"operation"`
	Name      string `json:"name"`
	Model     string `json:"model,omitempty"`
	Cheaper   string `json:"cheaper,omitempty"` // model
	Requests  int64  `json:"requests"`
	Credits   string `json:"credits"`
	WouldCost string `json:"would_cost"`
	Saves     string `json:"saves"`
	Worth     string `json:"worth,omitempty"` // of what it saves

	saves money.Amount
}

// hints lists the largest savings first.
func (c *call) hints() (List[HintView], error) {
	labels := c.labels()
	q := c.URL.Query()
	asked, err := c.usageQuery(q, labels)
	if err != nil {
		return List[HintView]{}, err
	}
	out := List[HintView]{Data: []HintView{}}
	listed := map[string][]pricing.ListedPrice{}
	for _, p := range c.bookNow().PricesList() {
		listed[p.Operation] = append(listed[p.Operation], p)
	}
	for _, op := range c.bookNow().Operations {
		if only, ok := asked.Where["operation"]; ok && only != op.ID {
			continue
		}
		of := asked
		of.By, of.Where = "model", map[string]string{}
		maps.Copy(of.Where, asked.Where)
		of.Where["operation"] = op.ID
		r, err := c.m.Reports.Usage(c.Context(), c.who.account, of)
		if err != nil {
			return List[HintView]{}, err
		}
		for _, l := range r.Lines() {
			if h, ok := c.hint(op, &l, listed[op.ID]); ok {
				out.Data = append(out.Data, h)
			}
		}
	}
	slices.SortFunc(out.Data, func(a, b HintView) int {
		if a.saves > b.saves {
			return -1
		}
		return 1
	})
	out.Data = out.Data[:min(len(out.Data), 5)]
	return out, nil
}

// hint compares one line of usage with the price list.
func (c *call) hint(op *pricing.Operation, l *usage.Line, prices []pricing.ListedPrice) (h HintView, ok bool) {
	b, paid := c.bookNow(), l.Net()
	h = HintView{Operation: op.ID, Name: op.Name, Model: l.Group, Requests: l.Requests - l.Failed, Credits: c.text(paid)}
	if paid <= 0 {
		return h, false
	}
	would := paid
	switch {
	case len(prices) == 1 && prices[0].Model == "" && prices[0].Adjusted && prices[0].Credits != nil && prices[0].Unit != "request":
		cost, err := prices[0].Credits.Mul(l.Count(prices[0].Unit)).Ceil(b.Credit.Decimals)
		if err != nil || cost == 0 || cost >= paid {
			return h, false
		}
		h.Kind, would = "base", cost
	default:
		for _, p := range prices {
			if p.Model == "" || p.Model == l.Group || family(p.Model) != family(l.Group) {
				continue
			}
			cost, err := c.priced(l, p.Operation, p.Model)
			if err == nil && cost > 0 && cost < would {
				h.Kind, h.Cheaper, would = "model", p.Model, cost
			}
		}
	}
	h.saves = paid - would
	if h.Kind == "" || h.saves < paid/10 { // less than a tenth is not worth a change
		return h, false
	}
	h.WouldCost, h.Saves, h.Worth = c.text(would), c.text(h.saves), c.worth(h.saves)
	return h, true
}

// family is what models of one kind have in common: the first word of their
// names. A hint names no model that cannot do the same.
func family(model string) string {
	if i := strings.IndexAny(model, "-/.: "); i > 0 {
		return model[:i]
	}
	return model
}

var errOther = errors.New("this model does not do what the requests did")

// priced is what the usage of a line costs with another model of the price list.
func (c *call) priced(l *usage.Line, operation, model string) (money.Amount, error) {
	if strings.Contains(model, "*") { // no model that a request could name
		return 0, errOther
	}
	a, err := c.m.Accounts.Get(c.Context(), c.who.account)
	if err != nil {
		return 0, err
	}
	b := c.bookNow()
	rec := &pricing.Recorded{Operation: operation, Model: model, At: c.m.Now()}
	for _, u := range l.Units {
		kind, token := pricing.KindByName(u.Unit)
		if !token {
			rec.Usage.Units = append(rec.Usage.Units, pricing.UnitCount{Unit: u.Unit, Count: u.Count})
			continue
		}
		n, err := u.Count.Floor(0)
		if err != nil {
			return 0, err
		}
		rec.Usage.Tokens[kind] = int64(n)
		alone := *rec
		alone.Usage = pricing.Usage{}
		alone.Usage.Tokens[kind] = 1_000_000
		if cost, err := alone.Reprice(b, b.Plan(a.Sub.Plan)); err != nil || cost == 0 {
			return 0, errOther
		}
	}
	return rec.Reprice(b, b.Plan(a.Sub.Plan))
}
