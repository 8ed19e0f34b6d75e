package dialect

import (
	"bytes"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/tidwall/gjson"
)

// RequestInfo is what a request asks for, if it may change the price.
type RequestInfo struct {
	Model     string // from the body, else from the path
	Stream    bool
	MaxOutput Count // the field that bounds the output of one choice; absent = not bounded by the request
	// N multiplies the output: n, candidateCount, prompts × best_of. At least 1.
	N             int64
	AskedForUsage bool // stream_options.include_usage is true
	ServiceTier   string
	// Hides is true if the answer may have output that its stream does not show as text: reasoning, sound, pictures.
	Hides bool
	// Limits are the output bounds of the requests in a batch, nil elsewhere; 0 is none.
	Limits []int64
	// Reject is "" or the reason why the request must be refused with 400: "ambiguous_request" (a metered key occurs twice, or in
	// another case), "quantity_invalid", "quantity_too_large". Field names the member.
	Reject, Field string
}

// Reasons of RequestInfo.Reject, as in the table of refusals.
const (
	RejectAmbiguous = "ambiguous_request"
	RejectInvalid   = "quantity_invalid"
	RejectTooLarge  = "quantity_too_large"
)

const (
	maxLimit    = 1 << 31
	maxMultiple = 100_000
)

// common are the top-level members that change a price at any API.
var common = []string{
	"model", "stream", "stream_options", "n", "best_of", "service_tier", "serviceTier", "speed", "modalities", "size", "quality",
	"seconds", "duration", "models", "tools", "messages", "input", "prompt", "partial_images", "background",
	"fallbacks", "plugins", "preset",
	"num_images", "num_outputs", "number_of_images", "batch_size", "samples", "sampleCount", "num_videos", "duration_seconds", "speed", "pages", "document",
	"texts", "passages", "inputs", "instances", "parameters", "max_tool_calls", "web_search_options", "search_parameters",
	"requests", "images", "query",
}

// ReadRequest reads a request body; of one that is not valid JSON it knows only what the path says. Parsers differ in
// which of two equal keys they take, and Go servers match keys in any case; so a metered key must be there once.
func (a *API) ReadRequest(b Body) RequestInfo {
	p := a.profile
	info := RequestInfo{Model: a.PathModel, N: 1, Stream: a.pathStream || p.streams}
	if p.batch != "" {
		info.Limits = batchLimits(gjson.GetBytes(b.doc, p.batch))
	}
	doc := b.members
	if !p.readable(doc) {
		return info
	}
	if field := p.ambiguous(doc); field != "" {
		info.reject(RejectAmbiguous, field)
	}
	for _, path := range p.modelPaths() {
		if v := doc.get(path); v.Type == gjson.String && v.Str != "" {
			info.Model = v.Str
			break
		}
	}
	info.readStream(a, doc)
	for _, path := range []string{"service_tier", "serviceTier", "generationConfig.serviceTier"} {
		if v := doc.get(path); v.Type == gjson.String {
			info.ServiceTier = v.Str
		}
	}
	info.Hides = hidesOutput(doc)
	info.readOutput(p, doc)
	return info
}

// reject notes the first reason to refuse the request.
func (info *RequestInfo) reject(reason, field string) {
	if info.Reject == "" {
		info.Reject, info.Field = reason, field
	}
}

func (info *RequestInfo) readStream(a *API, doc members) {
	switch v := doc.get("stream"); v.Type {
	case gjson.True, gjson.False:
		info.Stream = a.pathStream || v.Bool()
	case gjson.Null:
	case gjson.Number, gjson.String, gjson.JSON: // 1, "true": a stream to some servers
		if !a.Unknown {
			info.reject(RejectInvalid, "stream")
		}
	}
	info.Stream = info.Stream || doc.get("stream_format").Str == "sse"
	info.AskedForUsage = doc.get("stream_options.include_usage").Type == gjson.True
}

// readOutput reads the limit of the output, and how often it counts.
func (info *RequestInfo) readOutput(p *profile, doc members) {
	for _, path := range p.limit.fields {
		if n, ok := info.number(doc, path, maxLimit, &p.limit); ok {
			info.MaxOutput = Count{max(n, info.MaxOutput.N), true}
		}
	}
	for _, path := range p.multiples {
		if n, ok := info.number(doc, path, maxMultiple, &OutputLimit{}); ok {
			info.N = max(info.N, n)
		}
	}
	if p.prompts != "" {
		info.N = min(info.N*promptsIn(doc.get(p.prompts)), maxCount)
	}
}

// members are the members of a request's own object. The body is walked once for them, and everything that reads a request looks
// here, so that the cost of reading does not depend on the length of the conversation.
type members []topMember

type topMember struct {
	key   []byte // without its escapes
	value []byte // raw
	odd   bool   // the key is not a valid string
}

// membersOf walks doc, which may be malformed; what is no object has no members.
func membersOf(doc []byte) members {
	if !jsonscan.IsObject(doc) {
		return nil
	}
	list := make(members, 0, 12)
	for key, value := range jsonscan.Members(doc) {
		m := topMember{key: key, value: value, odd: !jsonscan.ValidString(key)}
		if bytes.IndexByte(key, '\\') >= 0 {
			m.key = jsonscan.AppendUnescaped(nil, key)
		}
		list = append(list, m)
	}
	return list
}

// get is the value at a dotted path; of equal names, the first one's.
func (m members) get(path string) gjson.Result {
	name, rest, deep := strings.Cut(path, ".")
	for i := range m {
		if string(m[i].key) != name {
			continue
		}
		switch {
		case !deep:
			return gjson.ParseBytes(m[i].value)
		case m[i].nested():
			return gjson.GetBytes(m[i].value, rest)
		}
		break
	}
	return gjson.Result{}
}

// nested reports an object or a list.
func (m *topMember) nested() bool { return m.value[0] == '{' || m.value[0] == '[' }

// long reports a member that may be as long as the conversation. No price depends on its text.
func (p *profile) long(m *topMember) bool {
	switch string(m.key) {
	case "messages", "contents", "input", "system", "documents", "instructions", "tools", "prompt", "image", "images", "requests":
		return len(m.value) > 64 && string(m.key) != p.prompts
	}
	return false
}

// readable reports whether all but the long members are valid JSON.
func (p *profile) readable(list members) bool {
	for i := range list {
		if m := &list[i]; m.odd || !p.long(m) && !jsonscan.Valid(m.value) {
			return false
		}
	}
	return list != nil
}

// batchLimits are the output limits of the requests in a batch.
func batchLimits(list gjson.Result) (limits []int64) {
	list.ForEach(func(_, one gjson.Result) bool {
		n, ok := lenientNumber([]byte(one.Get("params.max_tokens").Raw), 1)
		if !ok || n < 0 || n > maxLimit {
			n = 0
		}
		limits = append(limits, n)
		return true
	})
	return limits
}

// hidingMembers ask for output that a stream does not show as text.
var hidingMembers = []string{
	"reasoning_effort", "reasoning", "thinking", "enable_thinking", "think", "audio", "generationConfig.thinkingConfig", "generation_config.thinking_config",
	"generationConfig.responseModalities", "generation_config.response_modalities", "generationConfig.speechConfig", "additionalModelRequestFields",
	"generation_config.thinking_level", "response_modalities",
}

func hidesOutput(doc members) bool {
	return slices.ContainsFunc(hidingMembers, func(name string) bool {
		v := doc.get(name)
		return isSet(v) && v.Type != gjson.False && v.Str != "none"
	}) || slices.ContainsFunc(doc.get("modalities").Array(), func(m gjson.Result) bool { return m.Str != "text" })
}

// modelPaths of the request; most APIs name the model in "model".
func (p *profile) modelPaths() []string {
	if p.models != nil {
		return p.models
	}
	return defaultModel
}

var defaultModel = []string{"model"}

// number reads a number up to most. null and values that mean "no limit" are absent; an invalid value rejects the request.
func (info *RequestInfo) number(doc members, path string, most int64, l *OutputLimit) (int64, bool) {
	v := doc.get(path)
	if !isSet(v) {
		return 0, false
	}
	n, ok := int64(0), false
	if v.Type == gjson.Number || v.Type == gjson.String {
		n, ok = lenientNumber([]byte(v.Raw), 1)
	}
	if ok && l.unlimited(n) {
		return 0, false
	}
	reason := ""
	switch {
	case !ok && v.Type == gjson.Number && !strings.HasPrefix(v.Raw, "-"):
		reason = RejectTooLarge
	case !ok || n < 0:
		reason = RejectInvalid
	case n > most:
		reason = RejectTooLarge
	default:
		return n, true
	}
	info.reject(reason, path)
	return 0, false
}
