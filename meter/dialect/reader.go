package dialect

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// ReaderOptions are what the caller decides about one answer.
type ReaderOptions struct {
	// StripInjectedUsage drops the usage chunk that Prepare asked for and the client did not.
	StripInjectedUsage bool
	// KeepText collects up to 64 KB of the delivered text in Result.DeliveredText.
	KeepText bool
	// MaxBody bounds Result.Body and the memory for a JSON answer; 0 means 4 MB. Usage is found beyond it as well.
	MaxBody int
	// Document gets the JSON objects of a stream, one by one; see Reader.show. A JSON answer is in Result.Body instead.
	Document func([]byte)
}

const (
	defaultMaxBody = 4 << 20
	maxErrorBody   = 64 << 10
	maxText        = 64 << 10
	maxHeld        = 64 << 10 // a larger event is no usage chunk
)

// Reader follows one answer as its decoded bytes pass. It is not safe for concurrent use.
type Reader struct {
	api     *API
	opt     ReaderOptions
	status  int
	framing framing

	sse    sse
	doc    jsonscan.Truncator // the current event, or a JSON body beyond MaxBody
	frames frames
	depth  int
	body   []byte

	json    bool    // what the answer says it is
	label   framing // of an answer that says it is a stream
	events  int64   // JSON documents that were read
	first   []byte  // bytes by which it is not yet known what it is
	held    []byte  // strip mode: the current event, not yet forwarded
	passing bool    // strip mode: the current event is too large to be held
	drop    bool
	out     []byte

	counts           counts
	tools            counts           // of hosted tools, in addition
	searched         map[string]bool  // searches that are done, by id
	some, html       bool             // the answer has bytes; it is a page
	known            bool             // something was there that only an answer of this API has
	parts            [numCounts]Count // counted by the reader itself: images, searches
	scan             textScan
	contents         int64
	text             []byte
	model, tier      string
	jobID, errorCode string
	models           []modelCounts // by model, where that is reported
	apart            bool          // some of models are beside counts, not in them
	transcriber      string        // model that turns speech into text beside the answer
	turn             turn          // of a socket

	closed, overflow, torn, finish, failed, refused, errored, pending, over, quota, unbilled bool
}

// NewReader starts reading an answer. header has canonical names, as http.Header does. The bytes given to Write must be decoded.
func (a *API) NewReader(status int, header map[string][]string, opt ReaderOptions) *Reader {
	if opt.MaxBody <= 0 {
		opt.MaxBody = defaultMaxBody
	}
	r := &Reader{api: a, opt: opt, status: status}
	r.sse.data = &r.doc
	switch r.framing = framingOf(headerValue(header, "Content-Type")); r.framing {
	case framingJSON:
		r.framing, r.json = framingSniff, true
	case framingSSE, framingLines:
		r.framing, r.label = framingSniff, r.framing
	default:
	}
	if a.profile.lines && status < 400 {
		r.framing = framingLines
	}
	r.html = strings.HasPrefix(strings.ToLower(headerValue(header, "Content-Type")), "text/html")
	for _, h := range a.profile.headers {
		if n, ok := parseNumber([]byte(headerValue(header, h.name)), 1); ok && n >= 0 {
			r.counts.c[h.to], r.known = Count{n, true}, true
		}
	}
	return r
}

func headerValue(header map[string][]string, name string) string {
	if v := header[name]; len(v) > 0 {
		return v[0]
	}
	for k, v := range header {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

// Write takes the next bytes of the answer and returns those to forward to the client: p itself, except in strip mode,
// where at most one event is held back. The returned slice is valid until the next call.
func (r *Reader) Write(p []byte) []byte {
	r.some = r.some || len(p) > 0
	if r.framing != framingSniff {
		return r.write(p)
	}
	blank := r.sniff(p)
	if r.framing == framingSniff {
		return p
	}
	r.begin()
	if blank == 0 {
		return r.write(p)
	}
	return append(p[:blank:blank], r.write(p[blank:])...)
}

// begin reads the bytes that have passed while it was not known what they are: too few for a whole event.
func (r *Reader) begin() {
	if r.framing == framingSSE {
		r.sse.next(r.first)
	} else {
		r.write(r.first)
	}
}

func (r *Reader) write(p []byte) []byte {
	switch r.framing {
	case framingSSE:
		if r.opt.StripInjectedUsage && r.status < 400 {
			return r.writeStripped(p)
		}
		for rest := p; len(rest) > 0; {
			var ended bool
			if rest, ended = r.sse.next(rest); ended {
				r.dispatch()
			}
		}
	case framingLines:
		r.writeLines(p)
	case framingArray:
		r.writeArray(p)
	case framingFrames:
		r.writeFrames(p)
	case framingJSON:
		r.writeBody(p)
	default:
	}
	return p
}

func (r *Reader) writeBody(p []byte) {
	limit := r.opt.MaxBody
	if r.status >= 400 {
		limit = min(limit, maxErrorBody)
	}
	if !r.overflow && len(r.body)+len(p) <= limit {
		r.body = append(r.body, p...)
		return
	}
	if !r.overflow {
		r.overflow = true
		r.doc.Write(r.body)
		r.body = nil
	}
	r.doc.Write(p)
}

// writeStripped forwards event by event. An event block ends with its blank line; if the CR of that line end is the last byte
// of p, a LF that follows belongs to it too.
func (r *Reader) writeStripped(p []byte) []byte {
	if r.sse.afterCR && len(p) > 0 && len(r.held) == 0 && r.drop && p[0] == '\n' {
		r.sse.afterCR = false
		p = p[1:]
	}
	r.out = r.out[:0]
	whole := len(r.held) == 0 // all of p goes out unchanged so far
	rest := p
	start := 0
	for len(rest) > 0 {
		if len(r.held) == 0 && start == len(p)-len(rest) && r.sse.afterCR && rest[0] == '\n' && !r.drop {
			// The second half of a line end whose event has gone out already must not wait for the next event.
			r.sse.afterCR = false
			r.out = append(r.out, '\n')
			rest = rest[1:]
			start++
			continue
		}
		var ended bool
		rest, ended = r.sse.next(rest)
		end := len(p) - len(rest)
		if !ended {
			break
		}
		if len(rest) > 0 && r.sse.afterCR && rest[0] == '\n' {
			r.sse.afterCR = false
			rest = rest[1:]
			end++
		}
		r.drop = false
		r.dispatch()
		if r.drop && !r.passing {
			whole = false
		} else {
			r.out = append(append(r.out, r.held...), p[start:end]...)
			r.drop = false
		}
		r.held, r.passing = r.held[:0], false
		start = end
	}
	if start < len(p) {
		r.held = append(r.held, p[start:]...)
		if r.passing || len(r.held) > maxHeld {
			r.out = append(r.out, r.held...)
			r.held, r.passing = r.held[:0], true
		} else {
			whole = false
		}
	}
	if whole {
		return p
	}
	return r.out
}

// Close marks the end of the answer and returns held-back bytes to forward.
func (r *Reader) Close() []byte {
	if r.closed {
		return nil
	}
	r.closed = true
	if r.framing == framingSniff && r.json {
		r.framing = framingJSON
		r.begin()
	}
	switch r.framing {
	case framingSSE:
		// Without its blank line an event is not dispatched (WHATWG), but some servers leave out the last one.
		r.sse.atEnd()
		if r.doc.Complete() || bytes.Equal(bytes.TrimSpace(r.doc.Bytes()), doneMark) {
			r.drop = false
			r.dispatch()
			if r.drop {
				r.held = r.held[:0]
			}
		}
	case framingLines:
		if r.doc.Complete() {
			r.document()
		}
		if r.api.profile.lines {
			r.finish = true // its own end is all that it has
		}
	case framingJSON:
		r.closeBody()
	default:
	}
	held := r.held
	r.held = nil
	return held
}

func (r *Reader) closeBody() {
	doc := r.body
	if r.overflow {
		doc = r.doc.Bytes()
	}
	doc = bytes.TrimPrefix(doc, bomBytes)
	if r.doc.Overflow() || !jsonscan.Valid(doc) {
		r.torn = !r.asLines(doc)
		return
	}
	if first := doc[jsonscan.SkipSpace(doc, 0)]; first == '[' && r.status >= 400 {
		doc = []byte(gjson.GetBytes(doc, "0").Raw) // errors of Gemini's array streams come in an array
	}
	for _, c := range r.api.profile.perBody {
		r.parts[c] = Count{1, true}
	}
	r.answer(doc, "")
	if !r.pending && !r.failed {
		r.finish = true
	}
}

var doneMark = []byte("[DONE]")

// dispatch handles the event that the SSE parser has just completed.
func (r *Reader) dispatch() {
	if r.sse.hasData && !r.doc.Overflow() {
		if data := bytes.TrimSpace(r.doc.Bytes()); bytes.Equal(data, doneMark) {
			r.finish = true
		} else if len(data) > 0 && data[0] == '{' {
			r.event(r.sse.eventName, data)
		}
	}
	r.sse.clear()
}

// event handles one event of a stream, whatever the framing.
func (r *Reader) event(name, data []byte) {
	r.answer(data, string(name))
}
