package dialect

import "strings"

// The chat shape is spoken by OpenAI and most others; differences between hosts are in optional fields only.
// Source: openai-openapi, and the pages of the hosts named below.

var chatFields = openaiFields

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
	usage: chatUsage, fields: chatFields, text: chatText,
	failed: []string{"error"},
}

// azureChat names the model by deployment in the path, and bills a prompt that its filter refused (MicrosoftDocs b996ab3).
var azureChat = profile{
	name: "azure-chat", family: FamilyOpenAI, provider: "azure",
	match:  deployment("/chat/completions"),
	limit:  OutputLimit{fields: chatLimits, zeroIsNone: true},
	models: []string{}, multiples: []string{"n"}, inject: true,
	usage: chatUsage, fields: chatFields, text: chatText,
	failed: []string{"error"},
}

var openaiCompletions = profile{
	name: "openai-completions", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		m, ok := post("/v1/completions", "/beta/completions", "/openai/completions")(method, path)
		if !ok {
			m, ok = deployment("/completions")(method, path)
		}
		return m, ok
	},
	limit:     OutputLimit{fields: []string{"max_tokens"}},
	multiples: []string{"n", "best_of"}, prompts: "prompt", inject: true,
	usage: chatUsage, fields: chatFields, text: chatText,
	failed: []string{"error"},
}

// deployment matches Azure's /openai/deployments/{deployment}/….
func deployment(suffix string) func(method, path string) (matched, bool) {
	return func(method, path string) (matched, bool) {
		rest, ok := after(path, "/openai/deployments/")
		name, tail, _ := strings.Cut(rest, "/")
		return matched{model: name}, ok && method == "POST" && name != "" && "/"+tail == suffix
	}
}
