package api

import (
	"encoding/json"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/report"
)

// PriceView is one line of the price list.
type PriceView struct {
	Operation string   `json:"operation"`
	Name      string   `json:"name"`
	Feature   string   `json:"feature,omitempty"`
	Model     string   `json:"model,omitempty"`
	ModelName string   `json:"model_name,omitempty"`
	Unit      string   `json:"unit,omitempty"` // what Credits are for; "" if there are several rates
	Price     string   `json:"price"`          // in words
	Credits   string   `json:"credits,omitempty"`
	Standard  string   `json:"standard,omitempty"` // credits of a request that leaves everything to the defaults
	Worth     string   `json:"worth,omitempty"`
	Adjusted  bool     `json:"adjusted"` // settings of a request can change it
	Tags      []string `json:"tags"`
}

// PlanOffer is a plan as the price list shows it.
type PlanOffer struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Price     string          `json:"price,omitempty"`
	Credits   []CreditsView   `json:"credits"`
	Estimates []EstimateView  `json:"estimates"` // what one period's credits are enough for, at base prices
	Metadata  json.RawMessage `json:"metadata,omitempty"`

	// Of the operator's API only.
	Default  bool `json:"default,omitempty"`
	Overage  bool `json:"overage,omitempty"`
	Accounts *int `json:"accounts,omitempty"` // that are on it
}

// CreditsView is a line of a plan's credits.
type CreditsView struct {
	Type   string `json:"type"`
	Amount string `json:"amount"`
	Every  string `json:"every,omitempty"`
}

// EstimateView says how often an operation is affordable.
type EstimateView struct {
	Operation string `json:"operation"`
	Name      string `json:"name"`
	Model     string `json:"model,omitempty"`
	Unit      string `json:"unit"`
	Count     int64  `json:"count"`
}

// PricesView is the price list. It is always that of the loaded file.
type PricesView struct {
	Unit   UnitView    `json:"unit"`
	Prices []PriceView `json:"prices"`
	Plans  []PlanOffer `json:"plans"`
	Book   string      `json:"book"` // digest
}

func (c *call) prices() (PricesView, error) {
	b := c.bookNow()
	v := PricesView{Unit: unitView(b), Prices: []PriceView{}, Plans: []PlanOffer{}, Book: b.Digest}
	for _, p := range b.PricesList() {
		v.Prices = append(v.Prices, priceView(&p))
	}
	for _, p := range b.Plans {
		v.Plans = append(v.Plans, c.planOffer(b, p))
	}
	return v, nil
}

func priceView(p *pricing.ListedPrice) PriceView {
	v := PriceView{
		Operation: p.Operation, Name: p.Name, Feature: p.Feature, Model: p.Model, ModelName: p.ModelName, Unit: p.Unit, Price: p.Words,
		Adjusted: p.Adjusted, Tags: append([]string{}, p.Tags...),
	}
	if p.Credits != nil {
		v.Credits = p.Credits.String()
	}
	if p.Standard != nil {
		v.Standard = p.Standard.String()
	}
	if p.Money != nil {
		v.Worth = Cents(*p.Money)
	}
	return v
}

func (c *call) planOffer(b *pricing.Book, p *pricing.Plan) PlanOffer {
	v := PlanOffer{ID: p.ID, Name: nameOf(p.ID, p.Name), Price: p.PriceText, Credits: []CreditsView{}, Estimates: []EstimateView{}, Metadata: p.Metadata}
	for _, g := range p.Grants {
		x := CreditsView{Type: g.Type, Amount: c.text(g.Amount)}
		if g.Unlimited {
			x.Amount = "unlimited"
		}
		if g.Renewed {
			x.Every = g.Every.String()
		}
		v.Credits = append(v.Credits, x)
		if v.Estimates = append(v.Estimates, estimates(b, p, g)...); g.Unlimited {
			v.Estimates = []EstimateView{}
			break
		}
	}
	return v
}

// estimates are the counts that a plan's own line of credits is enough for.
func estimates(b *pricing.Book, p *pricing.Plan, g *pricing.Grant) (list []EstimateView) {
	for _, x := range b.PricesList() {
		unit, each, ok := x.Each()
		if !ok || each.IsZero() {
			continue
		}
		s := report.SubjectOf(b, x.Operation, x.Model)
		if !p.Permits(&s) || !g.Permits(&s) {
			continue
		}
		if n, ok := report.Count(b, p, g.Amount, each); ok && n > 0 {
			list = append(list, EstimateView{Operation: x.Operation, Name: x.Name, Model: x.Model, Unit: unit, Count: n})
		}
	}
	return list
}

// PlansView is what can be sold.
type PlansView struct {
	Plans []PlanOffer `json:"plans"`
	Packs []PackView  `json:"packs"`
	Unit  string      `json:"unit"`
}

// listPlans are the plans and packs of the price file that is in force.
func (c *call) listPlans() (PlansView, error) {
	on, err := c.m.Accounts.OnPlans(c.Context())
	if err != nil {
		return PlansView{}, err
	}
	b, _ := c.m.Book()
	v := PlansView{Plans: []PlanOffer{}, Packs: []PackView{}, Unit: b.Credit.Plural}
	for _, p := range b.Plans {
		x, accounts := c.planOffer(b, p), on[p.ID]
		x.Default, x.Overage, x.Accounts = p == b.DefaultPlan, p.Overage != nil, &accounts
		v.Plans = append(v.Plans, x)
	}
	for _, p := range b.Packs {
		x := c.packView(p, "")
		x.OnlyPlans = p.OnlyPlans
		v.Packs = append(v.Packs, x)
	}
	return v, nil
}

// AffordableView is how often an operation could still be done, if nothing else was.
type AffordableView struct {
	Operation string `json:"operation"`
	Name      string `json:"name"`
	Model     string `json:"model,omitempty"`
	Unit      string `json:"unit"`
	Count     *int64 `json:"count"`             // null: unlimited
	Typical   bool   `json:"typical,omitempty"` // by the mean of what it cost lately, not by a fixed price
}

// affordable goes by the price list; what has no single price, such as tokens,
// goes by its mean cost of late.
func (c *call) affordable(a *ledger.Account, typical map[string]money.Amount) []AffordableView {
	b, out := c.bookNow(), []AffordableView{}
	plan := b.Plan(a.Sub.Plan)
	seen := map[string]bool{}
	for _, x := range b.PricesList() {
		s := report.SubjectOf(b, x.Operation, x.Model)
		if plan != nil && !plan.Permits(&s) {
			continue
		}
		unit, each, single := x.Each()
		v := AffordableView{Operation: x.Operation, Name: x.Name, Model: x.Model, Unit: unit}
		available, unlimited := a.AvailableFor(&s, c.m.Now())
		switch cost, known := typical[x.Operation]; {
		case single && each.IsZero():
			continue
		case single:
			if n, ok := report.Count(b, plan, available, each); ok {
				v.Count = &n
			}
		case known && cost > 0 && !seen[x.Operation]:
			n := int64(available / cost)
			v.Count, v.Typical, v.Unit, v.Model = &n, true, "request", ""
			seen[x.Operation] = true
		default:
			continue
		}
		if unlimited {
			v.Count = nil
		}
		if out = append(out, v); len(out) == 100 {
			break
		}
	}
	return out
}

// PackView is credits that can be bought.
type PackView struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Credits   string `json:"credits,omitempty"` // "" if the price decides
	Price     string `json:"price"`
	MaxPrice  string `json:"max_price,omitempty"`
	Expires   string `json:"expires"`       // never, or "90 days"
	Available bool   `json:"available"`     // to the account's plan
	URL       string `json:"url,omitempty"` // of the checkout, for admins

	OnlyPlans []string `json:"only_plans,omitempty"` // of the operator's API only
}

func (c *call) packs() (List[PackView], error) {
	b := c.bookNow()
	plan := ""
	var a *ledger.Account
	if c.who.account != "" {
		var err error
		if a, err = c.m.Accounts.Get(c.Context(), c.who.account); err != nil {
			return List[PackView]{}, err
		}
		plan = a.Sub.Plan
	}
	out := List[PackView]{Data: []PackView{}}
	for _, p := range b.Packs {
		v := c.packView(p, plan)
		if c.who.admin() && v.Available && a != nil {
			v.URL = fillLink(b.Links.TopUp, a, p.ID)
		}
		out.Data = append(out.Data, v)
	}
	return out, nil
}

// packView is a pack as an account on a plan sees it.
func (c *call) packView(p *pricing.Pack, plan string) PackView {
	v := PackView{ID: p.ID, Name: nameOf(p.ID, p.Name), Price: p.Price.String(), Expires: "never", Available: p.SellsTo(plan)}
	if !p.ByPrice {
		v.Credits = c.text(p.Credits)
	}
	if p.MaxPrice != nil {
		v.MaxPrice = p.MaxPrice.String()
	}
	if p.Expires != nil {
		v.Expires = p.Expires.String()
	}
	return v
}

func fillLink(link string, a *ledger.Account, pack string) string {
	return meter.FillLink(link, string(a.ID), pack)
}

// AccountSummary is the account's own record, with what its plan says about it.
type AccountSummary struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Plan      *PlanView `json:"plan"`
	Suspended bool      `json:"suspended"`
	CreatedAt string    `json:"created_at"`
	Members   int       `json:"members"`
}

func (c *call) accountSummary() (AccountSummary, error) {
	a, err := c.m.Accounts.Get(c.Context(), c.who.account)
	if err != nil {
		return AccountSummary{}, err
	}
	members, err := c.m.Directory.Members.List(c.who.account)
	return AccountSummary{
		ID: string(a.ID), Name: nameOf(string(a.ID), a.Name), Plan: planView(a, c.bookNow()), Suspended: a.Suspended,
		CreatedAt: a.CreatedAt.UTC().Format("2006-01-02T15:04:05Z"), Members: len(members),
	}, err
}

// sessionAccounts are those that the session opens.
func (c *call) sessionAccounts() (List[SeatView], error) {
	v, err := c.showSession()
	return List[SeatView]{Data: v.Accounts}, err
}
