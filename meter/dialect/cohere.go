package dialect

// Cohere bills billed_units; tokens includes its own prompt template and is not billed. Counts are floats in the schema.

var cohereFields = []field{
	{"input_tokens", cInput},
	{"output_tokens", cOutput},
	{"search_units", cSearchUnits},
	{"images", cImages},
	{"image_tokens", cImageIn},
}

var cohereUsage = []place{
	{path: "usage.billed_units", mark: `"billed_units"`},
	{path: "delta.usage.billed_units", base: "delta.", mark: `"message-end"`},
	{path: "meta.billed_units", mark: `"billed_units"`},
}

var cohereChat = profile{
	name: "cohere-chat", family: FamilyPlain, provider: "cohere",
	match: post("/v2/chat"),
	limit: OutputLimit{fields: []string{"max_tokens"}, zeroIsNone: true},
	usage: cohereUsage, fields: cohereFields, output: outputAsIs,
	text: textSpec{
		roots: []string{"delta", "message"},
		keys: map[string]textKind{
			"text": textString, "thinking": textString, "tool_plan": textString, "arguments": textString, "finish_reason": textFinish,
		},
	},
	done: []string{"message-end"},
}

var cohereEmbed = profile{
	name: "cohere-embed", family: FamilyPlain, provider: "cohere",
	match: post("/v2/embed"),
	usage: cohereUsage, fields: cohereFields, output: outputZero,
}

var cohereRerank = profile{
	name: "cohere-rerank", family: FamilyPlain, provider: "cohere",
	match: post("/v2/rerank"),
	usage: cohereUsage, fields: cohereFields, output: outputZero,
}

// rerank is Voyage's and Jina's: all tokens are input. vLLM and Cohere v1 share the path.
var rerank = profile{
	name: "rerank", family: FamilyOpenAI, provider: "voyage",
	match: func(method, path string) (matched, bool) {
		m, ok := post("/v1/rerank", "/v1/score")(method, path)
		if !ok {
			m, ok = exactly("/rerank", "/score", "/pooling")(method, path)
		}
		return m, ok
	},
	usage:  append(cohereUsage[2:3:3], topUsage...),
	fields: append(cohereFields[2:3:3], embeddingFields...),
	output: outputZero,
}
