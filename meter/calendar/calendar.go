// Package calendar computes billing periods: always from the original anchor,
// on the wall clock of a zone, clamped to the last day of a month. Adding
// months one after the other drifts (31 Jan → 28 Feb → 28 Mar), and
// time.AddDate overflows into the next month (31 Jan → 3 Mar).
package calendar

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Unit is a length of time on the calendar.
type Unit uint8

// Units. Minute is for durations only, Hour to Year for periods too.
const (
	Minute Unit = iota + 1
	Hour
	Day
	Week
	Month
	Quarter
	Year
)

var unitNames = [...]string{Minute: "minute", Hour: "hour", Day: "day", Week: "week", Month: "month", Quarter: "quarter", Year: "year"}

// String is the unit's English name in the singular; "" for the zero Unit.
func (u Unit) String() string {
	if int(u) < len(unitNames) {
		return unitNames[u]
	}
	return "unit " + strconv.Itoa(int(u))
}

// ParseUnit reads "month".
func ParseUnit(text string) (Unit, bool) {
	for u := Minute; u <= Year; u++ {
		if unitNames[u] == text {
			return u, true
		}
	}
	return 0, false
}

// months is how many months a calendar unit has; 0 for the others.
func (u Unit) months() int {
	switch u {
	case Month:
		return 1
	case Quarter:
		return 3
	case Year:
		return 12
	case Minute, Hour, Day, Week:
	}
	return 0
}

// Duration is "90 days" or "2 months". The zero Duration is none.
type Duration struct {
	Count int
	Unit  Unit
}

// ParseDuration reads "90 days", "1 month".
func ParseDuration(text string) (Duration, error) {
	number, name, ok := strings.Cut(text, " ")
	n, err := strconv.Atoi(strings.ReplaceAll(number, "_", ""))
	u, known := ParseUnit(strings.TrimSuffix(name, "s"))
	if !ok || err != nil || !known || n < 1 || n > 1_000_000 || strings.HasPrefix(number, "+") {
		return Duration{}, fmt.Errorf("%q is not a duration; write a number and a unit, such as \"90 days\"", text)
	}
	return Duration{Count: n, Unit: u}, nil
}

// String is "90 days".
func (d Duration) String() string {
	if d.Count == 1 {
		return "1 " + d.Unit.String()
	}
	return fmt.Sprintf("%d %ss", d.Count, d.Unit)
}

// After is t plus d: minutes to weeks are exact lengths (a day is 24 h),
// months to years go by the calendar of zone, clamped.
func (d Duration) After(t time.Time, zone *time.Location) time.Time {
	switch d.Unit {
	case Minute:
		return t.Add(time.Duration(d.Count) * time.Minute)
	case Hour:
		return t.Add(time.Duration(d.Count) * time.Hour)
	case Day:
		return t.Add(time.Duration(d.Count) * 24 * time.Hour)
	case Week:
		return t.Add(time.Duration(d.Count) * 7 * 24 * time.Hour)
	case Month, Quarter, Year:
	}
	return addMonths(t, d.Count*d.Unit.months(), zone)
}

// Period is one stretch [Start, End) of a rhythm.
type Period struct {
	N          int // 0 is the period that starts at the anchor; 0 too for hours and days
	Start, End time.Time
}

// At is the period of the rhythm (anchor, unit) that contains t. Hours and days
// start on the clock hour and at midnight of zone, whatever the anchor; weeks
// are 7 calendar days from it. A t before the anchor gives a negative N.
func At(anchor time.Time, unit Unit, t time.Time, zone *time.Location) Period {
	switch unit {
	case Hour:
		start := clockHour(t, zone)
		end := clockHour(start.Add(90*time.Minute), zone)
		return Period{Start: start, End: end}
	case Day:
		y, m, d := t.In(zone).Date()
		return Period{Start: wall(y, m, d, 0, 0, 0, 0, zone), End: wall(y, m, d+1, 0, 0, 0, 0, zone)}
	case Minute, Week, Month, Quarter, Year:
	}
	n := guess(anchor, unit, t, zone)
	for Nth(anchor, unit, n, zone).After(t) {
		n--
	}
	for !Nth(anchor, unit, n+1, zone).After(t) {
		n++
	}
	return Period{N: n, Start: Nth(anchor, unit, n, zone), End: Nth(anchor, unit, n+1, zone)}
}

// Nth is when period n of a week, month, quarter or year rhythm starts.
func Nth(anchor time.Time, unit Unit, n int, zone *time.Location) time.Time {
	if n == 0 {
		return anchor
	}
	if months := unit.months(); months > 0 {
		return addMonths(anchor, n*months, zone)
	}
	a := anchor.In(zone)
	y, m, d := a.Date()
	h, mi, sec := a.Clock()
	return wall(y, m, d+7*n, h, mi, sec, a.Nanosecond(), zone)
}

func guess(anchor time.Time, unit Unit, t time.Time, zone *time.Location) int {
	a, b := anchor.In(zone), t.In(zone)
	if months := unit.months(); months > 0 {
		return ((b.Year()-a.Year())*12 + int(b.Month()) - int(a.Month())) / months
	}
	return int(t.Sub(anchor) / (7 * 24 * time.Hour))
}

func clockHour(t time.Time, zone *time.Location) time.Time {
	l := t.In(zone)
	return t.Add(-time.Duration(l.Minute())*time.Minute - time.Duration(l.Second())*time.Second - time.Duration(l.Nanosecond()))
}

func addMonths(t time.Time, n int, zone *time.Location) time.Time {
	l := t.In(zone)
	y, m, d := l.Date()
	months := y*12 + int(m) - 1 + n
	y, m = months/12, time.Month(months%12+1)
	h, mi, sec := l.Clock()
	return wall(y, m, min(d, monthDays(y, m)), h, mi, sec, l.Nanosecond(), zone)
}

// monthDays is how many days a month has, in years after Christ.
func monthDays(y int, m time.Month) int {
	switch m {
	case time.February:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	case time.January, time.March, time.May, time.July, time.August, time.October, time.December:
	}
	return 31
}

// wall is the instant at which zone's clock shows this time: the first of two
// where clocks go back, the first after the gap where they go forward.
// time.Date promises neither.
func wall(y int, m time.Month, d, h, mi, s, ns int, zone *time.Location) time.Time {
	want := time.Date(y, m, d, h, mi, s, ns, time.UTC)
	t := time.Date(y, m, d, h, mi, s, ns, zone)
	shown := shownAt(t)
	start, end := t.ZoneBounds()
	switch {
	case shown.After(want) && !start.IsZero(): // t is behind the gap
		return start.UTC()
	case shown.Before(want) && !end.IsZero(): // t is before the gap
		return end.UTC()
	}
	if !start.IsZero() {
		_, before := start.Add(-1).Zone()
		if earlier := want.Add(-time.Duration(before) * time.Second); earlier.Before(start) {
			return earlier // t was the second of two
		}
	}
	return t.UTC()
}

// shownAt is the wall clock at t, written as if it were UTC.
func shownAt(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}
