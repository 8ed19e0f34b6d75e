package dialect

import "strings"

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
var anthropicVertex = profile{
	name: "anthropic-vertex", family: FamilyAnthropic, provider: "vertex",
	match: func(method, path string) (matched, bool) {
		rest, ok := after(path, "/publishers/anthropic/models/")
		model, verb, _ := strings.Cut(rest, ":")
		return matched{model: model, stream: verb == "streamRawPredict"}, ok && method == "POST" && strings.HasSuffix(verb, "awPredict")
	},
	limit: OutputLimit{fields: []string{"max_tokens"}},
	usage: anthropicUsage, fields: anthropicFields, sums: "iterations", exclusive: true, output: outputAsIs,
	text:   anthropicText,
	done:   []string{"message_stop"},
	failed: []string{"error"},
}

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
