package api

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/usage"
)

// UsageView is a report of what an account used.
type UsageView struct {
	Account   string            `json:"account"`
	From      time.Time         `json:"from"`
	To        time.Time         `json:"to"`
	Timezone  string            `json:"timezone"`
	Interval  string            `json:"interval,omitempty"`
	GroupBy   string            `json:"group_by,omitempty"`
	Unit      string            `json:"unit"`
	Data      []UsageLine       `json:"data"`
	Intervals []time.Time       `json:"intervals"` // all of the range, also those in which nothing was used
	Total     UsageSum          `json:"total"`
	Before    UsageSum          `json:"before"` // the range of the same length before
	Groups    map[string]string `json:"groups"` // group → name for people
	Labels    []string          `json:"labels"` // that group_by and filters can name, besides the dimensions
}

// UsageLine is one interval and group.
type UsageLine struct {
	Start time.Time `json:"start"`
	Group string    `json:"group"`
	UsageSum
}

// UsageSum is what was used. Credits are what was paid in the end.
type UsageSum struct {
	Requests   int64             `json:"requests"`
	Failed     int64             `json:"failed"`
	Estimated  int64             `json:"estimated"`
	Credits    string            `json:"credits"`
	Charged    string            `json:"charged"` // before refunds
	Refunded   string            `json:"refunded"`
	Worth      string            `json:"worth,omitempty"`
	Quantities map[string]string `json:"quantities"`
}

func (c *call) sum(s *usage.Sum) UsageSum {
	v := UsageSum{
		Requests: s.Requests, Failed: s.Failed, Estimated: s.Estimated, Credits: c.text(s.Net()), Charged: c.text(s.Cost),
		Refunded: c.text(s.Refunded), Worth: c.worth(s.Net()), Quantities: map[string]string{},
	}
	for _, u := range s.Units {
		v.Quantities[u.Unit] = u.Count.String()
	}
	return v
}

func (c *call) usage() (UsageView, error) {
	labels := c.labels()
	q := c.URL.Query()
	asked, err := c.usageQuery(q, labels)
	if err != nil {
		return UsageView{}, err
	}
	r, err := c.m.Reports.Usage(c.Context(), c.who.account, asked)
	if err != nil {
		return UsageView{}, err
	}
	if q.Get("format") == "csv" {
		return UsageView{}, c.usageCSV(r)
	}
	earlier := asked
	earlier.From, earlier.To, earlier.Interval = asked.From.Add(-asked.To.Sub(asked.From)), asked.From, 0
	before, err := c.m.Reports.Usage(c.Context(), c.who.account, earlier)
	if err != nil {
		return UsageView{}, err
	}
	return c.usageView(r, before, labels), nil
}

func (c *call) usageView(r, before *usage.Report, labels []string) UsageView {
	v := UsageView{
		Account: c.who.account, From: r.From.UTC(), To: r.To.UTC(), Timezone: r.Zone.String(), Interval: r.Interval.String(), GroupBy: r.By,
		Unit: c.bookNow().Credit.Plural, Data: []UsageLine{}, Intervals: r.Intervals(), Total: c.sum(&r.Total), Before: c.sum(&before.Total),
		Groups: map[string]string{}, Labels: labels,
	}
	name := c.groupNames(r.By)
	for _, l := range r.Lines() {
		v.Data = append(v.Data, UsageLine{Start: l.Start, Group: l.Group, UsageSum: c.sum(&l.Sum)})
		if _, ok := v.Groups[l.Group]; !ok {
			v.Groups[l.Group] = name(l.Group)
		}
	}
	return v
}

// labels are the names of the price file's labels.
func (c *call) labels() []string {
	names := []string{}
	for _, l := range c.bookNow().Labels {
		if !slices.Contains(usage.Dimensions, l.Name) && !slices.Contains(reserved, l.Name) {
			names = append(names, l.Name)
		}
	}
	return names
}

// reserved are parameters that a label of the same name must not shadow.
var reserved = []string{"account", "from", "to", "period", "interval", "group_by", "tz", "format", "state", "q", "limit", "cursor", "outcome"}

// groupNames names a group for people: as the price file, the key or the member does.
func (c *call) groupNames(by string) func(group string) string {
	b, names := c.bookNow(), map[string]string{}
	if by == "key" { // a name is no reason for the report to fail: without one, the id is shown
		keys, _ := c.m.Directory.Keys.List(c.who.account)
		for _, k := range keys {
			names[k.ID] = strings.TrimSpace(k.Name + " " + k.Hint)
		}
	}
	if by == "member" {
		members, _ := c.m.Directory.Members.List(c.who.account)
		for _, m := range members {
			names[m.ID] = m.Name
		}
	}
	return func(group string) string {
		if op := b.Operation(group); by == "operation" && op != nil {
			return op.Name
		}
		if m := b.Model(group); by == "model" && m != nil {
			return m.Name
		}
		if name := names[group]; name != "" {
			return name
		}
		return group
	}
}

// usageQuery reads the parameters of a report. Who may not see what others use
// gets a report of what is theirs.
func (c *call) usageQuery(q url.Values, labels []string) (asked usage.Query, err error) {
	if asked.Zone, err = c.zone(q); err != nil {
		return asked, err
	}
	if asked.From, asked.To, err = c.span(q, asked.Zone); err != nil {
		return asked, err
	}
	if asked.By = q.Get("group_by"); asked.By != "" && !slices.Contains(usage.Dimensions, asked.By) && !slices.Contains(labels, asked.By) {
		return asked, invalid("group_by=%s; write one of %s", asked.By, strings.Join(slices.Concat(usage.Dimensions, labels), ", "))
	}
	if text := q.Get("interval"); text != "" {
		asked.Interval, _ = calendar.ParseUnit(text)
		if asked.Interval == calendar.Hour && asked.To.Sub(asked.From) > 400*24*time.Hour {
			return asked, invalid("interval=hour is for up to 400 days; write day")
		}
	}
	asked.Where, err = c.where(q, slices.Concat(usage.Dimensions, labels))
	return asked, err
}

// where collects filters, and adds the one that keeps members apart.
func (c *call) where(q url.Values, names []string) (map[string]string, error) {
	where := map[string]string{}
	for _, name := range names {
		if q.Has(name) {
			where[name] = q.Get(name)
		}
	}
	if !c.who.seesAll {
		if have, asked := where["member"]; asked && have != c.who.member {
			return nil, ErrForbidden
		}
		where["member"] = c.who.member
	}
	return where, nil
}

// zone is ?tz=, or the price file's.
func (c *call) zone(q url.Values) (*time.Location, error) {
	name := q.Get("tz")
	if name == "" {
		return c.bookNow().Policies.Timezone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, invalid("tz=%s is no time zone; write one such as Europe/Berlin", name)
	}
	return zone, nil
}

// span is the range that a report is about: from and to, as days of the zone or
// as instants, or a period that ends now. The default is 30 days with today.
func (c *call) span(q url.Values, zone *time.Location) (from, to time.Time, err error) {
	var period time.Time
	if q.Get("period") == "this_period" {
		a, err := c.m.Accounts.Get(c.Context(), c.who.account)
		if err != nil {
			return from, to, err
		}
		period = a.Sub.Start
	}
	return Span(q, c.m.Now(), zone, period)
}

// Span reads from and to, or period; thisPeriod is when the account's billing
// period began, zero if there is none.
func Span(q url.Values, now time.Time, zone *time.Location, thisPeriod time.Time) (from, to time.Time, err error) {
	today := calendar.At(now, calendar.Day, now, zone)
	from, to = calendar.At(now, calendar.Day, today.Start.AddDate(0, 0, -29).Add(12*time.Hour), zone).Start, today.End
	switch p := q.Get("period"); p {
	case "", "30d":
	case "24h":
		to = usage.Align(now).Add(usage.Slot)
		from = to.Add(-24 * time.Hour)
	case "7d":
		from = calendar.At(now, calendar.Day, today.Start.AddDate(0, 0, -6).Add(12*time.Hour), zone).Start
	case "this_period":
		if from = usage.Align(thisPeriod); thisPeriod.IsZero() {
			from = calendar.At(today.Start, calendar.Month, now, zone).Start
		}
	default:
		return from, to, invalid("period=%s; write 24h, 7d, 30d or this_period, or from and to", p)
	}
	if q.Get("period") != "" && (q.Has("from") || q.Has("to")) {
		return from, to, invalid("write either period, or from and to")
	}
	if from, err = instant(q, "from", from, zone); err != nil {
		return from, to, err
	}
	if to, err = instant(q, "to", to, zone); err != nil {
		return from, to, err
	}
	if !from.Before(to) {
		return from, to, invalid("from is not before to")
	}
	if to.Sub(from) > 10*366*24*time.Hour {
		return from, to, invalid("the range is longer than 10 years")
	}
	return from, to, nil
}

// instant reads a day (its midnight; as "to", the day is not included) or a time.
func instant(q url.Values, name string, otherwise time.Time, zone *time.Location) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		noon := time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, zone)
		return calendar.At(noon, calendar.Day, noon, zone).Start, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, invalid("%s=%s; write a day such as 2026-11-22 or a time such as 2026-11-22T09:00:00Z", name, text)
	}
	return t, nil
}
