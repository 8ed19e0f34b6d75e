package calendar

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func utc(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestPeriods(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for _, c := range []struct {
		name, anchor string
		unit         Unit
		at, start    string
		end          string
		zone         *time.Location
	}{
		{"31 January, in February", "2027-01-31T00:00:00Z", Month, "2027-02-28T00:00:00Z", "2027-02-28T00:00:00Z", "2027-03-31T00:00:00Z", time.UTC},
		{"leap year", "2028-01-31T06:00:00Z", Month, "2028-02-29T05:59:59Z", "2028-01-31T06:00:00Z", "2028-02-29T06:00:00Z", time.UTC},
		{"no 29 February in 2100", "2099-12-31T06:00:00Z", Month, "2100-02-28T06:00:00Z", "2100-02-28T06:00:00Z", "2100-03-31T06:00:00Z", time.UTC},
		{"29 February, yearly", "2028-02-29T06:00:00Z", Year, "2029-03-01T00:00:00Z", "2029-02-28T06:00:00Z", "2030-02-28T06:00:00Z", time.UTC},
		{"quarter over summer time", "2026-01-05T10:00:00Z", Quarter, "2026-04-05T09:00:00Z", "2026-04-05T09:00:00Z", "2026-07-05T09:00:00Z", berlin},
		{"a day of 23 hours", "2026-01-01T00:00:00Z", Day, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", berlin},
		{"a day of 25 hours", "2026-01-01T00:00:00Z", Day, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", berlin},
		{"week across summer time", "2026-03-25T11:00:00Z", Week, "2026-04-01T10:00:00Z", "2026-04-01T10:00:00Z", "2026-04-08T10:00:00Z", berlin},
		{"clock hour", "2026-01-01T00:17:00Z", Hour, "2026-01-01T05:17:00Z", "2026-01-01T05:00:00Z", "2026-01-01T06:00:00Z", time.UTC},
		{"hour in a zone of half hours", "2026-01-01T00:17:00Z", Hour, "2026-01-01T05:17:00Z", "2026-01-01T04:30:00Z", "2026-01-01T05:30:00Z", zone(t, "Asia/Kolkata")},
		{"in a gap: first instant after it", "2026-01-29T01:30:00Z", Month, "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", "2026-04-29T00:30:00Z", berlin},
		{"in an overlap: the first", "2026-09-25T00:30:00Z", Month, "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z", "2026-11-25T01:30:00Z", berlin},
	} {
		p := At(utc(c.anchor), c.unit, utc(c.at), c.zone)
		if !p.Start.Equal(utc(c.start)) || !p.End.Equal(utc(c.end)) {
			t.Errorf("%s: %s to %s, want %s to %s", c.name, p.Start.UTC().Format(time.RFC3339), p.End.UTC().Format(time.RFC3339), c.start, c.end)
		}
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]string{"90 days": "90 days", "1 month": "1 month", "1 days": "1 day", "1_000 hours": "1000 hours"} {
		d, err := ParseDuration(in)
		if err != nil || d.String() != want {
			t.Errorf("%s: %s, %v", in, d, err)
		}
	}
	for _, in := range []string{"90d", "days", "0 days", "-1 days", "1.5 days", "90  days", "+3 days", "3 fortnights", ""} {
		if d, err := ParseDuration(in); err == nil {
			t.Errorf("%q was read as %s", in, d)
		}
	}
	two := Duration{2, Month}
	if got := two.After(utc("2026-12-31T12:00:00Z"), time.UTC); !got.Equal(utc("2027-02-28T12:00:00Z")) {
		t.Errorf("two months after New Year's Eve: %s", got)
	}
}

// Every start date of a leap cycle in zones with all sorts of clocks: period
// starts strictly increase, fall on the anchor's day or the month's last, show
// the anchor's wall clock (or follow a gap), and At finds each of them.
func TestSweepOfAllDates(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"} // TestSweepOfAllClocks has more
	checked := 0
	for _, name := range zones {
		z := zone(t, name)
		for day := range 1461 {
			y, m, d := time.Date(2024, 1, 1+day, 0, 0, 0, 0, time.UTC).Date()
			anchor := wall(y, m, d, (day*7)%24, (day*13)%60, 0, 0, z)
			checked += sweep(t, anchor, z)
		}
	}
	t.Logf("%d period starts, 0 mismatches", checked)
}

func sweep(t *testing.T, anchor time.Time, z *time.Location) (checked int) {
	a := anchor.In(z)
	for _, unit := range []Unit{Month, Year} {
		for n := 1; n <= 24; n++ {
			start, before := Nth(anchor, unit, n, z), Nth(anchor, unit, n-1, z)
			if !start.After(before) {
				t.Fatalf("%s %s in %s: period %d does not follow %d", anchor, unit, z, n, n-1)
			}
			s := start.In(z)
			last := time.Date(s.Year(), s.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
			if s.Day() != min(a.Day(), last) && s.Hour() > 3 {
				t.Fatalf("%s %s in %s: period %d starts on day %d", anchor, unit, z, n, s.Day())
			}
			if p := At(anchor, unit, start, z); p.N != n {
				t.Fatalf("%s %s in %s: %s is in period %d, not %d", anchor, unit, z, start, p.N, n)
			}
			if p := At(anchor, unit, start.Add(-1), z); p.N != n-1 {
				t.Fatalf("%s %s in %s: just before %s is period %d, not %d", anchor, unit, z, start, p.N, n-1)
			}
			checked++
		}
	}
	return checked
}
