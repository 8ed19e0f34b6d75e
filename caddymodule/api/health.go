package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/farebox-dev/farebox"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/health"
)

// HealthView is how the gateway does.
type HealthView struct {
	OK      bool          `json:"ok"`    // no part needs an operator
	Ready   bool          `json:"ready"` // paid requests are served
	Version string        `json:"version"`
	Ledger  LedgerView    `json:"ledger"`
	Clock   string        `json:"clock"` // "ok", or what is wrong with it
	Prices  BookView      `json:"prices"`
	Now     time.Time     `json:"now"` // by the ledger's clock
	Parts   []health.Part `json:"parts"`
}

// LedgerView is which ledger it is.
type LedgerView struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created"`
	Accounts int64     `json:"accounts"`
}

// BookView is which price book is in force.
type BookView struct {
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"`
}

func (c *call) health() (HealthView, error) { return healthOf(c.m), nil }

func healthOf(m *meter.Gateway) HealthView {
	b, since := m.Book()
	r, l := m.Health.Report(), m.Ledger()
	v := HealthView{
		OK: r.OK, Ready: r.Ready, Version: farebox.Version(), Ledger: LedgerView{l.ID, l.Created, l.Accounts},
		Clock: "ok", Prices: BookView{b.Digest, since.UTC()}, Now: m.Now().UTC(), Parts: r.Parts,
	}
	if err := m.Clock().Problem(); err != nil {
		v.Clock = err.Error()
	}
	return v
}

// ServeHealth answers a probe: 200 while paid requests are served, else 503. Without
// a meter, why says what is wrong.
func ServeHealth(w http.ResponseWriter, m *meter.Gateway, why error) {
	v := HealthView{Version: farebox.Version(), Parts: []health.Part{}}
	if m != nil {
		v = healthOf(m)
	} else {
		v.Parts = append(v.Parts, health.Part{Name: "ledger", Status: health.Failed, Text: why.Error(), Since: time.Now().UTC()})
	}
	answerProbe(w, v.Ready, v)
}

// ServeReady is ServeHealth for an address that anyone can reach: it does not say
// what is wrong.
func ServeReady(w http.ResponseWriter, m *meter.Gateway) {
	ready := m != nil && m.Health.Report().Ready
	answerProbe(w, ready, struct {
		Ready bool `json:"ready"`
	}{ready})
}

// ServeLive answers whether the process serves requests at all.
func ServeLive(w http.ResponseWriter) {
	answerProbe(w, true, struct {
		Live bool `json:"live"`
	}{true})
}

func answerProbe(w http.ResponseWriter, well bool, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
