package meter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// progress is how a job stands.
type progress uint8

const (
	running progress = iota
	ended
	failed
)

// stands reads how a job stands from an answer about it: by the price file, else
// by the dialect, else by the words that most APIs use.
func (c *Charge) stands(api *dialect.API, a *pricing.Answer, r *dialect.Result) progress {
	op := c.price.Operation()
	if a.Status < 200 || a.Status >= 300 {
		return running // a wrong turn of whoever asked says nothing about the job
	}
	over := r.JobOver
	if !api.HasJobs() {
		over = dialect.JobOver(r.Body)
	}
	if op.Job == nil {
		switch {
		case !over:
			return running
		case r.Status == dialect.StatusError:
			return failed
		}
		return ended
	}
	if op.JobFailed(a) {
		return failed
	}
	if done, known := op.JobDone(a); done || over && !known {
		return ended
	}
	return running
}

// starts finds out whether an answer leaves a job behind, whose end decides what
// becomes of the hold.
func (c *Charge) starts(f *Final, r *dialect.Result) {
	op := c.price.Operation()
	if _, settles := f.command.(ledger.Settle); !settles || c.free || op == nil || c.answer == nil || c.status < 200 || c.status >= 300 {
		return
	}
	id, poll := r.JobID, ""
	if op.Job != nil {
		if id = c.price.JobID(c.answer); id != "" {
			poll = op.Job.StatusPath(id)
		}
	} else if r.Status != dialect.StatusPending {
		return
	}
	if poll == "" {
		poll = c.api.PollPath(c.price.Path(), id)
	}
	if id == "" || len(id) > 500 || op.Job == nil && poll == "" {
		return
	}
	switch c.stands(c.api, c.answer, r) {
	case failed:
		*f = c.jobRefund(event.JobFailed)
	case running:
		f.Pending = true
		c.started = c.jobRecord(id, cleanPath(poll))
	case ended:
	}
}

func (c *Charge) jobRefund(why string) Final {
	return Final{Refunded: true, Outcome: why, command: ledger.Release{
		Charge: ledger.ChargeID(c.ID), Failed: true, Outcome: ledger.Outcome{Text: why, Status: c.status},
	}}
}

// holdJob leaves the hold as it is until the job has ended. The record is
// durable before the client hears of the job.
func (c *Charge) holdJob(f *Final, keep []byte) {
	if c.req.Idempotency != "" {
		c.started.Answer = keep
	}
	booked := make(chan struct{})
	c.booked = booked
	c.m.jobs.add(c.started, c.m.opt.Now())
	// What it will cost, if the gateway should lose it.
	c.m.writer.Go(ledger.AccountID(c.req.Caller.Account), ledger.Observe{Charge: ledger.ChargeID(c.ID), Observed: min(f.Cost, c.hold)}, nil)
	c.m.keepJob(c.started, func(err error) {
		close(booked)
		if err != nil {
			c.m.opt.Problem(fmt.Errorf("keeping the job of charge %s: %w", c.ID, err))
		}
	})
}

// jobStatus finds the open job that a request asks about. alone: the request has
// no operation of its own. Whose job it is has been decided; see ownership.Owners.Check.
func (a *admission) jobStatus(c *Charge) (alone bool) {
	path := a.price.Path()
	name := path
	op, id, declared := a.book.JobFor(a.req.Method, a.req.URI)
	if declared {
		name = named(op.ID, id)
	}
	if a.req.Method == "GET" {
		if j := a.m.jobs.find(name, path); j != nil && string(j.account) == a.req.Caller.Account {
			c.job = j
		}
	}
	return (declared || c.job != nil) && a.price.Operation() == nil
}

// settleJob tells the job what its client has been told.
func (c *Charge) settleJob() {
	if c.job == nil || c.reader == nil {
		return
	}
	j, r := c.job, c.reader.Result()
	c.job = nil
	c.m.jobSeen(j, &JobReader{m: c.m, job: j, path: c.price.Path(), api: c.reads, status: c.status, header: c.header}, &r)
}

// jobSeen takes an answer about a job, and ends it if that is what it says:
// once, whoever saw it first.
func (m *Meter) jobSeen(j *openJob, seen *JobReader, r *dialect.Result) {
	m.jobs.put(j, m.opt.Now())
	rec, err := m.readJob(context.Background(), j.charge)
	if err != nil {
		return // it has ended just now
	}
	rec.Results = m.jobs.resultsOf(j)
	c, err := m.revive(context.Background(), rec)
	if err != nil {
		m.opt.Problem(fmt.Errorf("pricing the job of charge %s: %w", j.charge, err))
		return // it is lost by its age, not by a book that can't be read today
	}
	c.status, c.header = seen.status, seen.header
	a := &pricing.Answer{Status: seen.status, Header: seen.header, Body: r.Body, ServiceTier: r.ServiceTier, Model: r.Model}
	how := c.stands(seen.api, a, r)
	if rec.Results != "" && seen.path == rec.Results {
		if how = running; seen.status < 300 && r.Status == dialect.StatusComplete {
			how = ended
		}
	}
	switch how {
	case running:
	case failed:
		m.endJob(j, rec, c, c.jobRefund(event.JobFailed))
	case ended:
		if c.price.TokenPriced() && !r.Usage.InputTotal.OK && !r.Usage.OutputTotal.OK && seen.path != rec.Results {
			if rec.Results = seen.api.ResultsPath(seen.path, r.Body); rec.Results != "" {
				m.awaitResults(j, rec)
				return
			}
			m.endJob(j, rec, c, c.asHeld("answered without usage"))
			return
		}
		m.endJob(j, rec, c, c.finish(Answered, *r))
	}
}

// asHeld charges what was held: what the job has used is not known.
func (c *Charge) asHeld(why string) Final {
	return Final{Cost: c.hold, Estimated: true, Outcome: why, command: ledger.Settle{
		Charge: ledger.ChargeID(c.ID), Cost: c.hold, Outcome: ledger.Outcome{Text: why, Estimated: true, Status: c.status},
	}}
}

// awaitResults: the job is over, and what it used is somewhere else.
func (m *Meter) awaitResults(j *openJob, rec *jobRecord) {
	m.jobs.mu.Lock()
	known := j.results == rec.Results
	if !known {
		j.results, j.next, j.wait = rec.Results, m.opt.Now(), m.jobs.first
		j.names = append(j.names, rec.Results)
		m.jobs.named[rec.Results] = j
	}
	m.jobs.mu.Unlock()
	if !known {
		m.keepJob(rec, func(err error) {
			if err != nil {
				m.opt.Problem(fmt.Errorf("keeping the job of charge %s: %w", j.charge, err))
			}
		})
	}
}

func (m *Meter) endJob(j *openJob, rec *jobRecord, c *Charge, f Final) {
	m.jobs.mu.Lock()
	over := j.over
	j.over = true
	m.jobs.mu.Unlock()
	if over {
		return
	}
	if s, ok := f.command.(ledger.Settle); ok {
		s.Answer = rec.Answer
		f.command = s
	}
	began := time.Now()
	c.bookEnd(j.account, f.command, func(res ledger.Result, err error) {
		m.tellBooked(&res, err, began)
		if err != nil && !errors.Is(err, ledger.ErrConflict) {
			m.opt.Problem(fmt.Errorf("settling the job of charge %s: %w", j.charge, err))
			if !errors.Is(err, ledger.ErrNoCharge) {
				return // the record stays for the next start
			}
		}
		if m.opt.JobEnded != nil {
			m.opt.JobEnded(rec.Operation, f)
		}
		m.jobs.remove(j)
		go m.forgetJob(j) // the writer, whose goroutine this is, must not wait for itself
	})
}

// Bounds of asking for jobs.
const (
	maxWait  = 5 * time.Minute
	minPause = time.Second // between two questions, whoever has them asked
)

// resultsOf is where the usage of a job is read, which its record may not say yet.
func (s *jobs) resultsOf(j *openJob) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.results
}

// put notes that a job was just asked for; the gateway need not do it so soon.
func (s *jobs) put(j *openJob, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.busy, j.asked, j.next = false, now, now.Add(j.wait)
	j.wait = min(j.wait*3/2, maxWait)
}
