package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/usage"
)

// MarginView is what all accounts together were charged, by one dimension.
type MarginView struct {
	From     time.Time    `json:"from"`
	To       time.Time    `json:"to"`
	Timezone string       `json:"timezone"`
	GroupBy  string       `json:"group_by"`
	Unit     string       `json:"unit"`
	Accounts int          `json:"accounts"` // that used anything
	Data     []MarginLine `json:"data"`     // largest first
	Total    MarginLine   `json:"total"`
}

// MarginLine is one group. Amounts are decimal strings in credits.
type MarginLine struct {
	Group    string `json:"group"`
	Name     string `json:"name,omitempty"`
	Requests int64  `json:"requests"`
	Failed   int64  `json:"failed"`
	Credits  string `json:"credits"` // paid in the end
	Refunded string `json:"refunded"`
	Absorbed string `json:"absorbed"`                 // delivered, but not paid for
	Worth    string `json:"worth,omitempty"`          // of Credits, in money
	Lost     string `json:"absorbed_worth,omitempty"` // of Absorbed
	Markup   string `json:"markup_worth,omitempty"`   // what the price file's markup has put on top of the models' own prices

	net money.Amount
}

// margin sums the usage of all accounts.
func (c *call) margin() (MarginView, error) {
	q := c.URL.Query()
	b, _ := c.m.Book()
	zone := b.Policies.Timezone
	if name := q.Get("tz"); name != "" {
		loaded, err := time.LoadLocation(name)
		if err != nil {
			return MarginView{}, fmt.Errorf("%w: tz=%s is no time zone; write one such as Europe/Berlin", input.ErrInvalid, name)
		}
		zone = loaded
	}
	from, to, err := Span(q, c.m.Now(), zone, time.Time{})
	if err != nil {
		return MarginView{}, err
	}
	by := q.Get("group_by")
	if by == "" {
		by = "operation"
	}
	asked := usage.Query{From: from, To: to, Zone: zone}
	if by != "account" {
		asked.By = by
	}
	groups, total, accounts := map[string]*usage.Sum{}, usage.Sum{}, 0
	err = c.m.Reports.UsageOfAll(c.Context(), asked, func(account string, r *usage.Report) {
		accounts++
		total.Add(&r.Total)
		for _, l := range r.Lines() {
			if by == "account" {
				l.Group = account
			}
			if groups[l.Group] == nil {
				groups[l.Group] = &usage.Sum{}
			}
			groups[l.Group].Add(&l.Sum)
		}
	})
	if err != nil {
		return MarginView{}, err
	}
	v := MarginView{From: from.UTC(), To: to.UTC(), Timezone: zone.String(), GroupBy: by, Unit: b.Credit.Plural, Accounts: accounts, Data: []MarginLine{}, Total: c.marginLine(b, by, "", &total)}
	for group, sum := range groups {
		v.Data = append(v.Data, c.marginLine(b, by, group, sum))
	}
	slices.SortFunc(v.Data, func(x, y MarginLine) int {
		if x.net != y.net {
			return int(min(1, max(-1, y.net-x.net)))
		}
		return strings.Compare(x.Group, y.Group)
	})
	return v, nil
}

func (c *call) marginLine(b *pricing.Book, by, group string, s *usage.Sum) MarginLine {
	l := MarginLine{
		Group: group, Name: group, Requests: s.Requests, Failed: s.Failed, Credits: c.text(s.Net()), Refunded: c.text(s.Refunded),
		Absorbed: c.text(s.Absorbed), net: s.Net(),
	}
	if op := b.Operation(group); by == "operation" && op != nil {
		l.Name = op.Name
	}
	if m := b.Model(group); by == "model" && m != nil {
		l.Name = m.Name
	}
	if worth, ok := b.Credit.Money(s.Net()); ok {
		l.Worth = Cents(worth)
	}
	if lost, ok := b.Credit.Money(s.Absorbed); ok && s.Absorbed > 0 {
		l.Lost = Cents(lost)
	}
	if by == "model" && b.Model(group) != nil && !b.Markup.IsZero() && s.Net() > 0 { // net × markup ÷ (1 + markup)
		part, err := money.Div(s.Net().Decimal(b.Credit.Decimals).Mul(b.Markup), money.FromInt(1).Add(b.Markup), b.Credit.Decimals)
		if worth, ok := b.Credit.Money(part); err == nil && ok {
			l.Markup = Cents(worth)
		}
	}
	return l
}
