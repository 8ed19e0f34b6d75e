package dialect

// Ollama's own API: NDJSON, streaming unless told otherwise, counts only in the last object; the prompt's is left out when all of it was cached.
// num_predict ≤ 0 means no bound. Source: ollama api/types.go, runner.go.

var ollamaFields = []field{
	{"prompt_eval_count", cInput},
	{"prompt_eval_cached_count", cCacheRead},
	{"eval_count", cOutput},
}

var ollamaChat = profile{
	name: "ollama-chat", family: FamilyPlain, provider: "ollama",
	match:   post("/api/chat", "/api/generate"),
	limit:   OutputLimit{fields: []string{"options.num_predict"}, floor: 1},
	streams: true, errors: &ollamaErrors,
	usage:  []place{{mark: `eval_count"`}},
	fields: ollamaFields, output: outputOmits,
	text: textSpec{
		roots: []string{"message", "response", "thinking"},
		keys: map[string]textKind{
			"content": textString, "thinking": textString, "arguments": textJSON,
		},
	},
}

// ollamaErrors: a stream ends with a line that has an error.
var ollamaErrors = ErrorFormat{"application/problem+json", problem, func(e ErrorInfo) []byte {
	return append(textMember([]byte{'{'}, "error", e.Message), "}\n"...)
}}

var ollamaEmbed = profile{
	name: "ollama-embed", family: FamilyPlain, provider: "ollama",
	match: post("/api/embed", "/api/embeddings"),
	usage: []place{{mark: `eval_count"`}}, fields: ollamaFields, output: outputZero,
}
