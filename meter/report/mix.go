package report

import (
	"context"
	"strings"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Mix is what someone means to do each day, for some days.
type Mix struct {
	Lines  []MixLine
	Days   int
	Buffer string // "25%": this much more; "" for none
}

// MixLine is how many requests at standard settings, or units if the file has no
// defaults for them, see pricing.ListedPrice.Each. Credits is the price of one,
// if the list has no single one.
type MixLine struct{ Operation, Model, PerDay, Credits string }

// MixEstimate is what a mix costs.
type MixEstimate struct {
	Lines           []MixCost
	Sum, WithBuffer money.Amount
	Plan            *pricing.Plan // the cheapest that covers it; nil: none does
	PerMonth        money.Amount  // what that plan grants in a month, unless Unlimited
	Unlimited       bool
}

// MixCost is one line of an estimate.
type MixCost struct {
	Operation, Name, Model string
	Times, Each            money.Decimal
	Credits                money.Amount
	Typical                bool // Each is the mean of what it cost lately
}

// EstimateMix adds up a mix; account may be "".
func (rs *Reports) EstimateMix(ctx context.Context, account string, mix Mix) (*MixEstimate, error) {
	b := rs.books.InForce()
	if mix.Days < 1 || mix.Days > 3660 {
		return nil, input.Errorf("days is %d; write 1 to 3660", mix.Days)
	}
	more, err := bufferOf(mix.Buffer)
	if err != nil {
		return nil, err
	}
	var typical map[string]money.Amount
	if account != "" {
		typical = rs.TypicalCosts(ctx, account)
	}
	out := &MixEstimate{}
	var sum money.Decimal
	for _, l := range mix.Lines {
		c, err := mixCost(b.Book, l, mix.Days, typical)
		if err != nil {
			return nil, err
		}
		sum = sum.Add(c.Credits.Decimal(b.Credit.Decimals))
		out.Lines = append(out.Lines, c)
	}
	if out.Sum, err = sum.Ceil(b.Credit.Decimals); err != nil {
		return nil, input.Errorf("that is more credits than can be counted")
	}
	if out.WithBuffer, err = sum.Mul(more).Ceil(b.Credit.Decimals); err != nil {
		return nil, input.Errorf("that is more credits than can be counted")
	}
	out.fit(b.Book, mix)
	return out, nil
}

func bufferOf(text string) (money.Decimal, error) {
	one := money.FromInt(1)
	if text == "" {
		return one, nil
	}
	number, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	d, err := money.ParseDecimal(strings.TrimSpace(number))
	if !ok || err != nil || d.Cmp(money.FromInt(1000)) > 0 {
		return one, input.Errorf("buffer is %q; write a share such as 25%%", text)
	}
	return one.Add(d.Shift(-2)), nil
}

func mixCost(b *pricing.Book, l MixLine, days int, typical map[string]money.Amount) (c MixCost, err error) {
	op := b.Operation(l.Operation)
	if op == nil {
		return c, input.Errorf("there is no operation %q in the price file", l.Operation)
	}
	c = MixCost{Operation: op.ID, Name: op.Name, Model: l.Model}
	perDay, err := money.ParseDecimal(l.PerDay)
	if err != nil {
		return c, input.Errorf("%s: per_day is %q; write how many a day", op.ID, l.PerDay)
	}
	each, ok := listed(b, op.ID, l.Model)
	if cost, known := typical[op.ID]; !ok && known {
		each, ok, c.Typical = cost.Decimal(b.Credit.Decimals), true, true
	}
	if l.Credits != "" {
		if each, err = money.ParseDecimal(l.Credits); err != nil {
			return c, input.Errorf("%s: credits is %q; write what one costs", op.ID, l.Credits)
		}
		ok, c.Typical = true, false
	}
	if !ok {
		return c, input.Errorf("%s has no single price; say what one costs (credits), or name the model", op.ID)
	}
	c.Each, c.Times = each, perDay.Mul(money.FromInt(uint64(days))) //nolint:gosec // not negative
	if c.Credits, err = c.Each.Mul(c.Times).Ceil(b.Credit.Decimals); err != nil {
		return c, input.Errorf("%s: that is more credits than can be counted", op.ID)
	}
	return c, nil
}

// listed is the price of one in the price list, a standard request or a unit; of
// an operation priced by model without a model, that of its first model.
func listed(b *pricing.Book, operation, model string) (money.Decimal, bool) {
	for _, p := range b.PricesList() {
		if p.Operation == operation && (model == "" || p.Model == model) {
			if _, credits, ok := p.Each(); ok {
				return credits, true
			}
		}
	}
	return money.Decimal{}, false
}

// fit finds the plan with the smallest monthly allowance that covers a month of
// the mix. A mix of up to a month counts as that month's.
func (e *MixEstimate) fit(b *pricing.Book, mix Mix) {
	need := e.WithBuffer
	if days := money.Amount(mix.Days); days > 31 {
		need = need/days*30 + (need%days*30+days-1)/days
	}
	for _, p := range b.Plans {
		if !permitsAll(b, p, mix.Lines) {
			continue
		}
		have, unlimited := monthly(p)
		switch {
		case unlimited:
			if e.Plan == nil {
				e.Plan, e.Unlimited = p, true
			}
		case have >= need && (e.Plan == nil || e.Unlimited || have < e.PerMonth):
			e.Plan, e.PerMonth, e.Unlimited = p, have, false
		}
	}
}

func permitsAll(b *pricing.Book, p *pricing.Plan, lines []MixLine) bool {
	for _, l := range lines {
		if s := SubjectOf(b, l.Operation, l.Model); !p.Permits(&s) {
			return false
		}
	}
	return true
}

// monthly is what a plan grants in a month of 30 days.
func monthly(p *pricing.Plan) (sum money.Amount, unlimited bool) {
	for _, g := range p.Grants {
		if g.Unlimited {
			return 0, true
		}
		if !g.Renewed {
			continue
		}
		a := min(g.Amount, ledger.MaxAmount/1000)
		switch g.Every {
		case calendar.Hour:
			sum += a * 24 * 30
		case calendar.Day:
			sum += a * 30
		case calendar.Week:
			sum += a * 4
		case calendar.Month, calendar.Minute:
			sum += a
		case calendar.Quarter:
			sum += a / 3
		case calendar.Year:
			sum += a / 12
		}
	}
	return sum, false
}
