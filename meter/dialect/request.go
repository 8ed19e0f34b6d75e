package dialect

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// RequestInfo is what a request asks for, as far as it decides the price.
type RequestInfo struct {
	Model     string // from the body, else from the path
	Stream    bool
	MaxOutput Count // the field that bounds the output of one choice; absent = not bounded by the request
	// N multiplies the output: n, candidateCount, prompts × best_of. At least 1.
	N             int64
	AskedForUsage bool // stream_options.include_usage is true
	ServiceTier   string
	// Hides is true if a part of the answer may not be seen in its stream as text: reasoning, sound, pictures.
	Hides bool
	// Limits are the output bounds of the requests in a batch, nil elsewhere; 0 is none.
	Limits []int64
	// Reject is "" or the reason why the request must be refused with 400: "ambiguous_request" (a metered key twice, or in
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

// common are the top-level members that change a price whatever the API.
var common = []string{
	"model", "stream", "stream_options", "n", "best_of", "service_tier", "serviceTier", "speed", "modalities", "size", "quality",
	"seconds", "duration", "models", "tools", "messages", "input", "prompt", "partial_images", "background",
	"fallbacks", "plugins", "preset",
	"num_images", "num_outputs", "number_of_images", "batch_size", "samples", "sampleCount", "num_videos", "duration_seconds", "speed", "pages", "document",
	"texts", "passages", "inputs", "instances", "parameters", "max_tool_calls", "web_search_options", "search_parameters",
	"requests", "images", "query",
}

// ReadRequest reads a request body, which should be valid JSON; anything else gives what the path says. Parsers differ in
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
	info.Hides = hides(doc)
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
		n, ok := looseNumber([]byte(one.Get("params.max_tokens").Raw), 1)
		if !ok || n < 0 || n > maxLimit {
			n = 0
		}
		limits = append(limits, n)
		return true
	})
	return limits
}

// hiding are the members by which requests ask for what their stream does not show as text.
var hiding = []string{
	"reasoning_effort", "reasoning", "thinking", "enable_thinking", "think", "audio", "generationConfig.thinkingConfig", "generation_config.thinking_config",
	"generationConfig.responseModalities", "generation_config.response_modalities", "generationConfig.speechConfig", "additionalModelRequestFields",
	"generation_config.thinking_level", "response_modalities",
}

func hides(doc gjson.Result) bool {
	for _, name := range hiding {
		if v := doc.Get(name); v.Exists() && v.Type != gjson.Null && v.Type != gjson.False && v.Str != "none" {
			return true
		}
	}
	for _, m := range doc.Get("modalities").Array() {
		if m.Str != "text" {
			return true
		}
	}
	return false
}

// inner is one member of the request that is an object or a list.
type inner struct {
	key   string
	value []byte
}

// shallow copies the members of a request without the values that make it large; their keys stay. All further reading is
// then independent of the length of the conversation. lists are the values that are worth looking into, in full. nil if body is
// not an object.
func (p *profile) shallow(body []byte) (out []byte, lists []inner) {
	if !jsonscan.IsObject(body) {
		return nil, nil
	}
	out = append(make([]byte, 0, 512), '{')
	for key, value := range jsonscan.Members(body) {
		if name := jsonscan.Unescape(key); value[0] == '{' || value[0] == '[' && !slices.Contains(conversations, name) {
			lists = append(lists, inner{name, value})
		}
		switch string(key) {
		case "messages", "contents", "input", "system", "documents", "instructions", "tools", "prompt", "image", "images", "requests":
			if len(value) > 64 && string(key) != p.prompts {
				value = []byte("0")
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), key...), `":`...), value...)
	}
	return append(out, '}'), lists
}

// modelPaths of the request; most APIs name the model in "model".
func (p *profile) modelPaths() []string {
	if p.models != nil {
		return p.models
	}
	return defaultModel
}

var defaultModel = []string{"model"}

// number reads a number up to most. null is absent, and so is what l takes for no limit; nonsense marks the request.
func (info *RequestInfo) number(doc gjson.Result, path string, most int64, l *OutputLimit) (int64, bool) {
	v := doc.Get(path)
	if !v.Exists() || v.Type == gjson.Null {
		return 0, false
	}
	n, ok := int64(0), false
	if v.Type == gjson.Number || v.Type == gjson.String {
		n, ok = looseNumber([]byte(v.Raw), 1)
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

// ambiguous returns the first metered member that is there twice, or spelled in another case.
func (p *profile) ambiguous(doc gjson.Result, lists []inner) string {
	top := common
	var nested map[string][]string
	for _, path := range slices.Concat(p.limit.fields, p.multiples) {
		name, rest, deep := strings.Cut(path, ".")
		if deep {
			if nested == nil {
				nested = map[string][]string{}
			}
			nested[name] = append(nested[name], rest)
		}
		if !slices.Contains(top, name) {
			top = append(top[:len(top):len(top)], name)
		}
	}
	if field := twice(doc, lists, top); field != "" {
		return field
	}
	if field := repeated(doc, top); field != "" {
		return field
	}
	for name, below := range nested {
		if v := doc.Get(name); v.IsObject() {
			if field := repeated(v, below); field != "" {
				return name + "." + field
			}
		}
	}
	if v := doc.Get("stream_options"); v.IsObject() {
		if field := repeated(v, []string{"include_usage"}); field != "" {
			return "stream_options." + field
		}
	}
	return ""
}

// repeated returns the first of names that obj has in another case (by Unicode folding, as encoding/json does).
func repeated(obj gjson.Result, names []string) (field string) {
	obj.ForEach(func(key, _ gjson.Result) bool {
		for _, name := range names {
			if key.Str != name && strings.EqualFold(key.Str, name) && !slices.Contains(names, key.Str) {
				field = name
				return false
			}
		}
		return true
	})
	return field
}
