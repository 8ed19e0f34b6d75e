package dialect

import (
	"bytes"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
)

// Status says how reliable a result is.
type Status string

// The statuses of a [Result].
const (
	StatusComplete Status = "complete" // the answer ended and what it used is known
	StatusPartial  Status = "partial"  // the answer has not ended, or was cut off; Usage is what is known so far
	StatusMissing  Status = "missing"  // the answer ended well without usage: estimate
	StatusError    Status = "error"    // the upstream failed, by status or inside a 200
	StatusFree     Status = "free"     // the provider does not charge for this
	StatusPending  Status = "pending"  // a job was accepted; its usage comes with a later answer
)

// Result is what is known about an answer.
type Result struct {
	Usage  Usage
	Status Status
	// ByModel splits the usage by model if more than one worked on the answer; its prices then come from here. It may hold more
	// than Usage: that of a separate model, such as the one that transcribes speech.
	ByModel []ModelUsage
	// Model and ServiceTier are what the upstream says it used, "" if it does not. They may differ from the request.
	Model, ServiceTier string
	// Finished is true once the answer's own end was seen (finish reason, terminal event, complete JSON).
	Finished bool
	// DeliveredTokens estimates the output from the text that was delivered so far, tool-call arguments and reasoning included;
	// at least one token for each event with content.
	DeliveredTokens int64
	// PendingInput estimates what the turn of a socket that is under way has read.
	PendingInput int64
	// DeliveredText is the delivered text itself, only with ReaderOptions.KeepText.
	DeliveredText string
	// Body is the whole JSON answer if it is not a stream and not larger than ReaderOptions.MaxBody, else nil. Read-only.
	Body []byte
	// JobID identifies a job that was created or polled. JobOver: it has ended, well or not.
	JobID   string
	JobOver bool
	// ErrorCode is the upstream's own code for an error ("rate_limit_exceeded", "overloaded_error"), "" if none.
	ErrorCode string
	// UpstreamQuota is true if the upstream refused because the operator's own account has no quota or money left.
	UpstreamQuota bool
	// NotAnswer is true for a 2xx status without an answer of this API: an empty body, an HTML page, another object.
	NotAnswer bool
	// BilledInput is true for an error whose input the provider documents as billed (Azure's content filter).
	BilledInput bool
}

// reported says whether anything countable is known.
func (u Usage) reported() bool {
	return u.InputTotal.OK || u.OutputTotal.OK || u.Units != (Units{}) || u.CostUSD != ""
}

// Delivered is Result().DeliveredTokens, cheap enough to call for every chunk of a stream.
func (r *Reader) Delivered() int64 {
	return max(r.scan.Tokens(), r.contents) + r.turn.spoken/spokenPerToken + r.spent()
}

// DeliveredBound is an upper bound of the tokens delivered so far.
func (r *Reader) DeliveredBound() int64 { return max(r.Delivered(), r.scan.Bytes()) }

// DeliveredLeast is a lower bound of the tokens delivered so far: each event with content is at least one.
func (r *Reader) DeliveredLeast() int64 { return r.contents }

// spent is the output of the finished turns of a socket.
func (r *Reader) spent() int64 {
	if r.format != frame.Socket {
		return 0
	}
	return r.counts.c[cOutput].N
}

// Result returns what is known now. It may be called at any time, also after Close.
func (r *Reader) Result() Result {
	p := r.api.profile
	reported := r.counts
	for i, c := range r.parts {
		if c.OK && (count(i) != cWebSearch || c.N > reported.c[i].N) { //nolint:gosec // there are few counts
			reported.c[i] = c
		}
	}
	u := p.usageOf(&reported)
	if r.tools != (counts{}) {
		u = u.plus(p.usageOf(&r.tools))
	}
	res := Result{
		Usage: u, Status: r.statusOf(u), ByModel: r.byModel(), PendingInput: r.turn.pendingInput(), Model: r.model, ServiceTier: r.tier, Finished: r.finish,
		DeliveredTokens: r.Delivered(), DeliveredText: string(r.text),
		JobID: r.jobID, JobOver: r.over, ErrorCode: r.errorCode, UpstreamQuota: r.quota || r.status == 402,
	}
	if r.format == frame.JSON && !r.overflow && r.closed {
		res.Body = r.body
	}
	res.NotAnswer = r.notAnswer()
	res.BilledInput = p.billsFilter && r.status == 400 && r.errorCode == "content_filter"
	return res
}

// notAnswer reports whether an upstream that answered 200 has failed: with an HTML page, an empty body or something else. Sound and
// text are answers only for APIs that return them. For an unknown API everything is an answer.
func (r *Reader) notAnswer() bool {
	p := r.api.profile
	switch {
	case !r.closed || r.status >= 300 || p.free || p.job != nil || p.lines || r.api.Unknown || p.sound && r.some, r.contents > 0, r.known:
		return false
	case r.format == frame.Undecided, !r.some: // only blanks came, or nothing
		return true
	case p.anyText:
		return r.html
	case r.format == frame.Opaque:
		return r.html || len(p.headers) == 0
	case len(p.text.roots) == 0:
		return r.torn
	case r.format == frame.SSE, r.format == frame.Lines, r.format == frame.Array:
		return r.events == 0 // comments, a page, half an event
	}
	return r.torn || r.format == frame.JSON
}

// statusOf is how far the answer has come. The surest signs come first.
func (r *Reader) statusOf(u Usage) Status {
	p := r.api.profile
	stream := r.format != frame.JSON && r.format != frame.Opaque
	switch {
	case r.status >= 400, r.failed:
		return StatusError
	case r.errored && strings.Trim(u.CostUSD, "0.") == "": // OpenRouter charges no answer that its host broke off, unless it says so
		return StatusError
	case p.free, r.unbilled, r.refused && r.contents == 0:
		return StatusFree
	case r.format == frame.Socket:
		if r.turn.open {
			return StatusPartial
		}
		return StatusComplete
	case r.pending:
		return StatusPending
	case r.completeWithoutTokens(u, stream):
		return StatusComplete
	case u.reported() && (r.finish || !stream && r.closed):
		if p.limit.Exists() && !u.OutputTotal.OK {
			return StatusPartial
		}
		return StatusComplete
	case !r.finish && (stream || !r.closed || r.torn):
		if r.api.Unknown && r.closed {
			return StatusComplete
		}
		return StatusPartial
	}
	return StatusMissing
}

// completeWithoutTokens reports whether the answer is complete although it may report no tokens.
func (r *Reader) completeWithoutTokens(u Usage, stream bool) bool {
	p := r.api.profile
	switch {
	case p.lines: // a batch of failures alone has used nothing
		return r.finish
	case p.sound && r.format == frame.Opaque: // as much sound as came
		return true
	case p.job != nil && !r.finish && !u.reported():
		return false
	}
	return p.noUsage && r.closed && !stream && !r.torn
}

// Document is a complete JSON answer; nil before its end, and for a stream.
func (r *Reader) Document() []byte {
	if r.format != frame.JSON && (r.format != frame.Undecided || !r.sniffer.JSON()) || r.overflow {
		return nil
	}
	b := bytes.TrimSpace(r.body)
	if len(b) == 0 || b[len(b)-1] != '}' && b[len(b)-1] != ']' || !jsonscan.Valid(b) {
		return nil
	}
	return b
}
