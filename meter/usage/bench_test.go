package usage

import (
	"fmt"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// BenchmarkYear sums the rows of a busy account's year: three in every quarter of
// an hour. One operation is all of them.
func BenchmarkYear(b *testing.B) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Date(2025, 11, 28, 0, 0, 0, 0, time.UTC)
	var names []string
	var values [][]byte
	for at := begin; at.Before(begin.AddDate(1, 0, 0)); at = at.Add(Slot) {
		for n := range 3 {
			k := Key{At: at, Operation: "chat", Model: fmt.Sprintf("gpt-%d", n), APIKey: "key_0011223344556677"}
			s := Sum{Requests: 3, Cost: 1234567, Units: []ledger.Quantity{{Unit: "input", Count: money.FromInt(5123)}, {Unit: "output", Count: money.FromInt(812)}}}
			names, values = append(names, k.Name()), append(values, s.Append(nil))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r := NewReport(Query{From: begin, To: begin.AddDate(1, 0, 0), Interval: calendar.Day, Zone: zone, By: "model"})
		for i, name := range names {
			if _, err := r.Add(name, values[i]); err != nil {
				b.Fatal(err)
			}
		}
		if len(r.Lines()) < 3*365 {
			b.Fatal(len(r.Lines()))
		}
	}
	b.ReportMetric(float64(len(names)), "rows")
}
