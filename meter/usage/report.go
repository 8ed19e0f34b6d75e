package usage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/store"
)

// Query says what a report is about.
type Query struct {
	From, To time.Time         // [From, To), on the boundary of a Slot; see Align
	Interval calendar.Unit     // Hour, Day, Week or Month of Zone; 0: one for all
	Zone     *time.Location    // of days, weeks and months
	By       string            // a dimension, or the name of a label; "": one group for all
	Where    map[string]string // dimension or label → the value that a row must have
}

// Dimensions that rows can be grouped and filtered by, besides labels.
var Dimensions = []string{"operation", "feature", "model", "member", "key"}

// Line is one cell of a report: an interval and a group.
type Line struct {
	Start time.Time // of the interval, in the query's zone; of one for all: From
	Group string    // value of the dimension, "" for rows without one
	Sum
}

// Report sums rows. Add rows in any order, then take Lines.
type Report struct {
	Query
	Total Sum
	cells map[cell]*Sum

	// A year has a hundred thousand rows, but few kinds of them, and they come in
	// order of time: what was worked out for the last ones serves the next.
	kinds map[string]kind   // by what a name says besides the time
	last  calendar.Period   // the interval of the last row
	row   Sum               // scratch
	units map[string]string // names of units
}

// kind is what a report makes of rows that differ in time only.
type kind struct {
	selected bool
	group    string
}

// mostKinds bounds kinds and units: clients may choose labels.
const mostKinds = 10_000

type cell struct {
	start int64 // Unix seconds
	group string
}

// Align is t on the boundary of a slot, at or before it.
func Align(t time.Time) time.Time { return t.Truncate(Slot) }

// NewReport starts a report.
func NewReport(q Query) *Report {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	q.From, q.To = Align(q.From), Align(q.To)
	return &Report{Query: q, cells: map[cell]*Sum{}, kinds: map[string]kind{}, units: map[string]string{}}
}

// Start is the least name of the rows that a report reads.
func (r *Report) Start() string { return store.Sequence(slot(r.From)) }

// Add adds a row. more is false if no later row can be in the report's range.
func (r *Report) Add(name string, value []byte) (more bool, err error) {
	slot, rest, ok := store.ParseSequence(name)
	if !ok {
		return false, ErrFormat
	}
	at := startOf(slot)
	if !at.Before(r.To) {
		return false, nil
	}
	if at.Before(r.From) {
		return true, nil
	}
	k, known := r.kinds[rest]
	if !known {
		if k, err = r.kindOf(name, rest); err != nil {
			return false, err
		}
	}
	if !k.selected {
		return true, nil
	}
	if err := r.row.decode(value, r.units); err != nil {
		return false, fmt.Errorf("usage of %s: %w", at.Format(time.RFC3339), err)
	}
	r.Total.Add(&r.row)
	to := cell{r.interval(at).Unix(), k.group}
	sum := r.cells[to]
	if sum == nil {
		sum = &Sum{}
		r.cells[to] = sum
	}
	sum.Add(&r.row)
	return true, nil
}

// kindOf reads all of a name.
func (r *Report) kindOf(name, rest string) (kind, error) {
	key, err := ParseName(name)
	if err != nil {
		return kind{}, err
	}
	if len(r.kinds) >= mostKinds || len(r.units) >= mostKinds {
		clear(r.kinds)
		clear(r.units)
	}
	k := kind{r.selects(&key), key.Value(r.By)}
	r.kinds[strings.Clone(rest)] = k
	return k, nil
}

func (r *Report) selects(k *Key) bool {
	for dimension, value := range r.Where {
		if k.Value(dimension) != value {
			return false
		}
	}
	return true
}

// interval is the start of the interval that contains t.
func (r *Report) interval(t time.Time) time.Time {
	if r.Interval == 0 {
		return r.From
	}
	if t.Before(r.last.Start) || !t.Before(r.last.End) {
		anchor := time.Date(2024, 1, 1, 0, 0, 0, 0, r.Zone) // a Monday, and the first of a month
		r.last = calendar.At(anchor, r.Interval, t, r.Zone)
	}
	return r.last.Start
}

// Value is the key's value of a dimension or label.
func (k *Key) Value(dimension string) string {
	switch dimension {
	case "":
		return ""
	case "operation":
		return k.Operation
	case "feature":
		return k.Feature
	case "model":
		return k.Model
	case "member":
		return k.Member
	case "key":
		return k.APIKey
	}
	for _, l := range k.Labels {
		if l.Name == dimension {
			return l.Value
		}
	}
	return ""
}

// Lines are the cells that are not empty, by time, then by net cost, largest first,
// then by group.
func (r *Report) Lines() []Line {
	lines := make([]Line, 0, len(r.cells))
	for at, s := range r.cells {
		lines = append(lines, Line{Start: time.Unix(at.start, 0).In(r.Zone), Group: at.group, Sum: *s})
	}
	slices.SortFunc(lines, func(a, b Line) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		if a.Net() != b.Net() {
			if a.Net() > b.Net() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Group, b.Group)
	})
	return lines
}

// Intervals are the starts of all intervals of the query, with or without usage.
// The first one may begin before From.
func (r *Report) Intervals() []time.Time {
	if r.Interval == 0 || !r.From.Before(r.To) {
		return []time.Time{r.From.In(r.Zone)}
	}
	var starts []time.Time
	for t := r.From; t.Before(r.To) && len(starts) < MaxIntervals; {
		p := calendar.At(time.Date(2024, 1, 1, 0, 0, 0, 0, r.Zone), r.Interval, t, r.Zone)
		starts = append(starts, p.Start.In(r.Zone))
		t = p.End
	}
	return starts
}

// MaxIntervals bounds a report: 400 days by the hour.
const MaxIntervals = 9600
