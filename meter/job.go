package meter

import (
	"context"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/job"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// startsJob finds out whether an answer leaves a job behind, whose end decides
// what becomes of the hold; nil if it does not.
func (c *Charge) startsJob(b *bill, e *closing, r *dialect.Result) *job.Record {
	if _, settles := e.command.(ledger.Settle); !settles || c.status < 200 || c.status >= 300 {
		return nil
	}
	op := c.price.Operation()
	id, poll := r.JobID, ""
	if op.Job != nil {
		if id = op.JobID(&b.answer); id != "" {
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
	switch job.StateOf(op, c.api, &b.answer, r) {
	case job.Failed:
		*e = c.hold.released(event.JobFailed, c.status)
	case job.Running:
		e.Pending = true
		return c.jobRecord(id, job.CleanPath(poll))
	case job.Ended:
	}
	return nil
}

// holdJob leaves the hold as it is until the job has ended. The record is durable
// before the client hears of the job.
func (c *Charge) holdJob(ctx context.Context, rec *job.Record, r Receipt) Receipt {
	kept := make(chan struct{})
	c.hold.observe(min(r.Cost, c.hold.amount)) // what it will cost, if the gateway should lose it
	c.m.Jobs.open.Add(rec, c.req.Place, func() { close(kept) })
	select {
	case <-kept:
	case <-ctx.Done():
	}
	return r
}

// jobOf finds the open job that a request asks about. declared: the price file
// says that requests like this one do. Whose job it is has been decided; see
// ownership.Owners.Check.
func (a *admission) jobOf() (of *job.Job, declared bool) {
	path := a.price.Asked.Path
	name := path
	op, id, declared := a.book.Jobs.For(a.req.Method, a.req.URI)
	if declared {
		name = job.Name(op.ID, id)
	}
	if a.req.Method == "GET" {
		if j := a.m.Jobs.open.Find(name, path); j != nil && string(j.Account) == a.req.Caller.Account {
			of = j
		}
	}
	return of, declared
}

// seeJob passes on to the job what its client has read.
func (x *exchange) seeJob() {
	if x.job == nil || x.reader == nil {
		return
	}
	j := x.job
	x.job = nil
	x.m.Jobs.seen(j, &JobReader{jobs: x.m.Jobs, job: j, path: x.price.Asked.Path, api: x.reads, status: x.status, header: x.header}, x.result())
}

// revived is the charge of an open job, as it was when the job was started.
type revived struct {
	exchange
	hold hold
}

const maxJobBody = 256 << 10

// jobRecord is what has to be kept of a request that has started a job.
func (c *Charge) jobRecord(id, poll string) *job.Record {
	now := c.m.opt.Now()
	rec := &job.Record{
		Account: c.req.Caller.Account, Charge: c.id, Plan: c.planID, Book: c.book.Digest,
		Operation: c.price.Subject().Operation, ID: id, Hint: hintOf(c.price.Asked.API), Poll: poll, Since: c.began, Lost: now.Add(48 * time.Hour),
		Method: c.req.Method, URI: directory.StripURI(c.req.URI), ContentType: c.req.ContentType, Header: map[string][]string{},
		Member: c.req.Caller.Member, Key: c.req.Caller.Key, KeyAttributes: c.req.Caller.KeyAttributes, MemberAttributes: c.req.Caller.MemberAttributes,
		Tokens: c.est.Tokens, Bound: c.bound, Hold: c.hold.amount,
	}
	if c.req.Origin != nil {
		rec.Origin = c.req.Origin.JSON()
	}
	if x := c.price.Operation().Job; x != nil {
		rec.Lost, rec.LostRefund = x.MaxAge.After(now, c.book.Policies.Timezone), x.LostRefund
	}
	for name, values := range c.req.Header {
		if job.InQuestion(name) || c.book.Fields.ReadsHeader(name) {
			rec.Header[name] = values
		}
	}
	directory.StripKeys(rec.Header, "")
	rec.Body = jsonscan.Truncate(c.req.Body, maxJobBody)
	return rec
}

// holdOf is what is still held for a job.
func (m *Gateway) holdOf(rec *job.Record) hold {
	return hold{m: m, id: ledger.ChargeID(rec.Charge), caller: Caller{Account: rec.Account, Member: rec.Member, Key: rec.Key}, amount: rec.Hold}
}

// revive reads again what a job's request was.
func (m *Gateway) revive(ctx context.Context, rec *job.Record) (*revived, error) {
	book := m.Books.InForce()
	if book.Digest != rec.Book {
		old, err := m.Books.Find(ctx, rec.Book)
		if err != nil {
			return nil, err
		}
		book = &loaded{Book: old}
	}
	a := &admission{m: m, book: book, began: rec.Since, req: &Request{
		Method: rec.Method, URI: rec.URI, Header: rec.Header, Body: rec.Body, ContentType: rec.ContentType,
		Caller: Caller{Account: rec.Account, Member: rec.Member, Key: rec.Key, KeyAttributes: rec.KeyAttributes, MemberAttributes: rec.MemberAttributes},
	}}
	if err := a.read(); err != nil {
		return nil, err
	}
	if a.price.Operation() == nil {
		return nil, fmt.Errorf("operation %s is no longer in its price book", rec.Operation)
	}
	a.plan, a.bound = a.book.Plan(rec.Plan), rec.Bound
	a.est.Tokens = rec.Tokens
	return &revived{exchange{admission: a, id: rec.Charge, planID: rec.Plan}, m.holdOf(rec)}, nil
}
