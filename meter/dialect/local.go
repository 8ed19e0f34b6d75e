package dialect

import (
	"slices"
	"strings"
)

// The native APIs of llama.cpp's server and of Text Generation Inference. Their paths are plain words, so they are recognised
// only at the root, or by a hint. Sources: llama.cpp tools/server/README.md, TGI router/src/lib.rs.

// exactly matches POST requests for whole paths.
func exactly(paths ...string) func(method, path string) (matched, bool) {
	return func(method, path string) (matched, bool) {
		return matched{}, method == "POST" && slices.Contains(paths, path)
	}
}

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

// openaiRuns are runs of the former Assistants API, which compatible servers keep.
var openaiRuns = profile{
	name: "openai-runs", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		rest, ok := after(path, "/v1/threads/")
		return matched{}, ok && method == "POST" && (rest == "runs" || len(rest) > 5 && rest[len(rest)-5:] == "/runs")
	},
	limit: OutputLimit{fields: chatLimits[:1], zeroIsNone: true},
	usage: topUsage, fields: chatFields,
	text:   textSpec{roots: []string{"delta"}, keys: map[string]textKind{"value": textString, "arguments": textString}},
	done:   []string{"thread.run.completed", "thread.run.incomplete"},
	failed: []string{"thread.run.failed", "thread.run.cancelled", "thread.run.expired", "error"},
	job:    &runsJob,
}

var runsJob = Jobs{
	id: "id", status: "status", pending: []string{"queued", "in_progress", "requires_action", "cancelling"},
	finished: []string{"completed", "incomplete"}, failed: []string{"failed", "cancelled", "expired"},
}

var openaiRunsPoll = profile{
	name: "openai-runs-poll", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		id, ok := after(path, "/runs/")
		return matched{}, ok && method == "GET" && id != "" && !strings.Contains(id, "/") && strings.Contains(path, "/v1/threads/")
	},
	usage: topUsage, fields: chatFields, job: &runsJob,
}
