package caddymodule

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// TestMetrics: credits are counted in credits, and no label holds what a client
// or an upstream has written.
func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	m := newMetrics(r)
	m.decimals.Store(2)
	m.settled("chat", meter.Receipt{Cost: 250, Model: "gpt-5"})
	m.settled("chat", meter.Receipt{Cost: 50, Model: "gpt-5"})
	m.settled("chat", meter.Receipt{Refunded: true, Outcome: "upstream error x-code-of-theirs"})
	at := time.Unix(1_790_000_000, 0)
	charge := func(c ledger.Charge) *ledger.Charge {
		c.At, c.SettledAt = at, at.Add(2*time.Second)
		return &c
	}
	m.booked(charge(ledger.Charge{State: ledger.Settled, Cost: 100, Absorbed: 50, Allocations: []ledger.Allocation{{Amount: 300}}}), 3*time.Millisecond)
	m.booked(charge(ledger.Charge{State: ledger.Released, Outcome: "upstream 503", Allocations: []ledger.Allocation{{Amount: 400}}}), time.Millisecond)
	m.unpriced.Inc()
	got := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			var name strings.Builder
			name.WriteString(strings.TrimPrefix(f.GetName(), "caddy_meter_"))
			for _, l := range x.GetLabel() {
				name.WriteString(" " + l.GetValue())
			}
			got[name.String()] = x.GetCounter().GetValue() + x.GetHistogram().GetSampleSum()
		}
	}
	for name, want := range map[string]float64{
		"charged_credits_total gpt-5 chat": 3, "refunded_requests_total upstream error": 1, "refunded_credits_total upstream 5xx": 4,
		"absorbed_credits_total": 0.5, "unpriced_total": 1, "hold_age_seconds": 4, "settle_seconds": 0.004, "estimate_ratio": 0.5,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for name := range got {
		if strings.Contains(name, "theirs") {
			t.Errorf("%s: the upstream's own word", name)
		}
	}
}
