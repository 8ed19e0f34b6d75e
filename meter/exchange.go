package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/job"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// exchange is a request and its answer: what all calls have.
type exchange struct {
	*admission
	id     string
	planID string
	out    Outgoing
	status int
	header map[string][]string
	reader *dialect.Reader       // nil: nothing in the answer is read
	fields *pricing.AnswerFields // of a stream; nil: the price file reads none
	gift   *gift                 // nil: the answer issues no ids
	job    *job.Job              // that the request polls

	unreadable bool      // the answer's encoding is unknown
	reported   *reported // replaces the usage that the dialect reads; set by tests
}

// Info implements Call.
func (x *exchange) Info() Info {
	i := Info{ID: x.id, Plan: x.planID, Model: x.price.Asked.Model, Stream: x.info.Stream, TokenPriced: x.price.TokenPriced()}
	if op := x.price.Operation(); op != nil {
		i.Operation = op.ID
	}
	return i
}

// Outgoing implements Call.
func (x *exchange) Outgoing() *Outgoing { return &x.out }

// KeepAlive implements Call: without a hold there is no lease.
func (x *exchange) KeepAlive() (stop func()) { return func() {} }

// Unreadable implements Metered.
func (x *exchange) Unreadable() { x.unreadable = true }

// begin starts the answer. wait: the ids that it issues are durable before they are
// forwarded.
func (x *exchange) begin(status int, header map[string][]string, wait bool) {
	x.status, x.header = status, header
	x.gift = x.newGift(wait)
}

// read makes the reader of the answer.
func (x *exchange) read() {
	opt := dialect.ReaderOptions{StripInjectedUsage: x.out.strip && x.status < 300}
	if x.fields = x.book.NewAnswerFields(); x.fields != nil || x.gift != nil {
		opt.Document = x.event
	}
	x.reader = x.reads.NewReader(x.status, x.header, opt)
}

// Begin implements Call.
func (u *Unmetered) Begin(status int, header map[string][]string) {
	if u.begin(status, header, true); u.job != nil || u.gift != nil {
		u.read()
	}
}

// Observe implements Call.
func (x *exchange) Observe(_ context.Context, p []byte) ([]byte, error) {
	if x.reader == nil {
		return p, nil
	}
	out := x.reader.Write(p)
	x.gift.document()
	return out, nil
}

// event takes an object of a stream. One that repeats the one before, but for its
// text, issues no other ids.
func (x *exchange) event(doc []byte, repeats bool) {
	if x.fields != nil {
		x.fields.Add(doc)
	}
	if !repeats {
		x.gift.event(doc)
	}
}

// End implements Call.
func (x *exchange) End() []byte {
	if x.reader == nil {
		return nil
	}
	return x.reader.Close()
}

// close applies what the answer says about other things: the job that it reports
// on, and objects that it deleted.
func (x *exchange) close() {
	x.seeJob()
	x.forgetDeleted()
}
