package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/report"
)

// EstimateRequest asks what something would cost: one request as it would be
// sent, or a mix of operations over some days.
type EstimateRequest struct {
	Request *struct {
		Method  string            `json:"method"` // default POST
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	} `json:"request"`

	Mix    []MixLine `json:"mix"`
	Days   int       `json:"days"`   // default 1
	Buffer string    `json:"buffer"` // "25%"; default none
}

// MixLine is how much of one line of the price list is used.
type MixLine struct {
	Operation string `json:"operation"`
	Model     string `json:"model,omitempty"`
	PerDay    string `json:"per_day"`           // how many requests, or units of the price
	Credits   string `json:"credits,omitempty"` // of one; default: the price list's, or what it cost lately
}

// EstimateAnswer is the answer to either.
type EstimateAnswer struct {
	Unit        string            `json:"unit"`
	Hold        string            `json:"hold,omitempty"` // of a request: what is held before it runs
	Worth       string            `json:"worth,omitempty"`
	Calculation []CalculationLine `json:"calculation,omitempty"`
	Affordable  bool              `json:"affordable"` // from what is available now

	Lines      []MixResult `json:"lines,omitempty"`
	Sum        string      `json:"sum,omitempty"`
	WithBuffer string      `json:"with_buffer,omitempty"`
	Plan       *PlanFit    `json:"plan,omitempty"` // the smallest plan that covers it each month
}

// MixResult is one line of a mix.
type MixResult struct {
	Operation string `json:"operation"`
	Name      string `json:"name"`
	Model     string `json:"model,omitempty"`
	Times     string `json:"times"`
	Each      string `json:"each"`
	Credits   string `json:"credits"`
	Typical   bool   `json:"typical,omitempty"`
}

// PlanFit is a plan with the credits that it grants in a month.
type PlanFit struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Price   string `json:"price,omitempty"`
	Credits string `json:"credits"` // "unlimited" too
}

func (c *call) estimate(in EstimateRequest) (EstimateAnswer, error) {
	switch {
	case in.Request != nil && len(in.Mix) == 0:
		return c.estimateRequest(&in)
	case in.Request == nil && len(in.Mix) > 0 && len(in.Mix) <= 100:
		return c.estimateMix(&in)
	}
	return EstimateAnswer{}, invalid(`send either {"request":{"path":…,"body":…}} or {"mix":[{"operation":…,"per_day":"30"}],"days":22}, up to 100 lines`)
}

func (c *call) estimateRequest(in *EstimateRequest) (EstimateAnswer, error) {
	r := in.Request
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if !strings.HasPrefix(r.Path, "/") {
		return EstimateAnswer{}, invalid("request.path is %q; write it as /v1/chat/completions", r.Path)
	}
	header := map[string][]string{"Content-Type": {"application/json"}}
	for name, value := range r.Headers {
		header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	e, err := c.m.Estimate(c.Context(), &meter.Request{
		Method: r.Method, URI: r.Path, Header: header, Body: r.Body, ContentType: header["Content-Type"][0],
		Caller: meter.Caller{Account: c.who.account, Member: c.who.member},
	})
	if err != nil {
		return EstimateAnswer{}, invalid("%v", err)
	}
	out := EstimateAnswer{Unit: c.bookNow().Credit.Plural, Hold: c.text(e.Quote.Amount), Worth: c.worth(e.Quote.Amount), Calculation: []CalculationLine{}}
	for _, l := range e.Lines {
		out.Calculation = append(out.Calculation, CalculationLine{Label: l.Label, Text: l.Text, Total: l.Total.String()})
	}
	a, err := c.m.Accounts.Get(c.Context(), c.who.account)
	if err != nil {
		return EstimateAnswer{}, err
	}
	s := e.Subject
	available, unlimited := a.AvailableFor(&s, c.m.Now())
	out.Affordable = unlimited || available >= e.Quote.Amount
	return out, nil
}

func (c *call) estimateMix(in *EstimateRequest) (EstimateAnswer, error) {
	m, err := c.m.Reports.EstimateMix(c.Context(), c.who.account, mixOf(in))
	if err != nil {
		return EstimateAnswer{}, err
	}
	b := c.bookNow()
	out := EstimateAnswer{Unit: b.Credit.Plural, Lines: []MixResult{}, Sum: c.text(m.Sum), WithBuffer: c.text(m.WithBuffer), Worth: c.worth(m.WithBuffer)}
	for _, l := range m.Lines {
		out.Lines = append(out.Lines, MixResult{
			Operation: l.Operation, Name: l.Name, Model: l.Model, Times: l.Times.String(), Each: l.Each.String(), Credits: c.text(l.Credits), Typical: l.Typical,
		})
	}
	if m.Plan != nil {
		out.Plan = &PlanFit{ID: m.Plan.ID, Name: nameOf(m.Plan.ID, m.Plan.Name), Price: m.Plan.PriceText, Credits: "unlimited"}
		if !m.Unlimited {
			out.Plan.Credits = c.text(m.PerMonth)
		}
	}
	if c.who.account == "" { // an operator who asks in general
		return out, nil
	}
	a, err := c.m.Accounts.Get(c.Context(), c.who.account)
	if err != nil {
		return EstimateAnswer{}, err
	}
	available, unlimited := a.Available(c.m.Now())
	out.Affordable = unlimited || available >= m.WithBuffer
	return out, nil
}

func mixOf(in *EstimateRequest) report.Mix {
	m := report.Mix{Days: in.Days, Buffer: in.Buffer}
	if m.Days == 0 {
		m.Days = 1
	}
	for _, l := range in.Mix {
		m.Lines = append(m.Lines, report.MixLine{Operation: l.Operation, Model: l.Model, PerDay: l.PerDay, Credits: l.Credits})
	}
	return m
}
