// Package health says how the parts of a gateway do: the ledger, the clock, the
// price file, the disk. Whoever owns a part adds a check of it; one report shows
// them all.
package health

import (
	"sync"
	"time"
)

// Status is how a part does.
type Status string

// Statuses of a part.
const (
	OK      Status = "ok"      // nothing to do
	Warning Status = "warning" // paid requests are served, but an operator has to look
	Failed  Status = "failed"  // paid requests are not served
)

// Part is one of the things that a gateway needs.
type Part struct {
	Name   string    `json:"name"`
	Status Status    `json:"status"`
	Text   string    `json:"text"`         // for an operator: what is so, or what is wrong
	Do     string    `json:"do,omitempty"` // what to do about it
	Since  time.Time `json:"since"`        // when it got this status
}

// State is what a check finds.
type State struct {
	Status Status
	Text   string
	Do     string // what to do about it, if it is not OK
}

// Check looks at a part. It must not wait for a disk or a network: a probe comes
// every second, and a part that hangs has to be reported, too. What takes time is
// looked at elsewhere, and the check returns what was found.
type Check func() State

// Report is how all parts do.
type Report struct {
	OK    bool   `json:"ok"`    // no part needs an operator
	Ready bool   `json:"ready"` // paid requests are served
	Parts []Part `json:"parts"`
}

// Parts are the checks of a gateway. The zero value has none. It is safe for
// concurrent use.
type Parts struct {
	mu   sync.Mutex
	list []*checked
}

// checked is a part with the last status that was seen.
type checked struct {
	name   string
	check  Check
	status Status
	since  time.Time
}

// Set adds a part, or gives the part of that name another check. Parts are
// reported in the order in which they were added.
func (p *Parts) Set(name string, check Check) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.list {
		if c.name == name {
			c.check = check
			return
		}
	}
	p.list = append(p.list, &checked{name: name, check: check, status: OK, since: time.Now().UTC()})
}

// Report looks at all parts.
func (p *Parts) Report() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Report{OK: true, Ready: true, Parts: make([]Part, 0, len(p.list))}
	for _, c := range p.list {
		s := c.check()
		if s.Status != c.status {
			c.status, c.since = s.Status, time.Now().UTC()
		}
		r.OK = r.OK && s.Status == OK
		r.Ready = r.Ready && s.Status != Failed
		part := Part{Name: c.name, Status: s.Status, Text: s.Text, Since: c.since}
		if s.Status != OK {
			part.Do = s.Do
		}
		r.Parts = append(r.Parts, part)
	}
	return r
}
