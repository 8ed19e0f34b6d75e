package dialect

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
)

// answer reads one JSON document: an event of a stream, or a whole body. The cheap part runs for every event; usage is looked
// for only where its name occurs. (The name cannot occur inside a string value: there its quotes would be escaped. It only
// decides whether to parse; values always come from their path.) It reports whether the document counts for more than its text.
func (r *Reader) answer(data []byte, name string) (counted bool) {
	p := r.api.profile
	r.events++
	before := r.contents
	r.pieces = 0
	var kind, direct []byte
	for key, value := range jsonscan.Members(data) {
		if string(key) == "type" || string(key) == "event_type" {
			kind = jsonscan.Content(value)
		}
		r.member(key, value, data)
		if p.text.isRoot(key) {
			r.known = true
			if text := r.textRoot(value); text != nil {
				direct = text
			}
		}
	}
	if direct != nil && textual(kind) {
		r.addText(direct)
	}
	r.contents = min(r.contents, before+1) // an event counts once
	ended := r.signal(string(kind), name, data)
	counted = ended || r.failed
	for i := range p.usage {
		at := &p.usage[i]
		if (at.mark == "" || bytes.Contains(data, []byte(at.mark))) && (at.kind == "" || at.kind == string(kind)) {
			counted = r.readUsage(at, data) || counted
		}
	}
	r.countItems(data, ended)
	r.passDocument(data, false)
	if p.job != nil {
		r.readJob(p.job, data)
	}
	return counted
}

// member reads one of a document's own members.
func (r *Reader) member(key, value, document []byte) {
	switch string(key) {
	case "model", "modelVersion":
		if r.model == "" {
			r.model = string(jsonscan.Content(value))
		}
	case "service_tier":
		if tier := jsonscan.Content(value); tier != nil {
			r.tier = string(tier)
		}
	case "error":
		r.errorMember(value)
	case "object":
		r.object(string(jsonscan.Content(value)), document)
	case "x_groq":
		if e := jsonscan.Get(value, "error"); len(e) > 2 {
			r.errorMember(e)
		}
	case "done", "stop": // Ollama, llama.cpp
		r.finish = r.finish || string(value) == "true"
	case "stop_reason":
		r.stopReason(value)
	}
}

// object reads the kind of a document, as OpenAI names it.
func (r *Reader) object(kind string, document []byte) {
	if free := r.api.profile.freeObject; free != "" && kind == free {
		r.known, r.unbilled = true, true
	}
	if kind == "error" { // vLLM's errors inside a stream
		r.failed = true
		r.errorCodeOf(document)
	}
}

// textRoot reads a member that holds what the model generated. It returns the text if the member itself is one.
func (r *Reader) textRoot(v []byte) (text []byte) {
	if len(v) > 0 && (v[0] == '{' || v[0] == '[') {
		r.walkText(v)
	}
	return jsonscan.Content(v)
}

// walkText reads the text members below v.
func (r *Reader) walkText(v []byte) {
	keys := r.api.profile.text.keys
	for i := 0; i < len(v); {
		if v[i] != '"' {
			i++
			continue
		}
		end := jsonscan.SkipString(v, i)
		if end < 0 {
			return
		}
		colon := jsonscan.SkipSpace(v, end)
		if colon >= len(v) || v[colon] != ':' {
			i = end
			continue
		}
		kind := keys[string(v[i+1:end-1])]
		i = jsonscan.SkipSpace(v, colon+1)
		if kind == 0 || i >= len(v) {
			continue
		}
		if kind != textJSON && v[i] != '"' {
			continue // null, or an object below the same name: walk into it
		}
		if end = jsonscan.SkipValue(v, i); end < 0 {
			return
		}
		switch {
		case kind == textFinish:
			r.stopReason(v[i:end])
		case v[i] == '"':
			r.addText(v[i+1 : end-1])
		case v[i] == '{' || v[i] == '[':
			r.addText(v[i:end])
		}
		i = end
	}
}

// textual excludes the binary deltas of Responses and speech events (base64 in "delta" or "audio").
func textual(kind []byte) bool {
	return !bytes.Contains(kind, []byte("audio.delta")) && !bytes.Contains(kind, []byte("image"))
}

// signal handles the event types that end an answer, and says whether this is one that ends it well.
func (r *Reader) signal(kind, name string, data []byte) bool {
	if kind == "" {
		kind = name
	}
	if kind == "" {
		return false
	}
	p := r.api.profile
	if slices.Contains(p.failed, kind) {
		r.fail(data)
		return false
	}
	if slices.Contains(p.done, kind) {
		r.finish = true
		return true
	}
	return false
}

// stopReason ends an Anthropic message. A refusal before any output is not billed.
func (r *Reader) stopReason(v []byte) {
	if s := jsonscan.Content(v); len(s) > 0 {
		r.finish = true
		r.refused = r.refused || string(s) == "refusal"
		r.errored = r.errored || string(s) == "error"
	}
}

// readUsage reads usage, model and tier at one place of the answer. It reports whether there is any.
func (r *Reader) readUsage(at *place, data []byte) bool {
	p := r.api.profile
	usage := data
	if strings.Contains(at.path, ".0.") {
		usage = []byte(gjson.GetBytes(data, at.path).Raw)
	} else if at.path != "" {
		usage = jsonscan.Get(data, at.path)
	}
	if len(usage) == 0 || usage[0] != '{' {
		return false
	}
	if p.sum {
		r.addTurn(at, data, usage)
		return true
	}
	var fresh counts
	if at.tool {
		fresh.readTool(usage)
		r.tools.merge(&fresh)
		return true
	}
	if !fresh.read(usage, p.fields, at.except) {
		r.counts.bad = r.counts.bad || fresh.bad
		return true
	}
	r.known = true
	fresh.readCost(usage)
	r.counts.merge(&fresh)
	if p.sums != "" {
		if models := r.counts.members(jsonscan.Get(usage, p.sums), p.fields); models != nil {
			r.models = models
		}
	}
	if tier := jsonscan.Content(jsonscan.Get(usage, "service_tier")); tier != nil {
		r.tier = string(tier)
	} else if tier := jsonscan.Content(jsonscan.Get(usage, "serviceTier")); tier != nil { // Gemini, in small or capital letters
		r.tier = strings.ToLower(string(tier))
	} else if tier := jsonscan.Content(jsonscan.Get(data, at.base+"service_tier")); tier != nil {
		r.tier = string(tier)
	}
	if model := jsonscan.Content(jsonscan.Get(data, at.base+"model")); model != nil && string(model) != r.model {
		r.model = string(model)
	}
	// The usage chunk comes last, with no choices; nothing follows but [DONE]. Servers leave the choices empty, null or out.
	choices := jsonscan.Get(data, "choices")
	missing := p.inject && r.format != frame.JSON && jsonscan.IsNull(choices) && jsonscan.IsNull(jsonscan.Get(data, "error"))
	if missing || bytes.HasPrefix(choices, []byte{'['}) && empty(choices) {
		r.finish, r.drop = true, true
	}
	return true
}

// passDocument passes an event to ReaderOptions.Document in the shape of a JSON answer: what an event wraps (the message of
// message_start, the response of a Responses event) counts as the answer.
func (r *Reader) passDocument(data []byte, repeats bool) {
	if r.opt.Document == nil || r.format == frame.JSON && !r.overflow {
		return
	}
	for _, at := range r.api.profile.usage {
		if at.base != "" && at.kind == "" {
			if inner := jsonscan.Get(data, strings.TrimSuffix(at.base, ".")); len(inner) > 0 && inner[0] == '{' {
				r.opt.Document(inner, repeats)
			}
		}
	}
	r.opt.Document(data, repeats)
}

// empty reports whether an object or an array has no members.
func empty(v []byte) bool { return len(v) >= 2 && jsonscan.SkipSpace(v, 1) == len(v)-1 }

// countItems counts parts of the answer that have no place in its usage: images, videos, web searches.
func (r *Reader) countItems(data []byte, ended bool) {
	p := r.api.profile
	if ended {
		for _, c := range p.perDone {
			r.parts[c] = Count{r.parts[c].N + 1, true}
		}
	}
	for _, f := range p.fixed {
		if !bytes.Contains(data, []byte(f.mark)) {
			continue
		}
		v := gjson.GetBytes(data, f.path)
		r.known = r.known || v.Exists()
		if n, ok := lenientNumber([]byte(v.Raw), scaleOf(f.to)); ok && n > 0 {
			r.parts[f.to] = Count{n, true}
		}
	}
	if p.searches != nil {
		p.searches(r, data)
	}
}

func scaleOf(c count) int64 {
	if c == cMillis {
		return 1000
	}
	return 1
}

// addText takes delivered text, still JSON-escaped.
func (r *Reader) addText(s []byte) {
	if len(s) == 0 {
		return
	}
	r.contents++
	r.pieces, r.piece = r.pieces+1, s
	if len(s) >= jsonscan.MaxString-6 { // it may be cut
		r.scan.WriteCut(s, r.doc.Dropped(s))
	} else {
		r.scan.Write(s)
	}
	if r.opt.KeepText && len(r.text) < maxText {
		r.text = jsonscan.AppendUnescaped(r.text, s)
	}
}

// fail marks the answer as failed and keeps the error code.
func (r *Reader) fail(data []byte) {
	r.failed = true
	for _, path := range []string{"error", "response.error", "data.error"} {
		if v := jsonscan.Get(data, path); !jsonscan.IsNull(v) {
			r.errorCodeOf(v)
			return
		}
	}
	r.errorCodeOf(data)
}

// errorMember handles a top-level "error". An object or text is a failure; null, false and "" are not.
func (r *Reader) errorMember(v []byte) {
	if len(v) < 3 || v[0] != '{' && v[0] != '"' || v[0] == '{' && empty(v) || r.api.profile.sum {
		return // an error of one turn or line is not the whole answer's
	}
	if r.api.Unknown && r.status < 400 {
		return // an unknown protocol: its own field, with its own meaning
	}
	r.failed = true
	r.errorCodeOf(v)
}

func (r *Reader) errorCodeOf(v []byte) {
	var code string
	kind := string(jsonscan.Content(jsonscan.Get(v, "type")))
	for _, name := range []string{"code", "status", "type", "error_type"} {
		c := jsonscan.Get(v, name)
		if s := jsonscan.Content(c); len(s) > 0 {
			code = string(s)
		} else if len(c) > 0 && c[0] >= '0' && c[0] <= '9' && name == "code" {
			if s := jsonscan.Content(jsonscan.Get(v, "status")); len(s) == 0 {
				code = string(c)
			}
		}
		if code != "" {
			break
		}
	}
	if len(code) > 128 {
		code = code[:128]
	}
	r.errorCode = code
	message := jsonscan.Content(jsonscan.Get(v, "message"))
	switch {
	case code == "402", code == "insufficient_quota", kind == "insufficient_quota", code == "billing_hard_limit_reached",
		code == "billing_not_active", kind == "billing_error", code == "insufficient_balance":
		r.quota = true
	case bytes.Contains(message, []byte("credit balance is too low")):
		r.quota = true // Anthropic answers 400 invalid_request_error with this sentence
	}
}
