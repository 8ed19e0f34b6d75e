package api

import (
	"encoding/json"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/report"
)

// FundsView is what an account has. Amounts are decimal strings in credits.
type FundsView struct {
	Available string      `json:"available"`
	Held      string      `json:"held"`
	Worth     string      `json:"worth,omitempty"` // of Available
	Overage   string      `json:"overage"`         // of this billing period
	Debt      string      `json:"debt"`
	Unlimited bool        `json:"unlimited"`
	Grants    []GrantView `json:"grants"`
}

func (c *call) funds(a *ledger.Account) FundsView {
	plan, now := c.bookNow().Plan(a.Sub.Plan), c.m.Now()
	available, unlimited := a.Available(now)
	v := FundsView{
		Available: c.text(available), Held: c.text(a.HeldTotal()), Overage: c.text(a.OveragePeriod + a.OverageHeld), Debt: c.text(a.Debt),
		Unlimited: unlimited, Grants: []GrantView{},
	}
	if !unlimited {
		v.Worth = c.worth(available)
	}
	for _, g := range a.Grants {
		if g.Live(now) {
			v.Grants = append(v.Grants, c.grantView(g, plan))
		}
	}
	return v
}

// BalanceView is what an account has, and how long it lasts.
type BalanceView struct {
	Account string    `json:"account"`
	Name    string    `json:"name"`
	Plan    *PlanView `json:"plan"`
	Unit    UnitView  `json:"unit"`
	Status  string    `json:"status"` // ok, low, exhausted, overage, unlimited, suspended
	FundsView
	OverageFor string           `json:"overage_worth,omitempty"`
	Allowance  *AllowanceView   `json:"allowance"` // null: the plan renews none
	Burn       *BurnView        `json:"burn"`      // null: used on fewer than 3 days
	Affordable []AffordableView `json:"affordable"`
	NextGrant  *NextGrantView   `json:"next_grant"`
	Links      LinksView        `json:"links"`
}

// UnitView is the unit of account.
type UnitView struct {
	Name     string `json:"name"`
	Plural   string `json:"plural"`
	Decimals int    `json:"decimals"`
	Worth    string `json:"worth,omitempty"` // of one credit
}

// PlanView is an account's plan.
type PlanView struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Price    string          `json:"price,omitempty"`
	RenewsAt *time.Time      `json:"renews_at,omitempty"`
	EndsAt   *time.Time      `json:"ends_at,omitempty"`
	Next     string          `json:"next,omitempty"` // the plan that follows at the end of the period, if it is another
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// AllowanceView is what the plan has granted for the running period.
type AllowanceView struct {
	Amount      string `json:"amount"`
	Used        string `json:"used"`
	UsedPercent int    `json:"used_percent"`
}

// GrantView is credits of one kind and life.
type GrantView struct {
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Name      string     `json:"name"`
	Amount    string     `json:"amount"`
	Used      string     `json:"used"`
	Held      string     `json:"held"`
	Remaining string     `json:"remaining"`
	Unlimited bool       `json:"unlimited,omitempty"`
	Renews    bool       `json:"renews,omitempty"`
	Rollover  string     `json:"rollover,omitempty"` // none, all, or up to how much
	GrantedAt *time.Time `json:"granted_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// BurnView is how fast credits go.
type BurnView struct {
	PerDay             string     `json:"per_day"`
	PerMonth           string     `json:"per_month"`
	WindowDays         int        `json:"window_days"`
	RunsOutAt          *time.Time `json:"runs_out_at"` // null: not within two years
	EnoughUntilRenewal bool       `json:"enough_until_renewal"`
}

// NextGrantView is the next renewal.
type NextGrantView struct {
	At     time.Time `json:"at"`
	Amount string    `json:"amount"`
}

// LinksView is where users go.
type LinksView struct {
	TopUp   string `json:"top_up,omitempty"`
	Upgrade string `json:"upgrade,omitempty"`
	Support string `json:"support,omitempty"`
}

func (c *call) balance() (BalanceView, error) {
	r, err := c.m.Reports.Recent(c.Context(), c.who.account)
	if err != nil {
		return BalanceView{}, err
	}
	a, b, now := r.Account, c.bookNow(), c.m.Now()
	v := BalanceView{
		FundsView: c.funds(a), Account: string(a.ID), Name: nameOf(string(a.ID), a.Name), Plan: planView(a, b), Unit: unitView(b),
		Affordable: c.affordable(a, r.TypicalCosts()), Links: c.links(a),
	}
	if a.OveragePeriod+a.OverageHeld > 0 {
		v.OverageFor = c.worth(a.OveragePeriod + a.OverageHeld)
	}
	v.Allowance = c.allowance(a, now)
	v.Status = c.m.Accounts.Status(a)
	if at, amount, ok := account.NextGrant(a, b.Plan(a.Sub.Plan), now, b.Policies.Timezone); ok {
		v.NextGrant = &NextGrantView{At: at, Amount: c.text(amount)}
	}
	v.Burn = c.burn(r)
	return v, nil
}

func unitView(b *pricing.Book) UnitView {
	u := UnitView{Name: b.Credit.Name, Plural: b.Credit.Plural, Decimals: b.Credit.Decimals}
	if b.Credit.Worth != nil {
		u.Worth = b.Credit.Worth.String()
	}
	return u
}

func planView(a *ledger.Account, b *pricing.Book) *PlanView {
	if a.Sub.Plan == "" {
		return nil
	}
	v := &PlanView{ID: a.Sub.Plan, Name: a.Sub.Plan}
	if p := b.Plan(a.Sub.Plan); p != nil {
		v.Name, v.Price, v.Metadata = nameOf(p.ID, p.Name), p.PriceText, p.Metadata
	}
	switch a.Sub.Then {
	case ledger.ThenRenew:
		v.RenewsAt = timeOf(a.Sub.End)
	case ledger.ThenChange:
		v.RenewsAt, v.Next = timeOf(a.Sub.End), a.Sub.ThenPlan
	case ledger.ThenCancel:
		v.EndsAt = timeOf(a.Sub.End)
	}
	if !a.Sub.EndsAt.IsZero() {
		v.RenewsAt, v.EndsAt = nil, timeOf(a.Sub.EndsAt)
	}
	return v
}

func (c *call) grantView(g *ledger.Grant, p *pricing.Plan) GrantView {
	v := GrantView{
		ID: string(g.ID), Type: g.Type, Name: nameOf(g.Type, g.Name), Amount: c.text(g.Amount), Used: c.text(g.Used()), Held: c.text(g.Held),
		Remaining: c.text(g.Available), Unlimited: g.Unlimited, Renews: g.Renewed, GrantedAt: timeOf(g.EffectiveAt), ExpiresAt: timeOf(g.ExpiresAt),
	}
	if g.Unlimited {
		v.Amount, v.Remaining = "unlimited", "unlimited"
	}
	if g.Renewed && p != nil {
		for _, line := range p.Grants {
			if line.Renewed && line.Type == g.Type {
				v.Rollover = map[pricing.Rollover]string{pricing.RolloverNone: "none", pricing.RolloverAll: "all", pricing.RolloverLimit: c.text(line.RolloverLimit)}[line.Rollover]
			}
		}
	}
	return v
}

// allowance sums the grants of the plan's rhythm that live now.
func (c *call) allowance(a *ledger.Account, now time.Time) *AllowanceView {
	var amount, used money.Amount
	for _, g := range a.Grants {
		if g.Live(now) && g.Renewed && g.Origin.Kind == ledger.FromPlan && !g.Unlimited {
			amount += g.Amount
			used += g.Used() + g.Held
		}
	}
	if amount == 0 {
		return nil
	}
	return &AllowanceView{Amount: c.text(amount), Used: c.text(used), UsedPercent: percent(used, amount)}
}

// percent is rounded down: 100 % means that all is used.
func percent(part, of money.Amount) int {
	share, err := money.Div(part.Decimal(0).Shift(2), of.Decimal(0), 0)
	if err != nil {
		return 0
	}
	return int(share)
}

func (c *call) burn(r *report.Recent) *BurnView {
	b, ok := r.Burn()
	if !ok {
		return nil
	}
	return &BurnView{
		PerDay: c.text(b.PerDay), PerMonth: c.text(b.PerMonth), WindowDays: b.Days, RunsOutAt: timeOf(b.RunsOut), EnoughUntilRenewal: b.EnoughUntilRenewal,
	}
}

// links are where admins buy; who may not buy is not sent there.
func (c *call) links(a *ledger.Account) LinksView {
	l := c.bookNow().Links
	v := LinksView{Support: fillLink(l.Support, a, "")}
	if c.who.admin() {
		v.TopUp, v.Upgrade = fillLink(l.TopUp, a, ""), fillLink(l.Upgrade, a, "")
	}
	return v
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// TrailView is how the balance came here, and where it goes at the present rate.
type TrailView struct {
	Timezone string      `json:"timezone"`
	Past     []PointView `json:"past"`   // of the last 14 days and now, every six hours
	Coming   []PointView `json:"coming"` // at the start of each day to come; empty: no rate is known yet
}

// PointView is what is available at a time, in credits.
type PointView struct {
	At        time.Time `json:"at"`
	Available string    `json:"available"`
}

func (c *call) trail() (TrailView, error) {
	q := c.URL.Query()
	zone, err := c.zone(q)
	if err != nil {
		return TrailView{}, err
	}
	const days, step = 14, 6 * time.Hour
	now := c.m.Now()
	today := calendar.At(now, calendar.Day, now, zone).Start
	var times []time.Time
	for t := today.AddDate(0, 0, -days); t.Before(now); t = t.Add(step) {
		times = append(times, t)
	}
	past, err := c.m.Reports.Trail(c.Context(), c.who.account, append(times, now))
	if err != nil {
		return TrailView{}, err
	}
	v := TrailView{Timezone: zone.String(), Past: []PointView{}, Coming: []PointView{}}
	for _, p := range past {
		v.Past = append(v.Past, PointView{p.At.UTC(), c.text(p.Available)})
	}
	b, _, err := c.m.Reports.Burn(c.Context(), c.who.account)
	for _, p := range b.Coming {
		v.Coming = append(v.Coming, PointView{p.At.UTC(), c.text(p.Available)})
	}
	return v, err
}
