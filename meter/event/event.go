// Package event tells people and programs what happened to accounts: it turns
// what the ledger did into events, keeps them in an outbox that is written in
// the same commit, and delivers them at least once. How an event travels (HTTP,
// mail) is the business of a Sender.
package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Types of events.
const (
	Low           = "credits.low"        // available fell below a threshold
	Exhausted     = "credits.exhausted"  // nothing is available, or a request was refused for lack of credits; once a day at most
	Recovered     = "credits.recovered"  // credits are available again
	Granted       = "credits.granted"    // by an operator or a payment
	Expiring      = "credits.expiring"   // bought or given credits expire within 7 days
	Expired       = "credits.expired"    // they did
	RunsOut       = "credits.runs_out"   // at the current rate, within the time that the price file names
	OverageBegan  = "overage.started"    // the first overage of a billing period
	OverageAbove  = "overage.above"      // overage of the period passed a threshold
	PeriodClosed  = "period.closed"      // a billing period ended; its overage is final
	SubEnded      = "subscription.ended" // cancelled, or not paid
	Refunded      = "charge.refunded"    // by an operator, or because a job failed later
	Absorbed      = "charge.absorbed"    // a charge was not paid in full: for operators; once a day at most
	KeyCreated    = "key.created"
	PricesLoaded  = "prices.loaded"
	PricesRefused = "prices.rejected"
	LedgerProblem = "ledger.problem"
	LedgerStopped = "ledger.stopped" // paid requests are refused, because the ledger cannot be written
	LedgerResumed = "ledger.resumed" // it can be written again
	Test          = "test"           // asked for, to see whether an endpoint works
)

// Types are all of them, in the order of the documentation.
var Types = []string{
	Low, Exhausted, Recovered, Granted, Expiring, Expired, RunsOut, OverageBegan, OverageAbove, PeriodClosed, SubEnded, Refunded, Absorbed, KeyCreated,
	PricesLoaded, PricesRefused, LedgerProblem, LedgerStopped, LedgerResumed, Test,
}

// Event is something that happened. Its JSON is the body of a webhook
// (standardwebhooks.com): type, timestamp, data. Amounts in the data are
// decimal strings in credits.
type Event struct {
	ID        string         `json:"-"` // the header webhook-id: the same however often it is sent
	Type      string         `json:"type"`
	Timestamp time.Time      `json:"timestamp"`
	Account   string         `json:"-"` // in Data, too; "" for events of the gateway itself
	Data      map[string]any `json:"data"`
}

// Body is what is sent: always the same bytes for the same event.
func (e *Event) Body() []byte {
	raw, err := json.Marshal(e)
	if err != nil { // strings, numbers, times and lists of them always marshal
		panic(fmt.Sprintf("event %s: %v", e.ID, err))
	}
	return raw
}

// Endpoint is where events go.
type Endpoint struct {
	Name    string   `json:"name"` // unique; another address is another name
	Kind    string   `json:"kind"` // webhook, email, slack, caddy
	Address string   `json:"address,omitempty"`
	Only    []string `json:"only,omitempty"`    // types; empty: all
	Account string   `json:"account,omitempty"` // of whose account holders it is; "": the operator's
}

// Wants reports whether an endpoint gets an event.
func (e *Endpoint) Wants(x *Event) bool {
	if e.Account != "" && (e.Account != x.Account || x.Type == Absorbed) { // what was not paid is the operator's to know
		return false
	}
	return len(e.Only) == 0 || slices.Contains(e.Only, x.Type)
}
