package dialect

import (
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Batches: many requests in one job. OpenAI's says what it used when it is done, Anthropic's only in its results, one line for
// each request. Results of both are newline-delimited JSON, whatever their content type says.

var batchJob = Jobs{
	id: "id", status: "status",
	pending:  []string{"validating", "in_progress", "finalizing", "cancelling"},
	finished: []string{"completed", "expired", "cancelled"}, // what was done before is billed
	failed:   []string{"failed"},
	results: func(poll string, body []byte) string {
		file := jsonscan.Content(jsonscan.Get(body, "output_file_id"))
		head, _, ok := strings.Cut(poll, "/batches/")
		if len(file) == 0 || !ok {
			return ""
		}
		return head + "/files/" + string(file) + "/content"
	},
}

var openaiBatch = profile{
	name: "openai-batch", family: FamilyOpenAI, provider: "openai",
	match: post("/v1/batches", "/openai/batches"),
	usage: topUsage, fields: responsesFields, job: &batchJob, fileBatch: true,
}

var openaiBatchPoll = profile{
	name: "openai-batch-poll", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		m, ok := getItem("/v1/batches")(method, path)
		if !ok {
			m, ok = getItem("/openai/batches")(method, path)
		}
		return m, ok
	},
	usage: topUsage, fields: responsesFields, job: &batchJob,
}

// openaiBatchResults is a file that may hold a batch's results: {"response":{"body":{…}}} in every line.
var openaiBatchResults = profile{
	name: "openai-batch-results", family: FamilyOpenAI, provider: "openai", lines: true, sum: true,
	match: func(method, path string) (matched, bool) {
		rest, ok := after(path, "/files/")
		return matched{}, ok && method == "GET" && strings.HasSuffix(rest, "/content") && strings.Count(rest, "/") == 1
	},
	usage:  []place{{path: "response.body.usage", base: "response.body.", mark: `"usage"`}},
	fields: openaiFields,
}

var anthropicBatchJob = Jobs{
	id: "id", status: "processing_status",
	pending:  []string{"in_progress", "canceling"},
	finished: []string{"ended"},
	results:  func(poll string, _ []byte) string { return poll + "/results" },
}

var anthropicBatch = profile{
	name: "anthropic-batch", family: FamilyAnthropic, provider: "anthropic",
	match: post("/v1/messages/batches"),
	usage: anthropicUsage, fields: anthropicFields, exclusive: true, output: outputAsIs,
	job: &anthropicBatchJob,
}

var anthropicBatchPoll = profile{
	name: "anthropic-batch-poll", family: FamilyAnthropic, provider: "anthropic",
	match: getItem("/v1/messages/batches"),
	usage: anthropicUsage, fields: anthropicFields, exclusive: true, output: outputAsIs,
	job: &anthropicBatchJob,
}

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
