package dialect

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Anthropic Messages. Counts exclude the cache; message_start has the input and a placeholder output, message_delta the
// cumulative rest, some hosts with and some without the input: merged field by field. The totals leave out compactions, which
// usage.iterations has. Source: anthropic-sdk-go message.go.

var anthropicFields = []field{
	{"input_tokens", cInput},
	{"output_tokens", cOutput},
	{"cache_read_input_tokens", cCacheRead},
	{"cache_creation_input_tokens", cCacheWrite},
	{"cache_creation.ephemeral_5m_input_tokens", cCacheWrite5m},
	{"cache_creation.ephemeral_1h_input_tokens", cCacheWrite1h},
	{"output_tokens_details.thinking_tokens", cReasoning},
	{"server_tool_use.web_search_requests", cWebSearch},
	{"server_tool_use.web_fetch_requests", cWebFetch},
}

var anthropicUsage = []place{
	{path: "message.usage", base: "message.", mark: `"message_start"`, except: []count{cOutput}},
	{path: "usage", mark: `"usage"`},
}

var anthropicText = textSpec{
	roots: []string{"delta", "content", "content_block"},
	keys: map[string]textKind{
		"text": textString, "thinking": textString, "partial_json": textString, "input": textJSON, "stop_reason": textFinish,
	},
}

var anthropicMessages = profile{
	name: "anthropic-messages", family: FamilyAnthropic, provider: "anthropic",
	match: post("/v1/messages"),
	limit: OutputLimit{fields: []string{"max_tokens"}},
	usage: anthropicUsage, fields: anthropicFields, sums: "iterations", exclusive: true, output: outputAsIs,
	text:   anthropicText,
	done:   []string{"message_stop"},
	failed: []string{"error"},
}

var anthropicCount = profile{
	name: "anthropic-count", family: FamilyAnthropic, provider: "anthropic", free: true,
	match: post("/v1/messages/count_tokens"),
}

// anthropicVertex is the same wire below Vertex paths; the body names no model.
var anthropicVertex = anthropicMessages.like("anthropic-vertex", "vertex", func(method, path string) (matched, bool) {
	rest, ok := after(path, "/publishers/anthropic/models/")
	model, verb, _ := strings.Cut(rest, ":")
	return matched{model: model, stream: verb == "streamRawPredict"}, ok && method == "POST" && strings.HasSuffix(verb, "awPredict")
})

var anthropicErrorTypes = map[int]string{
	400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
	413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
}

func anthropicError(e ErrorInfo) []byte {
	details := append(e.facts(textMember([]byte{'{'}, "error_code", e.code())), '}')
	inner := textMember(textMember([]byte{'{'}, "type", statusWord(anthropicErrorTypes, e.Status)), "message", e.Message)
	inner = append(member(inner, "details", details), '}')
	b := member(textMember([]byte{'{'}, "type", "error"), "error", inner)
	return append(textMember(b, "request_id", e.RequestID), '}')
}

// Batches: results are newline-delimited JSON, and only they say what was used.

var anthropicBatchJob = Jobs{
	id: "id", status: "processing_status",
	pending:  []string{"in_progress", "canceling"},
	finished: []string{"ended"},
	results:  func(poll string, _ []byte) string { return poll + "/results" },
}

var anthropicBatch = profile{
	name: "anthropic-batch", family: FamilyAnthropic, provider: "anthropic",
	match: post("/v1/messages/batches"), batch: "requests",
	asksSearches: func(q *demand, _ gjson.Result) {
		q.anthropicTools(gjson.GetBytes(q.doc, "requests.#.params.tools").Array()...)
	},
	usage: anthropicUsage, fields: anthropicFields, exclusive: true, output: outputAsIs,
	job: &anthropicBatchJob,
}

var anthropicBatchPoll = anthropicBatch.poll(getItem("/v1/messages/batches"))

// anthropicBatchResults: {"result":{"type":"succeeded","message":{…}}} in every line.
var anthropicBatchResults = profile{
	name: "anthropic-batch-results", family: FamilyAnthropic, provider: "anthropic", lines: true, sum: true,
	match: func(method, path string) (matched, bool) {
		rest, ok := after(path, "/v1/messages/batches/")
		return matched{}, ok && method == "GET" && strings.HasSuffix(rest, "/results") && strings.Count(rest, "/") == 1
	},
	usage:  []place{{path: "result.message.usage", base: "result.message.", mark: `"usage"`}},
	fields: anthropicFields, exclusive: true, output: outputAsIs,
}

// anthropicTools notes how often the server tools of requests may be used. If one has no max_uses, nothing bounds it.
func (q *demand) anthropicTools(lists ...gjson.Result) {
	for _, name := range []string{"web_search", "web_fetch"} {
		if n, bounded := maxUses(name, lists); bounded {
			q.atMost(name, n)
		}
	}
}

// maxUses adds up the max_uses of the server tools of one name.
func maxUses(name string, lists []gjson.Result) (n int64, bounded bool) {
	bounded = true
	for _, tools := range lists {
		tools.ForEach(func(_, t gjson.Result) bool {
			if strings.HasPrefix(t.Get("type").Str, name) {
				uses, ok := lenientNumber([]byte(t.Get("max_uses").Raw), 1)
				bounded = bounded && ok && uses >= 0
				n = min(n+max(uses, 0), maxCount)
			}
			return true
		})
	}
	return n, bounded
}
