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

// jobState reads how a job goes from an answer about it: by the price file, else
// by the dialect, else by the words that most APIs use.
func (x *exchange) jobState(api *dialect.API, a *pricing.Answer, r *dialect.Result) progress {
	op := x.price.Operation()
	if a.Status < 200 || a.Status >= 300 {
		return running // a wrong turn of whoever asked says nothing about the job
	}
	over := r.JobOver
	if api.Jobs() == nil {
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

// startsJob finds out whether an answer leaves a job behind, whose end decides
// what becomes of the hold; nil if it does not.
func (c *Charge) startsJob(b *bill, e *closing, r *dialect.Result) *jobRecord {
	if _, settles := e.command.(ledger.Settle); !settles || c.status < 200 || c.status >= 300 {
		return nil
	}
	op := c.price.Operation()
	id, poll := r.JobID, ""
	if op.Job != nil {
		if id = c.price.Operation().JobID(b.answer); id != "" {
			poll = op.Job.StatusPath(id)
		}
	} else if r.Status != dialect.StatusPending {
		return nil
	}
	if poll == "" {
		poll = c.api.Jobs().PollPath(c.price.Asked.Path, id)
	}
	if id == "" || len(id) > 500 || op.Job == nil && poll == "" {
		return nil
	}
	switch c.jobState(c.api, b.answer, r) {
	case failed:
		*e = *c.hold.released(event.JobFailed, c.status)
	case running:
		e.Pending = true
		return c.jobRecord(id, cleanPath(poll))
	case ended:
	}
	return nil
}

// holdJob leaves the hold as it is until the job has ended. The record is durable
// before the client hears of the job.
func (c *Charge) holdJob(ctx context.Context, job *jobRecord, r Receipt) Receipt {
	kept := make(chan struct{})
	c.m.jobs.add(job, c.m.opt.Now())
	c.hold.observe(min(r.Cost, c.hold.amount)) // what it will cost, if the gateway should lose it
	c.m.keepJob(job, func(err error) {
		close(kept)
		if err != nil {
			c.m.opt.Problem(fmt.Errorf("keeping the job of charge %s: %w", c.id, err))
		}
	})
	select {
	case <-kept:
	case <-ctx.Done():
	}
	return r
}

// jobOf finds the open job that a request asks about. declared: the price file
// says that requests like this one do. Whose job it is has been decided; see
// ownership.Owners.Check.
func (a *admission) jobOf() (job *openJob, declared bool) {
	path := a.price.Asked.Path
	name := path
	op, id, declared := a.book.Jobs.For(a.req.Method, a.req.URI)
	if declared {
		name = named(op.ID, id)
	}
	if a.req.Method == "GET" {
		if j := a.m.jobs.find(name, path); j != nil && string(j.account) == a.req.Caller.Account {
			job = j
		}
	}
	return job, declared
}

// seeJob passes on to the job what its client has read.
func (x *exchange) seeJob() {
	if x.job == nil || x.reader == nil {
		return
	}
	j := x.job
	x.job = nil
	x.m.jobSeen(j, &JobReader{m: x.m, job: j, path: x.price.Asked.Path, api: x.reads, status: x.status, header: x.header}, x.result())
}

// revived is the charge of an open job, as it was when the job was started.
type revived struct {
	exchange
	hold hold
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
	how := c.jobState(seen.api, a, r)
	if rec.Results != "" && seen.path == rec.Results {
		if how = running; seen.status < 300 && r.Status == dialect.StatusComplete {
			how = ended
		}
	}
	switch how {
	case running:
	case failed:
		m.endJob(j, rec, c.hold.released(event.JobFailed, c.status), nil)
	case ended:
		if c.price.TokenPriced() && !r.Usage.InputTotal.OK && !r.Usage.OutputTotal.OK && seen.path != rec.Results {
			if rec.Results = seen.api.Jobs().ResultsPath(seen.path, r.Body); rec.Results != "" {
				m.awaitResults(j, rec)
				return
			}
			m.endJob(j, rec, c.hold.captured("answered without usage", c.status), nil)
			return
		}
		b := &bill{x: &c.exchange, held: c.hold.amount}
		m.endJob(j, rec, b.end(Answered, r), b.again)
	}
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

// endJob books the end of a job, once.
func (m *Meter) endJob(j *openJob, rec *jobRecord, e *closing, again reprice) {
	m.jobs.mu.Lock()
	over := j.over
	j.over = true
	m.jobs.mu.Unlock()
	if over {
		return
	}
	e.keep(rec.Answer)
	began := time.Now()
	m.bookEnd(j.account, e.command, again, func(res ledger.Result, err error) {
		if err == nil {
			m.tellBooked(&res, began)
		}
		if err != nil && !errors.Is(err, ledger.ErrConflict) {
			m.opt.Problem(fmt.Errorf("settling the job of charge %s: %w", j.charge, err))
			if !errors.Is(err, ledger.ErrNoCharge) {
				return // the record stays for the next start
			}
		}
		if m.opt.JobEnded != nil {
			m.opt.JobEnded(rec.Operation, e.Receipt)
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
