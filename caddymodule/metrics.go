package caddymodule

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farebox-dev/farebox/meter"
)

// metrics are created once per registry of a configuration. There is no label
// for accounts: their number is not bounded.
type metrics struct {
	requests *prometheus.CounterVec
	denied   *prometheus.CounterVec
	charged  *prometheus.CounterVec
	refunded *prometheus.CounterVec
	open     prometheus.Gauge
	admit    prometheus.Histogram
	batch    prometheus.Histogram
	loaded   prometheus.Gauge
	webhooks *prometheus.CounterVec
}

func newMetrics(r *prometheus.Registry) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "caddy", Subsystem: "meter", Name: name, Help: help}, labels))
	}
	return &metrics{
		requests: counter("requests_total", "Metered requests by operation and outcome.", "operation", "outcome"),
		denied:   counter("denied_total", "Refused requests by reason.", "reason"),
		charged:  counter("charged_requests_total", "Requests that were charged, by operation and price entry of the model.", "operation", "model"),
		refunded: counter("refunded_requests_total", "Requests that were refunded, by reason.", "reason"),
		webhooks: counter("webhook_deliveries_total", "Attempts to deliver an event, by result: delivered, pending (will be tried again), failed.", "result"),
		open:     register[prometheus.Gauge](r, prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "caddy", Subsystem: "meter", Name: "holds_open", Help: "Requests that hold credits."})),
		admit: register[prometheus.Histogram](r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "meter", Name: "admit_seconds", Help: "Time to price and hold.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		})),
		batch: register[prometheus.Histogram](r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "meter", Name: "commit_batch_size", Help: "Ledger commands per commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		})),
		loaded: register[prometheus.Gauge](r, prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "caddy", Subsystem: "meter", Name: "prices_loaded", Help: "1 if the price file on disk is in force, 0 if it has errors."})),
	}
}

// register keeps a collector that an earlier Provision has registered already.
func register[C prometheus.Collector](r *prometheus.Registry, c C) C {
	var have prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &have) {
		if old, ok := have.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) committed(commands int, _ time.Duration) { m.batch.Observe(float64(commands)) }

func (m *metrics) delivered(state string) { m.webhooks.WithLabelValues(state).Inc() }

func (m *metrics) prices(ok bool) {
	v := 0.0
	if ok {
		v = 1
	}
	m.loaded.Set(v)
}

func (m *metrics) settled(operation string, f meter.Final) {
	outcome := "charged"
	if f.Refunded {
		outcome = "refunded"
		m.refunded.WithLabelValues(f.Outcome).Inc()
	} else {
		m.charged.WithLabelValues(operation, f.Model).Inc()
	}
	m.requests.WithLabelValues(operation, outcome).Inc()
}
