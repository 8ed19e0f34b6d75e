package calendar

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clocks of all kinds: with and without summer time, of both hemispheres, of
// half and quarter hours, of half an hour of summer time, of days that never
// were, and of rules that changed often.
var clocks = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia", "America/Santiago",
	"Europe/London", "Europe/Dublin", "America/St_Johns", "America/Havana", "America/Sao_Paulo", "America/Asuncion", "America/Caracas", "America/Scoresbysund",
	"Asia/Kolkata", "Asia/Tehran", "Asia/Gaza", "Asia/Beirut", "Asia/Pyongyang", "Asia/Amman", "Asia/Jerusalem", "Asia/Tokyo",
	"Africa/Casablanca", "Africa/Khartoum", "Africa/Windhoek", "Atlantic/Azores", "Antarctica/Troll", "Antarctica/Macquarie", "Australia/Adelaide", "Australia/Sydney",
	"Pacific/Auckland", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Tongatapu", "Pacific/Fiji", "Pacific/Easter", "America/Los_Angeles", "America/Anchorage",
}

// The reference: a zone as the list of its offsets, days counted by hand. It
// shares neither code nor idea with the package, which asks package time.
type offsets struct {
	start, seconds []int64 // from that instant on, local time is so far ahead of UTC
	at             int     // where the last search ended; they come in order
}

// offsetsOf looks at the zone's clock every six hours and halves where it has
// changed. (ZoneBounds names changes that are none: the last day of leap years.)
func offsetsOf(z *time.Location) *offsets {
	off := func(t int64) int64 {
		_, seconds := time.Unix(t, 0).In(z).Zone()
		return int64(seconds)
	}
	const step = 6 * 3600
	t := firsts[0]*86400 - 366*86400
	o := &offsets{start: []int64{-1 << 60}, seconds: []int64{off(t)}}
	for ; t < (firsts[len(firsts)-1]+366)*86400; t += step {
		if off(t) == off(t+step) {
			continue
		}
		before, after := t, t+step
		for after-before > 1 {
			if middle := (before + after) / 2; off(middle) == off(t) {
				before = middle
			} else {
				after = middle
			}
		}
		o.start, o.seconds = append(o.start, after), append(o.seconds, off(after))
	}
	return o
}

// instant is the first one at which the zone's clock shows local, or the first
// after the gap in which it never does.
func (o *offsets) instant(local int64) int64 {
	for o.at > 0 && local-o.seconds[o.at-1] < o.start[o.at] {
		o.at--
	}
	for o.at+1 < len(o.start) && local-o.seconds[o.at] >= o.start[o.at+1] {
		o.at++
	}
	return max(local-o.seconds[o.at], o.start[o.at])
}

func (o *offsets) local(instant int64) int64 {
	i := len(o.start) - 1
	for i > 0 && o.start[i] > instant {
		i--
	}
	return instant + o.seconds[i]
}

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

func length(y, m int) int { // m from 0
	if m == 1 && leap(y) {
		return 29
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m]
}

// firsts are the days since 1970 on which the months from January 2024 begin.
var firsts = func() (list []int64) {
	day := int64(19723) // 1 January 2024
	for n := range 12 * 25 {
		list = append(list, day)
		day += int64(length(2024+n/12, n%12))
	}
	return list
}()

// TestSweepOfAllClocks: every start date of a leap cycle, in zones of all kinds,
// with all starts of months, quarters and years for 20 years. FAREBOX_LONG: in
// more zones, and all starts of weeks.
func TestSweepOfAllClocks(t *testing.T) {
	if testing.Short() {
		t.Skip("TestSweepOfAllDates is the short one")
	}
	names, long := clocks[:24], os.Getenv("FAREBOX_LONG") != ""
	if long {
		names = clocks
	}
	var checked atomic.Int64
	var work sync.WaitGroup
	next := make(chan string)
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for name := range next {
				checked.Add(sweepClock(t, name, long))
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	work.Wait()
	t.Logf("%d period starts in %d zones, 0 mismatches", checked.Load(), len(names))
}

func sweepClock(t *testing.T, name string, weeks bool) (checked int64) {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Error(err)
		return 0
	}
	o := offsetsOf(z)
	day := 0
	for month := range 48 {
		for of := range length(2024+month/12, month%12) {
			clock := int64(day) * 7919 % 86400
			if day%2 == 0 { // when clocks are changed
				clock %= 4 * 3600
			}
			if t.Failed() {
				return checked // one mistake would be reported a million times
			}
			checked += sweepStart(t, o, z, month, of, clock)
			if weeks {
				checked += sweepWeeks(t, o, z, month, of, clock)
			}
			day++
		}
	}
	return checked
}

// sweepStart checks the 240 months after an anchor, on day of (from 0) of a month.
func sweepStart(t *testing.T, o *offsets, z *time.Location, month, of int, clock int64) (checked int64) {
	first := o.instant((firsts[month]+int64(of))*86400 + clock)
	clock = o.local(first) - (firsts[month]+int64(of))*86400 // another one, if it was in a gap
	anchor := time.Unix(first, 0)
	for n := 1; n <= 240; n++ {
		in := month + n
		want := o.instant((firsts[in]+int64(min(of, length(2024+in/12, in%12)-1)))*86400 + clock)
		checkStart(t, anchor, Month, n, z, want)
		if n%3 == 0 {
			checkStart(t, anchor, Quarter, n/3, z, want)
		}
		if n%12 == 0 {
			checkStart(t, anchor, Year, n/12, z, want)
		}
	}
	return 240 + 80 + 20
}

func sweepWeeks(t *testing.T, o *offsets, z *time.Location, month, of int, clock int64) int64 {
	first := o.instant((firsts[month]+int64(of))*86400 + clock)
	local := o.local(first)
	for n := 1; n <= 1043; n++ {
		checkStart(t, time.Unix(first, 0), Week, n, z, o.instant(local+int64(n)*7*86400))
	}
	return 1043
}

func checkStart(t *testing.T, anchor time.Time, unit Unit, n int, z *time.Location, want int64) {
	if got := Nth(anchor, unit, n, z); got.Unix() != want {
		t.Errorf("%s %d from %s in %s is %s, want %s", unit, n, anchor.UTC(), z, got, time.Unix(want, 0).UTC())
	}
	if (n+anchor.Day())%16 != 0 {
		return
	}
	start := time.Unix(want, 0)
	if p := At(anchor, unit, start, z); p.N != n {
		t.Errorf("%s from %s in %s: %s is in period %d, want %d", unit, anchor.UTC(), z, start, p.N, n)
	}
	if p := At(anchor, unit, start.Add(-1), z); p.N != n-1 {
		t.Errorf("%s from %s in %s: just before %s is period %d, want %d", unit, anchor.UTC(), z, start, p.N, n-1)
	}
}
