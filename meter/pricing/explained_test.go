package pricing_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// dice make price files, requests and answers.
type dice struct{ *rand.Rand }

func (d dice) pick(list ...string) string { return list[d.IntN(len(list))] }

func (d dice) some(n int, one func() string) []string {
	var list []string
	for range d.IntN(n + 1) {
		list = append(list, one())
	}
	return list
}

func (d dice) rate() string { return d.pick("0", "0.003", "1", "2.5", "0.0001", "7") }

func (d dice) rates(units ...string) string {
	parts := []string{"per_request: " + d.rate()}
	if d.IntN(2) == 0 {
		parts = append(parts, fmt.Sprintf("per_1k_tokens: {input: %s, output: %s, cached_input: %s}", d.rate(), d.rate(), d.rate()))
	}
	for _, u := range units {
		if d.IntN(2) == 0 {
			parts = append(parts, "per_"+u+": "+d.rate())
		}
	}
	if d.IntN(4) == 0 {
		parts = append(parts, d.pick("minimum: 3", "maximum: 5"))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (d dice) when(units ...string) string {
	conditions := []string{
		"body.quality: " + d.pick("hd", "sd", "h*"), "header.X-Lane: [a, b]", "body.size: {above: 10}", "response.body.kind: " + d.pick("x", "y"),
		"response.status: 200", "service_tier: " + d.pick("flex", "a b=c"), "input_tokens: {above: 50}", "output_tokens: {at_most: 50}",
		`hours: "22:00-12:30"`, "days: [mon]", "model: " + d.pick("m1", "m2", `"m*"`), "key.team: red",
	}
	for _, u := range units {
		conditions = append(conditions, u+": {at_least: 3}")
	}
	first := d.pick(conditions...)
	if second := d.pick(conditions...); d.IntN(2) == 0 && strings.SplitN(second, ":", 2)[0] != strings.SplitN(first, ":", 2)[0] {
		return "{" + first + ", " + second + "}"
	}
	return "{" + first + "}"
}

func (d dice) adjusts(model bool, units ...string) string {
	list := d.some(3, func() string {
		what := "times: " + d.pick("2", "0.5", "0")
		switch d.IntN(5) {
		case 0:
			what = "price: " + d.rates(units...)
		case 1:
			what = "price: " + d.pick("3", "free")
		case 2:
			if !model {
				what = "price: by_model"
			}
		}
		if model {
			return fmt.Sprintf("      - {when: %s, %s}\n", d.when(), what)
		}
		return fmt.Sprintf("      - {when: %s, %s}\n", d.when(units...), what)
	})
	if len(list) == 0 {
		return ""
	}
	return "    adjust:\n" + strings.Join(list, "")
}

func (d dice) file() string {
	var s strings.Builder
	fmt.Fprintf(&s, "version: 1\ncredit: {name: credit, decimals: %d}\nmarkup: %s\noperations:\n  op:\n    match: POST /v1/chat/completions\n", d.IntN(5), d.pick("0%", "20%"))
	units := d.pick("", "odd_unit2", "page sheet_x", "image second")
	fields := strings.Fields(units)
	if len(fields) > 0 {
		s.WriteString("    measure:\n")
		for _, u := range fields {
			fmt.Fprintf(&s, "      %s: %s\n", u, d.pick("{from: body.n, default: 2}", "{from: response.body.count, reserve: 9}", "{from: header.X-N, default: 1}"))
		}
	}
	if d.IntN(3) == 0 {
		s.WriteString("    quantity: " + d.pick("{from: body.copies, default: 1}", "{from: response.body.copies, reserve: 3}") + "\n")
	}
	if len(fields) > 0 && d.IntN(3) == 0 {
		fmt.Fprintf(&s, "    free_tier: {%s: 3, every: month}\n", fields[0])
	}
	if d.IntN(4) == 0 {
		s.WriteString("    model: " + d.pick("body.engine", "response.body.model") + "\n")
	}
	s.WriteString("    price: " + d.pick("by_model", "by_model", d.rates(fields...)) + "\n" + d.adjusts(false, fields...))
	s.WriteString("models:\n")
	for _, m := range []string{"m1", "m2", `"m*"`} {
		fmt.Fprintf(&s, "  %s:\n", m)
		fmt.Fprintf(&s, "    per_request: %s\n    per_1k_tokens: {input: %s, output: %s, reasoning: %s}\n    per_web_search: %s\n", d.rate(), d.rate(), d.rate(), d.rate(), d.rate())
		for _, u := range fields {
			fmt.Fprintf(&s, "    per_%s: %s\n", u, d.rate())
		}
		if d.IntN(4) == 0 {
			s.WriteString("    effective_from: \"2026-06-" + d.pick("01", "15T11:59:00Z", "20") + "\"\n")
		}
		s.WriteString(d.adjusts(true))
	}
	s.WriteString("plans:\n  team-1: {discount: " + d.pick("10%", "0%", "33%") + "}\n")
	if d.IntN(2) == 0 {
		s.WriteString("policies: {unlisted_model: m1}\n")
	}
	return s.String()
}

func (d dice) request() *pricing.Facts {
	body := fmt.Sprintf(`{"model":%q,"engine":%q,"quality":%q,"size":%d,"n":%d,"copies":%d,"service_tier":%q}`,
		d.pick("m1", "m2", "mx", "other model"), d.pick("m1", "m2"), d.pick("hd", "sd"), d.IntN(20), d.IntN(6), d.IntN(3), d.pick("flex", "auto", "a b=c", ""))
	f := jsonFacts("POST", "/v1/chat/completions", body)
	f.Header = map[string][]string{"X-Lane": {d.pick("a", "c")}, "X-N": {d.pick("0", "4")}}
	f.Key.More = map[string]string{"team": d.pick("red", "blue")}
	return f
}

func (d dice) answer() *pricing.Answer {
	a := &pricing.Answer{Status: 200, Usage: &pricing.Usage{}}
	for _, k := range []pricing.Kind{pricing.Input, pricing.CachedInput, pricing.Output, pricing.Reasoning} {
		a.Usage.Tokens[k] = int64(d.IntN(200))
	}
	if d.IntN(2) == 0 {
		a.Usage.Units = append(a.Usage.Units, pricing.UnitCount{Unit: d.pick("web_search", "image", "page"), Count: money.FromInt(d.Uint64N(5))})
	}
	if d.IntN(3) > 0 {
		a.Body = fmt.Appendf(nil, `{"model":%q,"kind":%q,"count":%d.5,"copies":%d,"service_tier":%q}`,
			d.pick("m1", "m2", "my model: x=1"), d.pick("x", "y"), d.IntN(9), d.IntN(3), d.pick("flex", "odd tier, with: signs"))
	}
	return a
}

// Whatever a price file says, each charge is explained by what is kept of it, to
// exactly what it cost.
func TestEveryChargeIsExplained(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 13))} //nolint:gosec // repeatable
	files, charges := 0, 0
	for range 3000 {
		text := d.file()
		b, problems := pricefile.Load("pricing.yaml", []byte(text))
		if b == nil {
			if strings.Contains(problems.String(), "panic") {
				t.Fatal(problems)
			}
			continue
		}
		files++
		for range 4 {
			f := d.request()
			r, err := b.Read(f)
			if err != nil {
				continue
			}
			plan := b.Plan(d.pick("team-1", ""))
			free := pricing.FreeLeft{Left: money.FromInt(d.Uint64N(4))}
			if _, err := r.Estimate(pricing.Usage{}, plan, free).Hold(); err != nil {
				continue
			}
			parts := []*pricing.Answer{d.answer()}
			if d.IntN(3) == 0 {
				parts = append(parts, d.answer(), d.answer())
				for _, p := range parts {
					p.Body, p.By = nil, d.pick("m1", "m2", "strange name: =", "")
					p.Model = p.By
				}
				free = pricing.FreeLeft{}
			}
			charges++
			explained(t, b, r, f, parts, plan, free, text)
			if t.Failed() {
				return
			}
		}
	}
	if files < 1000 || charges < 3000 {
		t.Errorf("only %d files and %d charges", files, charges)
	}
}

func explained(t *testing.T, b *pricing.Book, r *pricing.Request, f *pricing.Facts, parts []*pricing.Answer, plan *pricing.Plan, free pricing.FreeLeft, file string) {
	t.Helper()
	var cost pricing.Quote
	var err error
	var text string
	if len(parts) > 1 {
		cost, err = pricing.Parts(parts).Cost(r, plan)
		whole := pricing.Parts(parts).Record(r, plan)
		text = pricing.RecordText(&pricing.Usage{}, &whole)
	} else {
		cost, err = r.Cost(parts[0], plan, free)
		used, marks, _, _ := r.Record(parts[0], plan)
		text = pricing.RecordText(&used, &marks)
	}
	if err != nil {
		t.Fatal(err)
	}
	u, marks, err := pricing.ParseRecord(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if marks.Held {
		return // the ledger keeps what was held
	}
	model := r.Asked.Model
	if cost.Model != r.Model().ID() {
		model = cost.Model
	}
	rec := &pricing.Recorded{Operation: "op", Model: model, At: f.At, Usage: u, Marks: marks, Made: b, Free: cost.FreeUsed}
	lines, again, err := rec.Explain(b, b.Plan(marks.Plan))
	if err != nil || again != cost.Amount {
		t.Errorf("%s again (%v), %s at first, from %q\nfree %v\n%s\n%s\n%v", again.Text(b.Credit.Decimals), err, cost.Amount.Text(b.Credit.Decimals), text, free, file, f.Body, lines)
	}
	if len(parts) == 1 {
		addsUp(t, b, lines, cost.Amount)
	}
}

// rated is a line of n units at a price.
var rated = regexp.MustCompile(`^([0-9,.]+) ([^ ]+) × ([0-9.]+)(?: / 1M)?$`)

// addsUp: the lines of the rates sum up to what the others start from, and the
// last one is the price.
func addsUp(t *testing.T, b *pricing.Book, lines []pricing.Line, cost money.Amount) {
	t.Helper()
	var sum money.Decimal
	for i, l := range lines {
		if i > 0 && lines[i-1].Label == "adjust" {
			sum = money.Decimal{} // by_model: the rates of the model replace those before
		}
		m := rated.FindStringSubmatch(l.Text)
		if m == nil || l.Label == "adjust" {
			sum = l.Total
			continue
		}
		n, errN := money.ParseDecimal(strings.ReplaceAll(m[1], ",", ""))
		price, errPrice := money.ParseDecimal(m[3])
		if m[2] == "tokens" {
			price = price.Shift(-6)
		}
		if sum = sum.Add(n.Mul(price)); errN != nil || errPrice != nil || sum.Cmp(l.Total) != 0 {
			t.Errorf("%q makes %s, but the line says %s (%v, %v):\n%v", l.Text, sum, l.Total, errN, errPrice, lines)
		}
	}
	if last, err := sum.Ceil(b.Credit.Decimals); err != nil || last != cost {
		t.Errorf("the last line says %s (%v), want %d:\n%v", sum, err, cost, lines)
	}
}
