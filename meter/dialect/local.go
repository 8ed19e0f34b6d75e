package dialect

// Servers that run models on one machine.

// Ollama's own API: NDJSON, streaming by default. Only the last object has counts; that of the prompt is missing if all of it was cached.
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

// The native APIs of llama.cpp's server and of Text Generation Inference. Their paths are plain words, so they are recognised
// only at the root, or by a hint. Sources: llama.cpp tools/server/README.md, TGI router/src/lib.rs.

var llamaCompletion = profile{
	name: "llamacpp-completion", family: FamilyPlain, provider: "llamacpp",
	match:     exactly("/completion", "/infill"),
	limit:     OutputLimit{fields: []string{"n_predict", "max_tokens"}, floor: 1}, // −1 is unlimited
	multiples: []string{"n_cmpl"},
	usage:     []place{{mark: `"tokens_evaluated"`}},
	fields:    []field{{"tokens_evaluated", cInput}, {"tokens_predicted", cOutput}, {"timings.cache_n", cCacheRead}},
	output:    outputAsIs,
	text:      textSpec{roots: []string{"content"}},
}

var tgiGenerate = profile{
	name: "tgi-generate", family: FamilyPlain, provider: "tgi",
	match: func(method, path string) (matched, bool) {
		m, ok := exactly("/generate", "/generate_stream")(method, path)
		m.stream = path == "/generate_stream"
		return m, ok
	},
	limit:     OutputLimit{fields: []string{"parameters.max_new_tokens"}, zeroIsNone: true},
	multiples: []string{"parameters.best_of"},
	headers:   []headerField{{"X-Prompt-Tokens", cInput}, {"X-Generated-Tokens", cOutput}},
	usage:     []place{{path: "details", mark: `"generated_tokens"`}},
	fields:    []field{{"prefill.#", cInput}, {"input_length", cInput}, {"generated_tokens", cOutput}},
	output:    outputAsIs,
	text: textSpec{
		roots: []string{"token", "details"},
		keys:  map[string]textKind{"text": textString, "finish_reason": textFinish},
	},
}
