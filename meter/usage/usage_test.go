package usage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// used reads "input=12 output=30".
func used(text string) (u ledger.Usage) {
	for word := range strings.FieldsSeq(text) {
		unit, count, _ := strings.Cut(word, "=")
		n, err := money.ParseDecimal(count)
		if err != nil {
			panic(err)
		}
		u.Quantities = append(u.Quantities, ledger.Quantity{Unit: unit, Count: n})
	}
	return u
}

func charge(at time.Time, cost money.Amount, usage string) *ledger.Charge {
	return &ledger.Charge{
		Account: "acme", At: at, State: ledger.Settled, Cost: cost, Usage: used(usage),
		Operation: "chat", Model: "m", Member: "mira", Key: "key_1", Labels: []ledger.Label{{Name: "worker", Value: "w1"}, {Name: "team", Value: "a"}}, Subject: selector.Subject{Feature: "Chat"},
	}
}

func TestRowsAreReadAsWritten(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 44, 59, 0, time.UTC)
	k, s := Of(charge(at, 42, "input=12 output=30 second=1.5"))
	if want := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC); !k.At.Equal(want) {
		t.Errorf("counted at %v, want %v", k.At, want)
	}
	again, err := ParseName(k.Name())
	if err != nil || !reflect.DeepEqual(again, k) {
		t.Errorf("name read as %+v (%v), want %+v", again, err, k)
	}
	read, err := Decode(s.Append(nil))
	if err != nil || !bytes.Equal(read.Append(nil), s.Append(nil)) || read.Count("second").String() != "1.5" {
		t.Errorf("sum read as %+v (%v), want %+v", read, err, s)
	}
	for n := range s.Append(nil) {
		if _, err := Decode(s.Append(nil)[:n]); err == nil {
			t.Errorf("%d bytes of a row were read as a whole one", n)
		}
	}
}

// Adding and taking off again leaves nothing, in any order.
func TestSumsTakeBackWhatTheyAdded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var all []Sum
	var total Sum
	for i := range 200 {
		_, s := Of(charge(time.Now(), money.Amount(r.IntN(1000)), fmt.Sprintf("input=%d u%d=0.%d", r.IntN(9), i%7, 1+r.IntN(99))))
		all = append(all, s)
		total.Add(&s)
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i := range all {
		if total.Zero() {
			t.Fatal("empty too early")
		}
		total.Sub(&all[i])
	}
	if !total.Zero() {
		t.Errorf("%+v is left", total)
	}
}

func TestARefundedOrReleasedChargeIsCountedAsSuch(t *testing.T) {
	c := charge(time.Now(), 10, "")
	c.Refunded = 4
	if _, s := Of(c); s.Net() != 6 || s.Requests != 1 || s.Failed != 0 {
		t.Errorf("refunded in part: %+v", s)
	}
	c = charge(time.Now(), 0, "")
	c.State = ledger.Released
	if _, s := Of(c); s.Requests != 1 || s.Failed != 1 || s.Net() != 0 {
		t.Errorf("released: %+v", s)
	}
	c.State = ledger.Held
	if _, s := Of(c); !s.Zero() {
		t.Errorf("an open hold counts: %+v", s)
	}
}

// Reports by hour, day, week and month in zones with odd offsets and clock
// changes show what adding up the charges themselves shows, to the last digit.
func TestReportsAgreeWithTheChargesInEveryZone(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	from, to := time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	rows := map[string]*Sum{}
	var charges []*ledger.Charge
	for range 5000 {
		c := charge(from.Add(time.Duration(r.Int64N(int64(to.Sub(from))))), money.Amount(r.IntN(500)), fmt.Sprintf("image=%d", r.IntN(4)))
		c.Model = fmt.Sprintf("model-%d", r.IntN(4))
		charges = append(charges, c)
		k, s := Of(c)
		if rows[k.Name()] == nil {
			rows[k.Name()] = &Sum{}
		}
		rows[k.Name()].Add(&s)
	}
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca"}
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range []calendar.Unit{calendar.Day, calendar.Week, calendar.Month} {
			rep := NewReport(Query{From: from, To: to, Zone: zone, Interval: unit, By: "model"})
			for name, s := range rows {
				if _, err := rep.Add(name, s.Append(nil)); err != nil {
					t.Fatal(err)
				}
			}
			want := map[string]money.Amount{}
			var total money.Amount
			for _, c := range charges {
				want[local(c.At.In(zone), unit)+c.Model] += c.Cost
				total += c.Cost
			}
			known := map[string]bool{}
			for _, s := range rep.Intervals() {
				known[s.String()] = true
			}
			for _, l := range rep.Lines() {
				key := local(l.Start, unit) + l.Group
				if l.Net() != want[key] {
					t.Errorf("%s by %s: %s has %d, want %d", name, unit, key, l.Net(), want[key])
				}
				if !known[l.Start.String()] {
					t.Errorf("%s by %s: %s is no interval", name, unit, l.Start)
				}
				delete(want, key)
			}
			for key, cost := range want {
				if cost > 0 {
					t.Errorf("%s by %s: %s (%d) is missing", name, unit, key, cost)
				}
			}
			if rep.Total.Net() != total || rep.Total.Requests != int64(len(charges)) {
				t.Errorf("%s: total %d of %d, want %d of %d", name, rep.Total.Net(), rep.Total.Requests, total, len(charges))
			}
		}
	}
}

// local names the day, week (by its Monday) or month of t's own zone.
func local(t time.Time, unit calendar.Unit) string {
	switch unit {
	case calendar.Week:
		return t.AddDate(0, 0, -(int(t.Weekday())+6)%7).Format("2006-01-02 ")
	case calendar.Month:
		return t.Format("2006-01 ")
	default:
		return t.Format("2006-01-02 ")
	}
}

func TestFiltersAndLabels(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	a, b := charge(at, 5, ""), charge(at, 7, "")
	b.Labels, b.Member = []ledger.Label{{Name: "worker", Value: "w2"}}, "jon"
	for _, q := range []struct {
		where map[string]string
		want  money.Amount
	}{
		{nil, 12},
		{map[string]string{"worker": "w2"}, 7},
		{map[string]string{"member": "mira"}, 5},
		{map[string]string{"member": "mira", "worker": "w2"}, 0},
		{map[string]string{"team": "a"}, 5},
		{map[string]string{"team": ""}, 7},
	} {
		rep := NewReport(Query{From: at, To: at.Add(time.Hour), By: "worker", Where: q.where})
		for _, c := range []*ledger.Charge{a, b} {
			k, s := Of(c)
			if more, err := rep.Add(k.Name(), s.Append(nil)); err != nil || !more {
				t.Fatal(more, err)
			}
		}
		if rep.Total.Net() != q.want {
			t.Errorf("%v: %d, want %d", q.where, rep.Total.Net(), q.want)
		}
	}
}

// What a client writes into its fields stays in its field.
func TestFieldsCannotBreakOut(t *testing.T) {
	c := charge(time.Now(), 1, "")
	c.Model, c.Member = "a\x00b\x00c", string(bytes.Repeat([]byte("é"), 300))
	k, _ := Of(c)
	again, err := ParseName(k.Name())
	if err != nil || !reflect.DeepEqual(again, k) || again.Model != c.Model || len(again.Member) > longest {
		t.Errorf("read as %+v, %v", again, err)
	}
}

// A long label is cut, and takes nothing from those after it.
func TestLabelsAreCutOneByOne(t *testing.T) {
	c := charge(time.Now(), 1, "")
	c.Labels = []ledger.Label{{Name: "run", Value: "x" + strings.Repeat("é", 200)}, {Name: "note", Value: strings.Repeat("n", longest+1)}, {Name: "team", Value: "a"}}
	k, _ := Of(c)
	want := []ledger.Label{{Name: "run", Value: "x" + strings.Repeat("é", 127)}, {Name: "note", Value: strings.Repeat("n", longest)}, {Name: "team", Value: "a"}}
	if !slices.Equal(k.Labels, want) {
		t.Errorf("labels %q, want %q", k.Labels, want)
	}
	if n := len(c.Labels[0].Value); n != 401 {
		t.Errorf("the label of the charge itself has %d bytes, want all 401", n)
	}
}
