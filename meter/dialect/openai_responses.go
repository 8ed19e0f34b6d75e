package dialect

// OpenAI Responses. Usage is always in the terminal event. Source: openai-go responses/response.go.

var responsesFields = openaiFields

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
	usage: responsesUsage, fields: responsesFields, searches: openaiSearches, text: responsesText,
	done:   []string{"response.completed", "response.incomplete"},
	failed: []string{"response.failed", "response.cancelled", "error"},
	job:    &responsesJob, errors: &responsesErrors,
}

// openaiResponsesPoll reads a background response when it is fetched.
var openaiResponsesPoll = profile{
	name: "openai-responses-poll", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		m, ok := getItem("/v1/responses")(method, path)
		if !ok {
			m, ok = getItem("/openai/responses")(method, path)
		}
		return m, ok
	},
	usage: responsesUsage, fields: responsesFields, searches: openaiSearches, text: responsesText,
	done: openaiResponses.done, failed: openaiResponses.failed,
	job: &responsesJob,
}

var openaiResponsesCount = profile{
	name: "openai-responses-count", family: FamilyOpenAI, provider: "openai", free: true,
	match: post("/v1/responses/input_tokens"),
}
