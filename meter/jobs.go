package meter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/job"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Jobs settles the jobs of upstreams, by the answers that clients get and by
// those to the gateway's own questions. Its methods are safe for concurrent use.
type Jobs struct {
	m    *Gateway
	open *job.Registry
}

// JobQuestion is a job whose state is to be read: GET Path from its upstream and
// give the answer to Reader.
type JobQuestion struct {
	Path   string              // decoded
	Header map[string][]string // all that the question has, see job.InQuestion
	Origin []byte              // of the request that started the job
	Reader *JobReader
}

// AskFirst sets how soon a job is asked for first; see job.Registry.
func (s *Jobs) AskFirst(first time.Duration) { s.open.AskFirst(first) }

// Due are at most n jobs to ask for now, those that wait the longest first. The
// Reader of each has to be ended. Jobs that are too old are resolved by the price
// file instead.
func (s *Jobs) Due(ctx context.Context, n int) []JobQuestion {
	if !s.m.writer.Peers.OnDuty() {
		return nil
	}
	due, lost := s.open.Due(n)
	for _, j := range lost {
		s.lose(ctx, j)
	}
	questions := make([]JobQuestion, 0, len(due))
	for _, j := range due {
		rec, err := s.open.Read(ctx, j.Charge)
		if err != nil { // it has ended meanwhile
			s.open.Asked(j)
			continue
		}
		path := rec.Poll
		if rec.Results != "" {
			path = rec.Results
		}
		questions = append(questions, JobQuestion{Path: path, Header: rec.QuestionHeader(), Origin: rec.Origin, Reader: &JobReader{
			jobs: s, job: j, path: path, api: dialect.Detect("GET", path, rec.Hint),
		}})
	}
	return questions
}

// Webhook finds the operation whose jobs an upstream reports on this route.
func (s *Jobs) Webhook(method, uri string) (*pricing.Operation, bool) {
	return s.m.Books.InForce().Jobs.Webhook(method, uri)
}

// Called takes a call of a webhook and reports whether it names an open job. Such
// calls are not authenticated, so all that one does is to have the job asked for
// at once.
func (s *Jobs) Called(op *pricing.Operation, body []byte) bool {
	j := s.open.Find(job.Name(op.ID, op.WebhookID(body)))
	if j != nil {
		s.open.AskSoon(j)
	}
	return j != nil
}

// seen takes an answer about a job, and ends the job if the answer says so: once,
// whoever saw it first.
func (s *Jobs) seen(j *job.Job, answer *JobReader, r *dialect.Result) {
	s.open.Asked(j)
	rec, err := s.open.Read(context.Background(), j.Charge)
	if err != nil {
		return // it has ended just now
	}
	c, err := s.m.revive(context.Background(), rec)
	if err != nil {
		s.m.opt.Problem(fmt.Errorf("pricing the job of charge %s: %w", j.Charge, err))
		return // it is lost by its age, not by a book that can't be read today
	}
	c.status, c.header = answer.status, answer.header
	switch answer.state(c.price.Operation(), rec, r) {
	case job.Running:
	case job.Failed:
		s.end(j, rec, c.hold.released(event.JobFailed, c.status), nil)
	case job.Ended:
		if !c.price.TokenPriced() || r.Usage.InputTotal.OK || r.Usage.OutputTotal.OK || answer.path == rec.Results {
			b := &bill{x: &c.exchange, held: c.hold.amount}
			s.end(j, rec, b.end(Answered, r), b)
			return
		}
		if rec.Results = answer.api.Jobs().ResultsPath(answer.path, r.Body); rec.Results != "" {
			s.open.AwaitResults(j, rec)
			return
		}
		s.end(j, rec, c.hold.captured("answered without usage", c.status), nil)
	}
}

// lose ends a job whose end was not seen.
func (s *Jobs) lose(ctx context.Context, j *job.Job) {
	rec, err := s.open.Read(ctx, j.Charge)
	if err != nil {
		return
	}
	h := s.m.holdOf(rec)
	e := h.captured(event.JobUnseen, 0)
	if rec.LostRefund {
		e = h.released(event.JobUnseen, 0)
	}
	s.end(j, rec, e, nil)
}

// end books the end of a job, once.
func (s *Jobs) end(j *job.Job, rec *job.Record, e closing, priced *bill) {
	if !s.open.BeginEnd(j) {
		return
	}
	m := s.m
	e.keep(rec.Answer)
	began := time.Now()
	(&booking{m: m, account: j.Account, charge: j.Charge, end: e.command, bill: priced, ended: func(res ledger.Result, err error) {
		if err == nil {
			m.tellBooked(&res, began)
		}
		if err != nil && !errors.Is(err, ledger.ErrConflict) {
			m.opt.Problem(fmt.Errorf("settling the job of charge %s: %w", j.Charge, err))
			if !errors.Is(err, ledger.ErrNoCharge) {
				return // the record stays for the next start
			}
		}
		if m.opt.JobEnded != nil {
			m.opt.JobEnded(rec.Operation, e.Receipt)
		}
		s.open.Remove(j)
	}}).send()
}

// JobReader reads an answer about a job. It belongs to one goroutine.
type JobReader struct {
	jobs   *Jobs
	job    *job.Job
	path   string
	api    *dialect.API
	status int
	header map[string][]string
	reader *dialect.Reader
}

// Begin takes status and header of the answer.
func (r *JobReader) Begin(status int, header map[string][]string) {
	r.status, r.header = status, header
	r.reader = r.api.NewReader(status, header, dialect.ReaderOptions{})
}

// Observe takes the next decoded bytes of the answer.
func (r *JobReader) Observe(p []byte) {
	if r.reader != nil {
		r.reader.Write(p)
	}
}

// End ends the answer. whole: it was not cut short; only then it is read.
func (r *JobReader) End(whole bool) {
	if !whole || r.reader == nil {
		r.jobs.open.Asked(r.job)
		return
	}
	r.reader.Close()
	result := r.reader.Result()
	r.jobs.seen(r.job, r, &result)
}

// state is how far the answer says that the job is. An answer with its results
// says by being one that it has ended.
func (r *JobReader) state(op *pricing.Operation, rec *job.Record, result *dialect.Result) job.State {
	switch {
	case rec.Results == "" || r.path != rec.Results:
		a := &pricing.Answer{Status: r.status, Header: r.header, Body: result.Body, ServiceTier: result.ServiceTier, Model: result.Model}
		return job.StateOf(op, r.api, a, result)
	case r.status < 300 && result.Status == dialect.StatusComplete:
		return job.Ended
	}
	return job.Running
}
