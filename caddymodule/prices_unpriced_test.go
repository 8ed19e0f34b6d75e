package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// T-7: a pattern silently prices a new model. The operator is told which names
// each pattern has caught, by a report and by the check of the next price file.
func TestUnpriced(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, r *http.Request) error { return answered(w, "application/json", reply) })
	ultra := strings.Replace(hello, "demo-small", "demo-9-ultra", 1) // 9 credits, like a small one
	for range 2 {
		post(t, s, key, "/v1/chat/completions", ultra)
	}
	post(t, s, key, "/v1/images", `{"model":"any-image-model"}`) // not priced by its model
	for _, path := range []string{"/v1/assistants/asst_123/files", "/v1/assistants/asst_456/files"} {
		refusedBy(t, s, key, path, "{}")
	}
	refusedBy(t, s, key, "/v1/chat/completions", strings.Replace(hello, "demo-small", "gpt-99", 1))
	spent(t, a)
	w := httptest.NewRecorder()
	(&operator{m: a.engine.Meter}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/meter/prices/unpriced", http.NoBody))
	var v UnpricedView
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err, w.Body)
	}
	if len(v.Caught) != 1 || v.Caught[0].Entry != "demo-*" || v.Caught[0].Model != "demo-9-ultra" || v.Caught[0].Requests != 2 || v.Caught[0].Credits != "18" {
		t.Errorf("caught: %+v", v.Caught)
	}
	if len(v.Requests) != 2 || v.More != 0 {
		t.Fatalf("without a price: %+v", v.Requests)
	}
	if r := v.Requests[0]; r.Reason != "operation_not_priced" || r.Method != "POST" || r.Path != "/v1/assistants/*/files" || r.Count != 2 {
		t.Errorf("first: %+v", r)
	}
	if r := v.Requests[1]; r.Reason != "model_not_priced" || r.Model != "gpt-99" || r.Count != 1 {
		t.Errorf("second: %+v", r)
	}
	out, diagnostics, err := meterCommand(t, served(t, a), "check", "../pricing.yaml")
	if err != nil || !strings.Contains(out, "models of the last 30 days without an entry of their own:\n  demo-9-ultra   by demo-*   2 requests   18\n") {
		t.Errorf("%v\n%s%s", err, out, diagnostics)
	}
}

func refusedBy(t *testing.T, s *httptest.Server, key, path, body string) {
	t.Helper()
	answers(t, s, key, path, body, http.StatusForbidden)
}

// TestMetrics: credits are counted in credits, and no label holds what a client
// or an upstream has written.
func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	m := newMetrics(r)
	m.decimals.Store(2)
	m.settled("chat", meter.Final{Cost: 250, Model: "gpt-5"})
	m.settled("chat", meter.Final{Cost: 50, Model: "gpt-5"})
	m.settled("chat", meter.Final{Refunded: true, Outcome: "upstream error x-code-of-theirs"})
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
