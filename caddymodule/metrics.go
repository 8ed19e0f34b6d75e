package caddymodule

import (
	"errors"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farebox-dev/farebox"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// metrics are created once per registry of a configuration. There is no label
// for accounts: their number is not bounded. Nor is any label's value taken from
// what a client or an upstream has written: models are entries of the price file.
type metrics struct {
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
	charged  *prometheus.CounterVec
	refunded *prometheus.CounterVec
	credits  *prometheus.CounterVec
	returned *prometheus.CounterVec
	absorbed prometheus.Counter
	unpriced prometheus.Counter
	open     prometheus.Gauge
	admit    prometheus.Histogram
	settle   prometheus.Histogram
	age      prometheus.Histogram
	ratio    prometheus.Histogram
	batch    prometheus.Histogram
	commit   prometheus.Histogram
	loaded   prometheus.Gauge
	webhooks *prometheus.CounterVec
	used     *prometheus.CounterVec

	models   models
	decimals atomic.Int64 // of the credits, see credit.decimals
	gateway  atomic.Pointer[meter.Gateway]
}

func newMetrics(r *prometheus.Registry) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "caddy", Subsystem: "meter", Name: name, Help: help}
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels))
	}
	counter := func(name, help string) prometheus.Counter {
		return register(r, prometheus.NewCounter(prometheus.CounterOpts(opts(name, help))))
	}
	gauge := func(name, help string) prometheus.Gauge {
		return register(r, prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help))))
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return register(r, prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "caddy", Subsystem: "meter", Name: name, Help: help, Buckets: buckets}))
	}
	times := prometheus.ExponentialBuckets(0.0005, 2, 12)
	m := &metrics{
		requests: vec("requests_total", "Metered requests by operation and outcome.", "operation", "outcome"),
		refused:  vec("refused_total", "Refused requests by reason.", "reason"),
		charged:  vec("charged_requests_total", "Requests that were charged, by operation and price entry of the model.", "operation", "model"),
		refunded: vec("refunded_requests_total", "Requests that were refunded, by reason.", "reason"),
		credits:  vec("charged_credits_total", "Credits that were charged, by operation and price entry of the model.", "operation", "model"),
		returned: vec("refunded_credits_total", "Held credits that went back because the request failed, by reason.", "reason"),
		absorbed: counter("absorbed_credits_total", "Credits that were used but not paid: above the hold, the balance and the overdraft."),
		unpriced: counter("unpriced_total", "Requests without a price, refused or passed for nothing."),
		webhooks: vec("webhook_deliveries_total", "Attempts to deliver an event, by result: delivered, pending (will be tried again), failed.", "result"),
		used:     vec("usage_total", "What charged requests used, by operation, price entry of the model, and unit, such as input and output for tokens.", "operation", "model", "unit"),
		open:     gauge("holds_open", "Requests that hold credits."),
		admit:    histogram("admit_seconds", "Time to price and hold.", times),
		settle:   histogram("settle_seconds", "Time from the end of an answer until its charge is durable.", times),
		age:      histogram("hold_age_seconds", "How long credits were held, when the hold ended.", prometheus.ExponentialBuckets(0.05, 3, 14)),
		ratio:    histogram("estimate_ratio", "Charged ÷ held, of requests that held anything.", []float64{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 4}),
		batch:    histogram("commit_batch_size", "Ledger commands per commit.", prometheus.ExponentialBuckets(1, 2, 10)),
		commit:   histogram("commit_seconds", "Time to write a commit of the ledger and to sync it.", times),
		loaded:   gauge("prices_loaded", "1 if the price file on disk is in force, 0 if it has errors."),
	}
	m.computed(r, opts)
	return m
}

// computed adds the metrics that are computed when they are read.
func (m *metrics) computed(r *prometheus.Registry, opts func(name, help string) prometheus.Opts) {
	gauge := func(name, help string, value func(*meter.Gateway) float64) {
		register(r, prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), func() float64 {
			if g := m.gateway.Load(); g != nil {
				return value(g)
			}
			return 0
		}))
	}
	gauge("ledger_writable", "1 if the ledger can be written, 0 while paid requests are refused because it cannot.", writable)
	gauge("disk_free_bytes", "Free space on the ledger's disk.", func(g *meter.Gateway) float64 { return float64(spaceOf(g).Free) })
	gauge("disk_needed_bytes", "With less than this free, paid requests are refused.", func(g *meter.Gateway) float64 { return float64(spaceOf(g).Needs) })
	gauge("disk_total_bytes", "Size of the ledger's disk.", func(g *meter.Gateway) float64 { return float64(spaceOf(g).Total) })
	gauge("commit_running_seconds", "How long the commit that is running has taken so far; 0 if none is running.", func(g *meter.Gateway) float64 { return g.Patience.CommitAge().Seconds() })
	gauge("clock_trusted", "1 if the system's clock is trusted, 0 while credits neither expire nor renew because it jumped.", clockTrusted)
	gauge("outbox_deliveries", "Deliveries of events that wait.", func(g *meter.Gateway) float64 { return float64(g.Events.Outbox.Backlog().Deliveries) })
	gauge("outbox_age_seconds", "How long the oldest of the deliveries that wait has waited.", outboxAge)
	constant := func(name, help string, labels []string, values func() []string) {
		register(r, &info{prometheus.NewDesc("caddy_meter_"+name, help, labels, nil), values})
	}
	constant("build_info", "The version of Farebox.", []string{"version", "go_version"}, func() []string { return []string{farebox.Version(), runtime.Version()} })
	constant("prices_info", "The price book in force: the SHA-256 of its file.", []string{"digest"}, func() []string {
		g := m.gateway.Load()
		if g == nil {
			return nil
		}
		book, _ := g.Book()
		return []string{book.Digest}
	})
}

// info is a metric whose labels say something; its value is 1.
type info struct {
	desc   *prometheus.Desc
	values func() []string // of the labels; nil: not known yet
}

// Describe implements prometheus.Collector.
func (i *info) Describe(c chan<- *prometheus.Desc) { c <- i.desc }

// Collect implements prometheus.Collector.
func (i *info) Collect(c chan<- prometheus.Metric) {
	if values := i.values(); values != nil {
		c <- prometheus.MustNewConstMetric(i.desc, prometheus.GaugeValue, 1, values...)
	}
}

// models bounds the label model: a price file may have thousands of entries.
type models struct {
	mu    sync.RWMutex
	known map[string]bool
}

// maxModels is how many models have series of their own; the others share one.
const (
	maxModels   = 200
	otherModels = "other"
)

func (m *models) label(model string) string {
	m.mu.RLock()
	known, full := m.known[model], len(m.known) >= maxModels
	m.mu.RUnlock()
	if known {
		return model
	}
	if full {
		return otherModels
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]bool{}
	}
	if len(m.known) < maxModels {
		m.known[model] = true
	}
	if m.known[model] {
		return model
	}
	return otherModels
}

func clockTrusted(g *meter.Gateway) float64 {
	if g.Clock().Problem() != nil {
		return 0
	}
	return 1
}

func outboxAge(g *meter.Gateway) float64 {
	b := g.Events.Outbox.Backlog()
	if b.Deliveries == 0 || b.Oldest.IsZero() {
		return 0
	}
	return max(0, g.Now().Sub(b.Oldest).Seconds())
}

func writable(g *meter.Gateway) float64 {
	if g.Patience.Trouble() != nil {
		return 0
	}
	return 1
}

func spaceOf(g *meter.Gateway) store.Space {
	s, _ := g.Space()
	return s
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

func (m *metrics) committed(commands int, took time.Duration) {
	m.batch.Observe(float64(commands))
	m.commit.Observe(took.Seconds())
}

func (m *metrics) delivered(state string) { m.webhooks.WithLabelValues(state).Inc() }

func (m *metrics) prices(ok bool) {
	v := 0.0
	if ok {
		v = 1
	}
	m.loaded.Set(v)
}

func (m *metrics) settled(operation string, f meter.Receipt) {
	outcome := "charged"
	if f.Refunded {
		outcome = "refunded"
		m.refunded.WithLabelValues(refundReason(f.Outcome)).Inc()
	} else {
		model := m.models.label(f.Model)
		m.charged.WithLabelValues(operation, model).Inc()
		m.credits.WithLabelValues(operation, model).Add(m.amount(f.Cost))
		for i := range f.Usage.Quantities {
			q := &f.Usage.Quantities[i]
			m.used.WithLabelValues(operation, model, q.Unit).Add(number(q.Count))
		}
	}
	m.requests.WithLabelValues(operation, outcome).Inc()
}

// booked counts the result of a charge.
func (m *metrics) booked(c *ledger.Charge, took time.Duration) {
	m.settle.Observe(took.Seconds())
	held := c.HeldTotal()
	if held > 0 {
		m.age.Observe(c.SettledAt.Sub(c.At).Seconds())
	}
	m.absorbed.Add(m.amount(c.Absorbed))
	switch {
	case c.State == ledger.Released:
		m.returned.WithLabelValues(refundReason(c.Outcome)).Add(m.amount(held))
	case held > 0:
		m.ratio.Observe(float64(c.Cost+c.Absorbed) / float64(held))
	}
}

// amount is in credits.
func (m *metrics) amount(a money.Amount) float64 {
	return float64(a) / math.Pow10(int(m.decimals.Load()))
}

// refundReason is one of few words for an outcome: the code in "upstream error
// <code>" is the upstream's own.
func refundReason(outcome string) string {
	switch outcome {
	case "upstream timeout", "upstream not reached", "upstream broke off", "client left":
		return outcome
	}
	code, upstream := strings.CutPrefix(outcome, "upstream ")
	switch {
	case upstream && strings.HasPrefix(code, "error"):
		return "upstream error"
	case upstream && len(code) == 3:
		return "upstream " + code[:1] + "xx"
	}
	return "other"
}

// number is a count as metrics have it.
func number(d money.Decimal) float64 {
	if n, ok := d.Int64(); ok {
		return float64(n)
	}
	f, _ := strconv.ParseFloat(d.String(), 64) // it is a number
	return f
}
