package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/farebox-dev/farebox/internal/payload"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/writer"
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

// TestModelsAreBounded: a price file with thousands of models has not as many series.
func TestModelsAreBounded(t *testing.T) {
	r := prometheus.NewRegistry()
	m := newMetrics(r)
	for i := range 3 * maxModels {
		m.settled("chat", meter.Receipt{Cost: 1, Model: strconv.Itoa(i % (2 * maxModels)), Usage: ledger.Usage{Quantities: []ledger.Quantity{{Unit: "input", Count: money.FromInt(7)}}}})
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name, other := f.GetName(), 0.0
		if name != "caddy_meter_charged_requests_total" && name != "caddy_meter_usage_total" {
			continue
		}
		for _, x := range f.GetMetric() {
			for _, l := range x.GetLabel() {
				if l.GetValue() == otherModels {
					other = x.GetCounter().GetValue()
				}
			}
		}
		want := float64(maxModels)
		if name == "caddy_meter_usage_total" {
			want *= 7
		}
		if len(f.GetMetric()) != maxModels+1 || other != want {
			t.Errorf("%s has %d series, others are %v, want %v", name, len(f.GetMetric()), other, want)
		}
	}
}

// TestAClientThatLeavesIsNoOutage: a client that does not wait for its hold is
// counted as one that left, and nothing is logged as an error.
func TestAClientThatLeavesIsNoOutage(t *testing.T) {
	a := provisioned(t, t.TempDir())
	core, logs := observer.New(zap.ErrorLevel)
	a.log = zap.New(core)
	h := &Handler{app: a}
	ctx, leave := context.WithCancel(context.Background())
	r := httptest.NewRequest(http.MethodPost, "/v1/x", nil).WithContext(ctx)
	leave()
	refused := func(reason string) float64 {
		var out dto.Metric
		if err := a.metrics.refused.WithLabelValues(reason).Write(&out); err != nil {
			t.Fatal(err)
		}
		return out.GetCounter().GetValue()
	}
	for cause, want := range map[error]string{context.Canceled: clientLeft, errors.New("the disk is gone"): meter.Unavailable} {
		before := refused(want)
		_ = h.notAdmitted(httptest.NewRecorder(), r, nil, nil, payload.Body{}, &meter.Refusal{Reason: meter.Unavailable, Err: fmt.Errorf("%w: %w", writer.ErrUnavailable, cause)})
		if got := refused(want) - before; got != 1 {
			t.Errorf("%v: %v are counted as %s", cause, got, want)
		}
		if got := logs.TakeAll(); (len(got) == 0) != (want == clientLeft) {
			t.Errorf("%v: logged %v", cause, got)
		}
	}
}
