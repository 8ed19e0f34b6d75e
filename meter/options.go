package meter

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// short explains a refusal for lack of credits, with all options.
func (a *admission) short(r *ledger.Refusal, acc *ledger.Account) *Refusal {
	b := a.book
	text := func(x money.Amount) string { return x.Text(b.Credit.Decimals) }
	missing := max(0, r.Needed-r.Available)
	f := &Facts{
		Reason: r.Reason, LimitSource: r.LimitSource, Needed: text(r.Needed), Available: text(r.Available), Held: text(r.Held),
		Missing: text(missing), Unit: b.Credit.Name, Operation: a.price.Subject().Operation, Model: a.price.Asked.Model,
		Account: a.req.Caller.Account, Book: b.Digest,
	}
	d := &Refusal{Reason: r.Reason, Facts: f, Err: r}
	switch {
	case r.Reason == ledger.InFlightHolds:
		d.Message = fmt.Sprintf("Credits are held by requests that are still running: this request needs up to %s, %s are available and %s are held. Nothing was charged. Try again in a moment.",
			b.Credit.Of(r.Needed), text(r.Available), text(r.Held))
		f.RetryAfter = time.Second
	case r.Limit != nil:
		l := r.Limit
		f.Limit = &LimitFacts{
			Per: l.Per, Amount: text(l.Amount), Every: l.Every.String(), Used: text(l.Used), Held: text(l.Held), Left: text(l.Left()), ResetsAt: l.ResetsAt.UTC(),
		}
		d.Message = fmt.Sprintf("The %s's cap of %s per %s leaves %s (%s used, %s held): this request needs up to %s. Nothing was charged. The cap resets at %s.",
			l.Per, b.Credit.Of(l.Amount), l.Every, b.Credit.Of(l.Left()), text(l.Used), text(l.Held), b.Credit.Of(r.Needed), l.ResetsAt.UTC().Format(time.RFC3339))
	case r.LimitSource != ledger.LimitBalance:
		d.Message = a.overageReached(r, acc)
	default:
		d.Message = a.ended(acc) + fmt.Sprintf("Not enough credits: this request needs up to %s, %s are available (%s missing). Nothing was charged.",
			b.Credit.Of(r.Needed), text(r.Available), text(missing))
	}
	if e, err := a.price.Estimate(a.ahead(), a.plan, pricing.FreeLeft{}).Explain(); err == nil {
		f.Breakdown = e.Breakdown()
	}
	if acc != nil {
		a.balances(f, acc)
	}
	a.options(d, r, acc)
	return d
}

// overageReached explains a refusal at the overage limit: what the limit leaves,
// and what the request needs of it, at what overage costs.
func (a *admission) overageReached(r *ledger.Refusal, acc *ledger.Account) string {
	b := a.book
	if acc == nil || a.plan == nil || a.plan.Overage == nil {
		return fmt.Sprintf("The overage limit of this billing period is reached: this request needs up to %s. Nothing was charged.", b.Credit.Of(r.Needed))
	}
	o := a.plan.Overage
	left := max(0, o.Limit-acc.OveragePeriod-acc.OverageHeld)
	needed, err := max(0, r.Needed-r.Available).Decimal(b.Credit.Decimals).Mul(o.Times).Ceil(b.Credit.Decimals)
	if err != nil {
		needed = r.Needed
	}
	text := fmt.Sprintf("The overage limit of %s in this billing period leaves %s: this request needs up to %s of overage. Nothing was charged.", b.Credit.Of(o.Limit), b.Credit.Of(left), b.Credit.Of(needed))
	if !acc.Sub.End.IsZero() {
		text += " The period ends at " + acc.Sub.End.UTC().Format(time.RFC3339) + "."
	}
	return text
}

// ended says that the account's last plan is over, if the present one began by that.
func (a *admission) ended(acc *ledger.Account) string {
	if acc == nil {
		return ""
	}
	name := func(id string) string {
		if p := a.book.Plan(id); p != nil {
			return p.Name
		}
		return id
	}
	if l := acc.Lapsed; l != nil {
		return fmt.Sprintf("The plan %q is not paid. ", name(l.Plan))
	}
	for id, l := range acc.Left {
		if !l.EndsAt.IsZero() && l.EndsAt.Equal(acc.Sub.Since) {
			return fmt.Sprintf("The plan %q ended at %s. ", name(id), l.EndsAt.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

func (a *admission) balances(f *Facts, acc *ledger.Account) {
	now := a.m.Now()
	if now.Before(acc.Clock) {
		now = acc.Clock
	}
	index := map[string]int{}
	for _, g := range acc.Grants {
		if !g.Live(now) {
			continue
		}
		i, ok := index[g.Type]
		if !ok {
			i = len(f.Balances)
			index[g.Type] = i
			f.Balances = append(f.Balances, TypeBalance{Type: g.Type, Remaining: "0"})
		}
		t := &f.Balances[i]
		have, _ := money.ParseAmount(t.Remaining, a.book.Credit.Decimals)
		t.Remaining = (have + g.Available).Text(a.book.Credit.Decimals)
		if g.Renewed {
			t.RenewsAt = timeOrNil(g.ExpiresAt)
		} else if t.ExpiresAt == nil || g.ExpiresAt.Before(*t.ExpiresAt) {
			t.ExpiresAt = timeOrNil(g.ExpiresAt)
		}
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// options lists the ways to continue, in the facts and, in words, in the message.
func (a *admission) options(d *Refusal, r *ledger.Refusal, acc *ledger.Account) {
	f, b := d.Facts, a.book
	var ways []string
	if acc != nil && r.Limit == nil && r.Reason == ledger.InsufficientCredits {
		ways = append(ways, a.topUp(f, acc, max(0, r.Needed-r.Available))...)
		ways = append(ways, a.wait(f, acc)...)
	}
	if l := r.Limit; l != nil && acc != nil {
		at := l.ResetsAt.UTC()
		if a.waits(acc, at) {
			f.Options = append(f.Options, Option{Do: "wait", Until: &at})
			if in := at.Sub(a.m.Now()); in < 24*time.Hour {
				f.RetryAfter = in
			}
		}
		if l.Per != "account" {
			ways = append(ways, "ask an admin of the account to raise the cap")
		}
	}
	if bound, ok := a.largest(r.Fits); ok && acc != nil && a.reduces(acc, bound) {
		set, names := map[string]int64{}, a.api.OutputLimit().Members(a.req.Body)
		for _, name := range names {
			set[name] = bound
		}
		ways = append(ways, fmt.Sprintf("set %s to at most %d", strings.Join(names, " and "), bound))
		f.Options = append(f.Options, Option{Do: "reduce", Set: set})
	}
	if acc != nil {
		ways = append(ways, a.cheaper(f, acc, r.Fits)...)
	}
	if b.Links.Upgrade != "" && a.m.mayBuy(a.req.Caller) {
		f.Options = append(f.Options, Option{Do: "upgrade", URL: FillLink(b.Links.Upgrade, a.req.Caller.Account, "")})
	}
	if len(ways) > 0 {
		d.Message += " You can " + strings.Join(ways, ", or ") + "."
	}
}

// topUp offers the packs that are enough for the request, each by itself, and how
// many of it that takes.
func (a *admission) topUp(f *Facts, acc *ledger.Account, missing money.Amount) []string {
	if !a.m.mayBuy(a.req.Caller) {
		return []string{"ask an admin of the account for more"}
	}
	b := a.book
	o := Option{Do: "top_up"}
	first := ""
	for _, p := range b.Packs {
		if !p.SellsTo(acc.Sub.Plan) {
			continue
		}
		n := a.packs(acc, p, missing)
		if n == 0 {
			continue
		}
		offer := packOffer(b.Book, p)
		if n > 1 {
			offer.Times = n
		}
		if o.Packs = append(o.Packs, offer); first == "" {
			first = p.ID
		}
	}
	if len(b.Packs) > 0 && len(o.Packs) == 0 {
		return nil
	}
	if o.URL = FillLink(b.Links.TopUp, a.req.Caller.Account, first); o.URL == "" && len(o.Packs) == 0 {
		return nil
	}
	f.Options = append(f.Options, o)
	if o.URL == "" {
		return nil
	}
	return []string{"top up at " + o.URL}
}

// wait tells when the next allowance comes, and Retry-After if that is soon.
func (a *admission) wait(f *Facts, acc *ledger.Account) []string {
	if acc == nil {
		return nil
	}
	at, amount, ok := account.NextGrant(acc, a.book.Plan(acc.Sub.Plan), a.m.Now(), a.book.Policies.Timezone)
	if !ok || !a.waits(acc, at) {
		return nil
	}
	credits := amount.Text(a.book.Credit.Decimals)
	f.Options = append(f.Options, Option{Do: "wait", Until: &at, Credits: credits})
	if in := at.Sub(a.m.Now()); in < 24*time.Hour {
		f.RetryAfter = in
	}
	return []string{fmt.Sprintf("wait for %s at %s", a.book.Credit.Of(amount), at.Format(time.RFC3339))}
}

// maxOffered bounds the search for a cheaper model in a large price book.
const maxOffered = 200

// maxTried bounds how many of those that look affordable are tried.
const maxTried = 5

// cheaper names the dearest model of the price book that the account can use now:
// the one nearest to what was asked for.
func (a *admission) cheaper(f *Facts, acc *ledger.Account, available money.Amount) []string {
	if !a.price.TokenPriced() || a.price.Model().ID() == "" {
		return nil
	}
	type candidate struct {
		model string
		needs money.Amount
	}
	var list []candidate
	for _, m := range a.book.Models[:min(len(a.book.Models), maxOffered)] {
		if strings.Contains(m.Key, "*") || m.Key == a.price.Model().ID() {
			continue
		}
		if q, err := a.price.Estimate(a.ahead(), a.plan, pricing.FreeLeft{}).HoldAs(m); err == nil && q.Amount <= available {
			list = append(list, candidate{m.Key, q.Amount})
		}
	}
	slices.SortStableFunc(list, func(x, y candidate) int { return cmp.Compare(y.needs, x.needs) })
	for _, c := range list[:min(len(list), maxTried)] {
		if a.asks(acc, c.model) {
			needed := c.needs.Text(a.book.Credit.Decimals)
			f.Options = append(f.Options, Option{Do: "use_model", Model: c.model, Needed: needed})
			return []string{fmt.Sprintf("use the model %s, which needs %s", c.model, needed)}
		}
	}
	return nil
}

// packOffer is a pack as it is offered.
func packOffer(b *pricing.Book, p *pricing.Pack) PackOffer {
	o := PackOffer{ID: p.ID, Name: p.Name, Price: p.Price.String()}
	if !p.ByPrice {
		o.Credits = p.Credits.Text(b.Credit.Decimals)
	}
	if p.MaxPrice != nil {
		o.Price += " to " + p.MaxPrice.String()
	}
	return o
}

// FillLink puts account and pack into a link of the price file, where it says
// {account} and {pack}.
func FillLink(link, account, pack string) string {
	return strings.NewReplacer("{account}", url.QueryEscape(account), "{pack}", url.QueryEscape(pack)).Replace(link)
}
