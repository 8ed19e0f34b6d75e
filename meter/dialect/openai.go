package dialect

import (
	"slices"
	"strings"
)

// OpenAI and most other hosts use the chat shape; they differ only in optional fields.
// Source: openai-openapi, and the pages of the hosts named below.

// Groq puts the usage of a stream into x_groq, Moonshot into the choice; elsewhere it is at the top.
var chatUsage = []place{
	{path: "x_groq.usage", mark: `"x_groq"`},
	{path: "choices.0.usage", mark: `"usage"`},
	{path: "usage", mark: `"usage"`},
}

var chatText = textSpec{
	roots: []string{"choices"},
	keys: map[string]textKind{
		"content": textString, "text": textString, "reasoning": textString, "reasoning_content": textString, "refusal": textString,
		"arguments": textString, "name": textString, "transcript": textString, "finish_reason": textFinish,
	},
}

var chatLimits = []string{"max_completion_tokens", "max_tokens"}

var openaiChat = profile{
	name: "openai-chat", family: FamilyOpenAI, provider: "openai",
	match:     post("/chat/completions"),
	limit:     OutputLimit{fields: chatLimits, zeroIsNone: true},
	multiples: []string{"n"}, inject: true,
	usage: chatUsage, fields: openaiFields, text: chatText,
	failed: []string{"error"},
}

// azureChat names the model by deployment in the path, and bills a prompt that its filter refused (MicrosoftDocs b996ab3).
var azureChat = openaiChat.like("azure-chat", "azure", deployment("/chat/completions"), func(p *profile) {
	p.models, p.billsFilter = []string{}, true
})

var openaiCompletions = profile{
	name: "openai-completions", family: FamilyOpenAI, provider: "openai",
	match:     either(post("/v1/completions", "/beta/completions", "/openai/completions"), deployment("/completions")),
	limit:     OutputLimit{fields: []string{"max_tokens"}},
	multiples: []string{"n", "best_of"}, prompts: "prompt", inject: true,
	usage: chatUsage, fields: openaiFields, text: chatText,
	failed: []string{"error"},
}

// deployment matches Azure's /openai/deployments/{deployment}/….
func deployment(suffix string) matcher {
	return func(method, path string) (matched, bool) {
		rest, ok := after(path, "/openai/deployments/")
		name, tail, _ := strings.Cut(rest, "/")
		return matched{model: name}, ok && method == "POST" && name != "" && "/"+tail == suffix
	}
}

// openaiFields are the names under which servers of the OpenAI shapes report their counts: chat, Responses, images, audio,
// realtime. Many servers speak one shape with the names of another, so there is one list. docs/wire.md has the sources.
var openaiFields = slices.Concat(
	named(cInput, "prompt_tokens", "input_tokens"),
	named(cOutput, "completion_tokens", "output_tokens"),
	named(cTotal, "total_tokens"),
	named(cCacheRead, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"), // DeepSeek, Moonshot, LiteLLM
	named(cCacheWrite, "prompt_cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens", "cache_write_tokens"),
	named(cReasoning, "reasoning_tokens"), // Perplexity
	named(cCitation, "citation_tokens"),   // Perplexity
	named(cSearch, "num_search_queries"),  // Perplexity
	named(cSources, "num_sources_used"),   // xAI
	named(cWebSearch, "server_side_tool_usage_details.web_search_calls", "server_tool_use.web_search_requests",
		"server_tool_use_details.web_search_requests",                                           // OpenRouter
		"tool_usage.web_search",                                                                 // BytePlus
		"tool_calls_details.search_web.invocation", "tool_calls_details.web_search.invocation"), // Perplexity's agents
	named(cWebFetch, "server_tool_use.web_fetch_requests", "tool_calls_details.fetch_url.invocation"),
	named(cMillis, "prompt_audio_seconds"), // Mistral
	inDetails("prompt_tokens_details"),
	inDetails("input_tokens_details"),
	inDetails("input_token_details"), // realtime, transcriptions
	outDetails("completion_tokens_details"),
	outDetails("output_tokens_details"),
	outDetails("output_token_details"),
)

func named(to count, names ...string) (list []field) {
	for _, name := range names {
		list = append(list, field{name, to})
	}
	return list
}

// inDetails are the parts of the input, below one of the names that they are found under.
func inDetails(at string) []field {
	under := func(to count, names ...string) []field {
		list := named(to, names...)
		for i := range list {
			list[i].path = at + "." + list[i].path
		}
		return list
	}
	return slices.Concat(
		under(cCacheRead, "cached_tokens", "cache_read_input_tokens"),
		under(cCacheWrite, "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens", "cached_creation_tokens"),
		under(cCacheWrite5m, "cache_creation.ephemeral_5m_input_tokens"), // DashScope, LiteLLM
		under(cCacheWrite1h, "cache_creation.ephemeral_1h_input_tokens"),
		under(cTextIn, "text_tokens"), under(cAudioIn, "audio_tokens"), under(cImageIn, "image_tokens"), under(cVideoIn, "video_tokens"),
		under(cCachedTextIn, "cached_tokens_details.text_tokens"), under(cCachedAudioIn, "cached_tokens_details.audio_tokens"),
		under(cCachedImageIn, "cached_tokens_details.image_tokens"), under(cCachedVideoIn, "cached_tokens_details.video_tokens"),
	)
}

func outDetails(at string) []field {
	return []field{
		{at + ".reasoning_tokens", cReasoning}, {at + ".audio_tokens", cAudioOut}, {at + ".image_tokens", cImageOut}, {at + ".video_tokens", cVideoOut},
	}
}

// readTool takes the usage of a hosted tool, which makes pictures: its output is pictures where it does not say what is.
func (c *counts) readTool(usage []byte) {
	c.read(usage, openaiFields, nil)
	if !c.c[cImageOut].OK {
		c.c[cImageOut] = c.c[cOutput]
	}
}

var embeddingFields = []field{
	{"prompt_tokens", cInput},
	{"input_tokens", cInput},
	{"total_tokens", cTotal}, // all that Voyage reports
	{"prompt_tokens_details.image_tokens", cImageIn},
	{"image_tokens", cImageIn},
	{"text_tokens", cTextIn},
}

var topUsage = []place{{path: "usage", mark: `"usage"`}}

var openaiEmbeddings = profile{
	name: "openai-embeddings", family: FamilyOpenAI, provider: "openai",
	match:    post("/v1/embeddings", "/openai/embeddings", "/multimodalembeddings"),
	intInput: "input", usage: topUsage, fields: embeddingFields, output: outputZero, selfContained: true,
}

var azureEmbeddings = openaiEmbeddings.like("azure-embeddings", "azure", deployment("/embeddings"), func(p *profile) {
	p.models = []string{}
})

var openaiModerations = profile{
	name: "openai-moderations", family: FamilyOpenAI, provider: "openai", free: true, selfContained: true,
	match: post("/v1/moderations"),
}

// openaiRead are the requests of the OpenAI API that never cost anything: lists, downloads, deletions.
var openaiRead = profile{
	name: "openai-read", family: FamilyOpenAI, provider: "openai", free: true,
	match: func(method, path string) (matched, bool) {
		free := []string{"/v1/models", "/v1/files", "/v1/videos", "/v1/batches", "/v1/responses", "/v1/chat/completions"}
		return matched{}, method != "POST" && slices.ContainsFunc(free, func(s string) bool { return hasSegments(path, s) })
	},
}
