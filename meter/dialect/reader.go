package dialect

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
	"github.com/farebox-dev/farebox/meter/dialect/tokens"
)

// ReaderOptions are what the caller decides about one answer.
type ReaderOptions struct {
	// StripInjectedUsage drops the usage chunk that Prepare asked for and the client did not.
	StripInjectedUsage bool
	// KeepText collects up to 64 KB of the delivered text in Result.DeliveredText.
	KeepText bool
	// MaxBody bounds Result.Body and the memory for a JSON answer; 0 means 4 MB. Usage is found beyond it as well.
	MaxBody int
	// Document gets the JSON objects of a stream, one by one; see Reader.passDocument. A JSON answer is in Result.Body instead.
	// repeats: it differs from the one before in its text alone.
	Document func(doc []byte, repeats bool)
}

const (
	defaultMaxBody = 4 << 20
	maxErrorBody   = 64 << 10
	maxText        = 64 << 10
)

// Reader follows one answer as its decoded bytes pass. It is not safe for concurrent use.
type Reader struct {
	api    *API
	opt    ReaderOptions
	status int

	sniffer frame.Sniffer
	format  frame.Format
	split   frame.Splitter     // nil if the format has no events
	filter  *frame.Filter      // drops the usage chunk; nil unless that is asked for
	drop    bool               // the event that was read is the usage chunk
	doc     jsonscan.Truncator // the current event, or a JSON body beyond MaxBody
	body    []byte
	events  int64 // JSON documents that were read

	counts           counts
	tools            counts           // of hosted tools, in addition
	searched         map[string]bool  // searches that are done, by id
	some, html       bool             // the answer has bytes; it is a page
	known            bool             // the answer has something that only this API has
	parts            [numCounts]Count // counted by the reader itself: images, searches
	scan             tokens.Counter
	contents         int64
	pieces           int    // of text in the current event
	piece            []byte // the last of them
	last             sample
	text             []byte
	model, tier      string
	jobID, errorCode string
	models           []modelCounts // by model, where that is reported
	separate         bool          // some of models are not part of counts
	transcriber      string        // model that transcribes the speech of the caller
	turn             turn          // of a socket

	closed, overflow, torn, finish, failed, refused, errored, pending, over, quota, unbilled bool
}

// NewReader starts reading an answer. header has canonical names, as http.Header does. The bytes given to Write must be decoded.
func (a *API) NewReader(status int, header map[string][]string, opt ReaderOptions) *Reader {
	if opt.MaxBody <= 0 {
		opt.MaxBody = defaultMaxBody
	}
	r := &Reader{api: a, opt: opt, status: status}
	r.sniffer = frame.NewSniffer(frame.FormatOf(headerValue(header, "Content-Type")), a.profile.arrays, status >= 400)
	r.format = r.sniffer.Start()
	if a.profile.lines && status < 400 {
		r.format = frame.Lines
	}
	r.begin()
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
	if r.format != frame.Undecided {
		return r.write(p)
	}
	var blank int
	if r.format, blank = r.sniffer.Write(p); r.format == frame.Undecided {
		return p
	}
	r.begin()
	if blank == 0 {
		return r.write(p)
	}
	return append(p[:blank:blank], r.write(p[blank:])...)
}

// begin reads the bytes that have passed while the format was not known.
func (r *Reader) begin() {
	if r.split = frame.New(r.format, &r.doc); r.split != nil {
		r.readEvents(r.sniffer.Early())
	} else {
		r.write(r.sniffer.Early())
	}
	if r.format == frame.SSE && r.opt.StripInjectedUsage && r.status < 400 {
		r.filter = frame.NewFilter(r.split, r.readEvent)
	}
}

func (r *Reader) write(p []byte) []byte {
	switch {
	case r.filter != nil:
		return r.filter.Write(p)
	case r.split != nil:
		r.readEvents(p)
	case r.format == frame.JSON:
		r.writeBody(p)
	}
	return p
}

func (r *Reader) readEvents(p []byte) {
	for len(p) > 0 {
		var ended bool
		if p, ended = r.split.Next(p); ended {
			r.readEvent()
		}
	}
}

// readEvent reads the event that has ended. It reports whether that is the usage chunk.
func (r *Reader) readEvent() (usageChunk bool) {
	r.drop = false
	if e, ok := r.split.Event(); ok {
		r.event(e)
	}
	r.split.Reset()
	return r.drop
}

func (r *Reader) event(e frame.Event) {
	switch {
	case e.Failed:
		r.fail(e.Data)
	case r.format != frame.SSE:
		if unwrap := r.api.profile.unwrap; unwrap != nil {
			if e.Data = unwrap(e); e.Data == nil {
				return
			}
		}
		r.document(e.Name, e.Data)
	case string(e.Data) == frame.Done:
		r.finish = true
	case jsonscan.IsObject(e.Data):
		r.document(e.Name, e.Data)
	}
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

// Close marks the end of the answer and returns held-back bytes to forward.
func (r *Reader) Close() []byte {
	if r.closed {
		return nil
	}
	r.closed = true
	if r.format == frame.Undecided && r.sniffer.JSON() {
		r.format = frame.JSON
		r.begin()
	}
	dropped := r.split != nil && r.split.End() && r.readEvent()
	switch {
	case r.format == frame.JSON:
		r.closeBody()
	case r.format == frame.Lines && r.api.profile.lines:
		r.finish = true // its own end is all that it has
	case r.filter != nil:
		return r.filter.Close(dropped)
	}
	return nil
}

func (r *Reader) closeBody() {
	doc := r.body
	if r.overflow {
		doc = r.doc.Bytes()
	}
	doc = bytes.TrimPrefix(doc, []byte("\xEF\xBB\xBF"))
	if r.doc.Overflow() || !jsonscan.Valid(doc) {
		r.torn = r.overflow || r.status >= 400 || !frame.IsLines(doc)
		if !r.torn { // under a wrong name
			r.format, r.split = frame.Lines, frame.New(frame.Lines, &r.doc)
			r.readEvents(append(doc, '\n'))
		}
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

// sample is the last event of a stream, if all that it brought was one piece of text. Most events of a stream differ from the
// one before in that text alone. Such a repeat is compared with the sample, not parsed: all else that it says has been read.
type sample struct {
	name, doc  []byte
	start, end int // of the text in doc, between its quotes
}

// maxSample is the longest event that is kept for comparison.
const maxSample = 4 << 10

// note keeps an event that was parsed; text is a part of doc.
func (s *sample) note(name, doc, text []byte) {
	start := cap(doc) - cap(text) // text is a slice of doc: its capacity says where it begins there
	end := start + len(text)
	if len(doc) > maxSample || start < 1 || end >= len(doc) || doc[start-1] != '"' || doc[end] != '"' {
		s.forget()
		return
	}
	s.name, s.doc, s.start, s.end = append(s.name[:0], name...), append(s.doc[:0], doc...), start, end
}

func (s *sample) forget() { s.doc = s.doc[:0] }

// textOf returns the text of an event that repeats the sample with another text.
func (s *sample) textOf(name, doc []byte) (text []byte, ok bool) {
	end := len(doc) - (len(s.doc) - s.end)
	if len(s.doc) == 0 || end < s.start || !bytes.HasPrefix(doc, s.doc[:s.start]) || !bytes.Equal(doc[end:], s.doc[s.end:]) || !bytes.Equal(name, s.name) {
		return nil, false
	}
	text = doc[s.start:end]
	if bytes.IndexByte(text, '"') >= 0 || len(text) > 0 && text[len(text)-1] == '\\' { // the text may end elsewhere
		return nil, false
	}
	return text, true
}

// document reads an event of a stream.
func (r *Reader) document(name, data []byte) {
	if text, repeats := r.last.textOf(name, data); repeats {
		r.events++
		r.addText(text)
		r.passDocument(data, true)
		return
	}
	counted := r.answer(data, string(name))
	if p := r.api.profile; r.pieces == 1 && !counted && !p.sum && p.searches == nil { // nothing in it would count again
		r.last.note(name, data, r.piece)
	} else {
		r.last.forget()
	}
	r.piece = nil
}
