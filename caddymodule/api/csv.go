package api

import (
	"encoding/csv"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/usage"
)

// sheet writes CSV: UTF-8, RFC 4180, with a header row. A cell that a
// spreadsheet would take for a formula begins with an apostrophe.
type sheet struct{ w *csv.Writer }

func (c *call) sheet(name string, header []string) *sheet {
	c.written = true
	c.w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	c.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	c.w.Header().Set("Cache-Control", "no-store")
	s := &sheet{csv.NewWriter(c.w)}
	s.w.UseCRLF = true
	s.row(header...)
	return s
}

func (s *sheet) row(cells ...string) {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = harmless(cell)
	}
	_ = s.w.Write(safe)
}

// harmless keeps a cell from being a formula; a negative number is not one.
func harmless(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return cell
	}
	if cell[0] == '-' && strings.Trim(cell[1:], "0123456789.") == "" && len(cell) > 1 {
		return cell
	}
	return "'" + cell
}

func (s *sheet) end() error {
	s.w.Flush()
	return s.w.Error()
}

func (c *call) usageCSV(r *usage.Report) error {
	units := []string{}
	for _, u := range r.Total.Units {
		units = append(units, u.Unit)
	}
	by := r.By
	if by == "" {
		by = "group"
	}
	s := c.sheet("usage", append([]string{"start", by, "requests", "failed", "estimated", "credits", "charged", "refunded", "worth"}, units...))
	for _, l := range r.Lines() {
		row := []string{
			l.Start.Format(time.RFC3339), l.Group, strconv.FormatInt(l.Requests, 10), strconv.FormatInt(l.Failed, 10), strconv.FormatInt(l.Estimated, 10),
			c.text(l.Net()), c.text(l.Cost), c.text(l.Refunded), c.exactWorth(l.Net()),
		}
		for _, u := range units {
			row = append(row, l.Count(u).String())
		}
		s.row(row...)
	}
	return s.end()
}

func (c *call) chargesCSV(f report.ChargeFilter, labels []string) error {
	s := c.sheet("charges", append([]string{
		"id", "at", "state", "operation", "feature", "model", "member", "key", "credits", "charged", "refunded", "held", "worth", "usage", "outcome", "status", "estimated",
	}, labels...))
	err := c.m.Reports.Charges(c.Context(), c.who.account, f, func(h *ledger.Charge) bool {
		k, sum := usage.Of(h)
		row := []string{
			string(h.ID), h.At.UTC().Format(time.RFC3339Nano), report.StateOf(h), h.Operation, h.Subject.Feature, h.Model, h.Member, h.Key, c.text(sum.Net()),
			c.text(sum.Cost), c.text(sum.Refunded), c.text(h.HeldTotal()), c.exactWorth(sum.Net()), h.Usage.String(), h.Outcome, strconv.Itoa(h.Status), strconv.FormatBool(h.Estimated),
		}
		for _, l := range labels {
			row = append(row, k.Value(l))
		}
		s.row(row...)
		return c.Context().Err() == nil
	})
	if err != nil {
		return err
	}
	return s.end()
}

// chargesLines writes one JSON object per line, the account included.
func (c *call) chargesLines(f report.ChargeFilter) error {
	c.written = true
	c.w.Header().Set("Content-Type", "application/jsonl")
	c.w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(c.w)
	enc.SetEscapeHTML(false)
	return c.m.Reports.Charges(c.Context(), c.who.account, f, func(h *ledger.Charge) bool {
		return enc.Encode(struct {
			Account string `json:"account"`
			ChargeView
		}{c.who.account, c.chargeView(h)}) == nil
	})
}

// focusColumns are the columns of FOCUS 1.2 (the FinOps Open Cost and Usage
// Specification, focus.finops.org) that a meter of credits can fill.
var focusColumns = []string{
	"BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
	"ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
	"ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
	"PricingCategory", "PricingCurrency", "PricingCurrencyEffectiveCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
	"ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SubAccountId", "SubAccountName", "Tags",
}

// chargesFocus writes one row per charge that cost anything.
func (c *call) chargesFocus(f report.ChargeFilter) error {
	b := c.bookNow()
	if b.Credit.Worth == nil {
		return invalid("FOCUS wants costs in money: say in the price file what a credit is worth (credit.worth), or take format=csv")
	}
	a, err := c.m.Accounts.Get(c.Context(), c.who.account)
	if err != nil {
		return err
	}
	brand := c.api.Brand.Name
	if brand == "" {
		brand = "Farebox"
	}
	s, operation := c.sheet("focus", focusColumns), c.groupNames("operation")
	err = c.m.Reports.Charges(c.Context(), c.who.account, f, func(h *ledger.Charge) bool {
		_, sum := usage.Of(h)
		if h.State == ledger.Held || sum.Net() == 0 {
			return true
		}
		cost, _, _ := strings.Cut(c.exactWorth(sum.Net()), " ")
		month := time.Date(h.At.UTC().Year(), h.At.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
		quantity, unit := consumed(&sum)
		name := operation(h.Operation)
		stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
		end := h.At.Truncate(time.Second).Add(time.Second)
		s.row(cost, string(a.ID), nameOf(string(a.ID), a.Name), b.Credit.Worth.Currency, stamp(month.AddDate(0, 1, 0)), stamp(month),
			"Usage", "", strings.TrimSpace(name+" "+h.Model), "Usage-Based", stamp(end), stamp(h.At.Truncate(time.Second)),
			quantity, unit, cost, cost, brand, cost,
			"Standard", b.Credit.Plural, c.text(sum.Net()), quantity, unit, brand, brand,
			string(h.ID), name, "Request", "AI and Machine Learning", name, "Generative AI", skuOf(h), h.Member, h.Member, tagsOf(h))
		return c.Context().Err() == nil
	})
	if err != nil {
		return err
	}
	return s.end()
}

// consumed is the one quantity that FOCUS has room for: the tokens in all, or
// the first other unit, or the request.
func consumed(s *usage.Sum) (quantity, unit string) {
	var tokens money.Decimal
	for _, u := range s.Units {
		if _, ok := pricing.KindByName(u.Unit); !ok {
			return u.Count.String(), u.Unit
		}
		tokens = tokens.Add(u.Count)
	}
	if !tokens.IsZero() {
		return tokens.String(), "tokens"
	}
	return "1", "request"
}

func skuOf(h *ledger.Charge) string {
	if h.Model == "" {
		return h.Operation
	}
	return h.Operation + "/" + h.Model
}

func tagsOf(h *ledger.Charge) string {
	tags := map[string]string{}
	for _, l := range h.Labels {
		tags[l.Name] = l.Value
	}
	if h.Subject.Feature != "" {
		tags["feature"] = h.Subject.Feature
	}
	raw, err := json.Marshal(tags)
	if err != nil {
		return "{}"
	}
	return string(raw)
}

func cursorNumber(q url.Values) (uint64, error) {
	text := q.Get("cursor")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, invalid("cursor=%s is not one that a list returned", text)
	}
	return n, nil
}

func numberCursor(n uint64) string { return strconv.FormatUint(n, 10) }

func queryEscape(s string) string { return url.QueryEscape(s) }
