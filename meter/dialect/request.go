package dialect

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
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
	body := b.doc
	p := a.profile
	info := RequestInfo{Model: a.PathModel, N: 1, Stream: a.pathStream || p.streams}
	if p.batch != "" {
		info.Limits = batchLimits(gjson.GetBytes(body, p.batch))
	}
	shallow, lists := p.shallow(body)
	if !jsonscan.Valid(shallow) {
		return info
	}
	doc := gjson.ParseBytes(shallow)
	if field := p.ambiguous(doc, lists); field != "" {
		info.reject(RejectAmbiguous, field)
	}
	for _, path := range p.modelPaths() {
		if v := doc.Get(path); v.Type == gjson.String && v.Str != "" {
			info.Model = v.Str
			break
		}
	}
	info.readStream(a, doc)
	for _, path := range []string{"service_tier", "serviceTier", "generationConfig.serviceTier"} {
		if v := doc.Get(path); v.Type == gjson.String {
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

func (info *RequestInfo) readStream(a *API, doc gjson.Result) {
	switch v := doc.Get("stream"); v.Type {
	case gjson.True, gjson.False:
		info.Stream = a.pathStream || v.Bool()
	case gjson.Null:
	case gjson.Number, gjson.String, gjson.JSON: // 1, "true": a stream to some servers
		if !a.Unknown {
			info.reject(RejectInvalid, "stream")
		}
	}
	info.Stream = info.Stream || doc.Get("stream_format").Str == "sse"
	info.AskedForUsage = doc.Get("stream_options.include_usage").Type == gjson.True
}

// readOutput reads the limit of the output, and how often it counts.
func (info *RequestInfo) readOutput(p *profile, doc gjson.Result) {
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
		info.N = min(info.N*promptsIn(doc.Get(p.prompts)), maxCount)
	}
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

func hidesOutput(doc gjson.Result) bool {
	return slices.ContainsFunc(hidingMembers, func(name string) bool {
		v := doc.Get(name)
		return isSet(v) && v.Type != gjson.False && v.Str != "none"
	}) || slices.ContainsFunc(doc.Get("modalities").Array(), func(m gjson.Result) bool { return m.Str != "text" })
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
func (info *RequestInfo) number(doc gjson.Result, path string, most int64, l *OutputLimit) (int64, bool) {
	v := doc.Get(path)
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
