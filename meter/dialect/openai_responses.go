package dialect

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// OpenAI Responses. Usage is always in the terminal event. Source: openai-go responses/response.go.

var responsesUsage = []place{
	{path: "response.usage", base: "response.", mark: `"usage"`},
	{path: "usage", mark: `"usage"`},
	{path: "response.tool_usage.image_gen", mark: `"tool_usage"`, tool: true},
	{path: "tool_usage.image_gen", mark: `"tool_usage"`, tool: true},
}

var responsesText = textSpec{
	roots: []string{"delta", "output"},
	keys: map[string]textKind{
		"text": textString, "arguments": textString, "refusal": textString, "input": textString, "code": textString,
	},
}

var responsesJob = Jobs{
	id: "id", status: "status",
	pending:  []string{"queued", "in_progress"},
	finished: []string{"completed", "incomplete"},
	failed:   []string{"failed", "cancelled"},
}

var openaiResponses = profile{
	name: "openai-responses", family: FamilyOpenAI, provider: "openai",
	match: post("/v1/responses", "/openai/responses", "/responses/compact", "/v1/agent"),
	limit: OutputLimit{fields: []string{"max_output_tokens"}, zeroIsNone: true},
	usage: responsesUsage, fields: openaiFields, searches: openaiSearches, text: responsesText,
	done:   []string{"response.completed", "response.incomplete"},
	failed: []string{"response.failed", "response.cancelled", "error"},
	job:    &responsesJob, errors: &responsesErrors, asksSearches: responsesTools,
}

// openaiResponsesPoll reads a background response when it is fetched.
var openaiResponsesPoll = openaiResponses.poll(getItem("/v1/responses", "/openai/responses"))

var openaiResponsesCount = profile{
	name: "openai-responses-count", family: FamilyOpenAI, provider: "openai", free: true,
	match: post("/v1/responses/input_tokens"),
}

// responsesTools: calls of tools may be bounded; what the request refers to (a stored prompt, a preset) may bring tools that it does
// not show.
func responsesTools(q *demand, tools gjson.Result) {
	if !anyTool(tools, maySearch) && !q.has("prompt.id", "preset", "search_parameters", "web_search_options") {
		q.atMost("web_search", 0)
	} else if n, ok := q.number(1, "max_tool_calls"); ok {
		q.atMost("web_search", n)
	}
}

// openaiSearches counts the searches among the items of a response, or, in a stream, among the items that are done.
func openaiSearches(r *Reader, data []byte) {
	if !bytes.Contains(data, []byte(`"web_search_call"`)) && !bytes.Contains(data, []byte(`"num_requests"`)) {
		return
	}
	most := int64(0)
	for _, base := range []string{"", "response."} {
		n := int64(0)
		gjson.GetBytes(data, base+"output").ForEach(func(_, item gjson.Result) bool {
			if isSearch(item) {
				n++
			}
			return true
		})
		if own, ok := parseNumber(jsonscan.Get(data, base+"tool_usage.web_search.num_requests"), 1); ok { // OpenAI's own count
			n = max(n, own)
		}
		most = max(most, n)
	}
	if item := gjson.GetBytes(data, "item"); isSearch(item) && item.Get("status").Str == "completed" {
		r.noteSearch(item.Get("id").Str)
	}
	r.countSearches(max(most, int64(len(r.searched))))
}

// maxSearches bounds the ids that are kept of one answer.
const maxSearches = 1000

// noteSearch counts a search once, by its id or its query.
func (r *Reader) noteSearch(id string) {
	if r.searched == nil {
		r.searched = map[string]bool{}
	}
	if len(r.searched) < maxSearches {
		r.searched[id] = true
	}
}

// countSearches raises the number of searches of the answer to n.
func (r *Reader) countSearches(n int64) {
	if n > r.parts[cWebSearch].N {
		r.parts[cWebSearch] = Count{n, true}
	}
}

func isSearch(item gjson.Result) bool {
	action := item.Get("action.type").Str
	switch item.Get("status").Str {
	case "failed", "incomplete", "cancelled":
		return false
	}
	return item.Get("type").Str == "web_search_call" && (action == "" || action == "search")
}

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
	usage: topUsage, fields: openaiFields, job: &batchJob, fileBatch: true,
}

var openaiBatchPoll = openaiBatch.poll(getItem("/v1/batches", "/openai/batches"))

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

var openaiErrors = ErrorFormat{"application/json", openaiError, dataEvent(openaiError)}

// The documented error event of Responses has no member "error", on which SDKs raise; so it has both.
var responsesErrors = ErrorFormat{"application/json", openaiError, namedEvent(openaiErrorEvent)}

var openaiErrorTypes = map[int]string{
	400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 403: "permission_error",
	429: "rate_limit_error", 500: "server_error",
}

func openaiError(e ErrorInfo) []byte { return append(e.openaiObject([]byte{'{'}), '}') }

// openaiErrorEvent is the error of Responses streams and of Realtime.
func openaiErrorEvent(e ErrorInfo) []byte {
	b := textMember([]byte{'{'}, "type", "error")
	b = textMember(b, "code", e.code())
	b = textMember(b, "message", e.Message)
	b = member(b, "param", []byte("null"))
	b = member(b, "sequence_number", []byte("0"))
	return append(e.openaiObject(b), '}')
}

func (e ErrorInfo) openaiObject(b []byte) []byte {
	inner := textMember([]byte{'{'}, "message", e.Message)
	inner = textMember(inner, "type", statusWord(openaiErrorTypes, e.Status))
	inner = textMember(inner, "code", e.code())
	inner = member(inner, "param", []byte("null"))
	return member(b, "error", append(e.facts(inner), '}'))
}

// openaiRuns are runs of the former Assistants API, which compatible servers keep.
var openaiRuns = profile{
	name: "openai-runs", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		rest, ok := after(path, "/v1/threads/")
		return matched{}, ok && method == "POST" && (rest == "runs" || len(rest) > 5 && rest[len(rest)-5:] == "/runs")
	},
	limit: OutputLimit{fields: chatLimits[:1], zeroIsNone: true},
	usage: topUsage, fields: openaiFields,
	text:   textSpec{roots: []string{"delta"}, keys: map[string]textKind{"value": textString, "arguments": textString}},
	done:   []string{"thread.run.completed", "thread.run.incomplete"},
	failed: []string{"thread.run.failed", "thread.run.cancelled", "thread.run.expired", "error"},
	job:    &runsJob,
}

var runsJob = Jobs{
	id: "id", status: "status", pending: []string{"queued", "in_progress", "requires_action", "cancelling"},
	finished: []string{"completed", "incomplete"}, failed: []string{"failed", "cancelled", "expired"},
}

var openaiRunsPoll = openaiRuns.poll(func(method, path string) (matched, bool) {
	m, ok := getItem("/runs")(method, path)
	return m, ok && strings.Contains(path, "/v1/threads/")
})
