package dialect

// OpenAI Responses. Usage is always in the terminal event. Source: openai-go responses/response.go.

var responsesFields = []field{
	{"input_tokens", cInput},
	{"output_tokens", cOutput},
	{"total_tokens", cTotal},
	{"input_tokens_details.cached_tokens", cCacheRead},
	{"input_tokens_details.cache_write_tokens", cCacheWrite},
	{"input_tokens_details.text_tokens", cTextIn},
	{"input_tokens_details.audio_tokens", cAudioIn},
	{"input_tokens_details.image_tokens", cImageIn},
	{"output_tokens_details.reasoning_tokens", cReasoning},
	{"output_tokens_details.audio_tokens", cAudioOut},
	{"output_tokens_details.image_tokens", cImageOut},
	{"num_sources_used", cSources},
}

var responsesUsage = []place{
	{path: "response.usage", base: "response.", mark: `"usage"`},
	{path: "usage", mark: `"usage"`},
}

var responsesText = textSpec{
	roots: []string{"delta", "output"},
	keys: map[string]textKind{
		"text": textString, "arguments": textString, "refusal": textString, "input": textString, "code": textString,
	},
}

var responsesJob = jobSpec{
	id: "id", status: "status",
	pending:  []string{"queued", "in_progress"},
	finished: []string{"completed", "incomplete"},
	failed:   []string{"failed", "cancelled"},
}

var webSearches = []fixedCount{
	{`"web_search_call"`, `output.#(type=="web_search_call")#|#`, cWebSearch},
	{`"response.completed"`, `response.output.#(type=="web_search_call")#|#`, cWebSearch},
	{`"response.incomplete"`, `response.output.#(type=="web_search_call")#|#`, cWebSearch},
}

var openaiResponses = profile{
	name: "openai-responses", family: FamilyOpenAI, provider: "openai",
	match:  post("/v1/responses", "/openai/responses", "/responses/compact"),
	limits: []string{"max_output_tokens"}, limitField: "max_output_tokens",
	usage: responsesUsage, fields: responsesFields, fixed: webSearches, text: responsesText,
	done:   []string{"response.completed", "response.incomplete"},
	failed: []string{"response.failed", "response.cancelled", "error"},
	job:    &responsesJob,
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
	usage: responsesUsage, fields: responsesFields, fixed: webSearches, text: responsesText,
	done: openaiResponses.done, failed: openaiResponses.failed,
	job: &responsesJob,
}

var openaiResponsesCount = profile{
	name: "openai-responses-count", family: FamilyOpenAI, provider: "openai", free: true,
	match: post("/v1/responses/input_tokens"),
}
