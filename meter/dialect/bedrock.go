package dialect

import (
	"encoding/base64"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
)

// Amazon Bedrock. Converse is one shape for all models, its counts exclude the cache. InvokeModel is the model's own shape; its
// counts come in headers, or in the last event of a stream. Requests must be signed by the gateway after any edit.

func bedrockPath(verb, streamVerb string) matcher {
	return func(method, path string) (matched, bool) {
		// A model may be an ARN, whose decoded form has slashes.
		i := strings.Index(path, "/model/")
		j := strings.LastIndexByte(path, '/')
		if method != "POST" || i < 0 || j < i+len("/model/") {
			return matched{}, false
		}
		got := path[j+1:]
		return matched{model: path[i+len("/model/") : j], stream: got == streamVerb}, got == verb || got == streamVerb
	}
}

var bedrockConverse = profile{
	name: "bedrock-converse", family: FamilyPlain, provider: "bedrock", models: []string{}, cacheMarks: true,
	match: bedrockPath("converse", "converse-stream"),
	limit: OutputLimit{fields: []string{"inferenceConfig.maxTokens"}, zeroIsNone: true},
	usage: []place{{path: "usage", mark: `"usage"`}},
	fields: []field{
		{"inputTokens", cInput},
		{"outputTokens", cOutput},
		{"cacheReadInputTokens", cCacheRead},
		{"cacheWriteInputTokens", cCacheWrite},
		{`cacheDetails.#(ttl=="5m").inputTokens`, cCacheWrite5m},
		{`cacheDetails.#(ttl=="1h").inputTokens`, cCacheWrite1h},
	},
	exclusive: true, output: outputAsIs,
	text: textSpec{
		roots: []string{"delta", "output"},
		keys:  map[string]textKind{"text": textString, "input": textJSON},
	},
	done: []string{"messageStop"},
}

// unwrapChunk is the model's own event in one of InvokeModelWithResponseStream: {"bytes":"<base64>"}.
func unwrapChunk(e frame.Event) []byte {
	encoded := jsonscan.Content(jsonscan.Get(e.Data, "bytes"))
	if encoded == nil || string(e.Name) != "chunk" {
		return e.Data
	}
	decoded, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return nil
	}
	return decoded
}

var bedrockInvoke = profile{
	name: "bedrock-invoke", family: FamilyPlain, provider: "bedrock", models: []string{}, cacheMarks: true,
	match: bedrockPath("invoke", "invoke-with-response-stream"),
	limit: OutputLimit{fields: []string{"max_tokens", "max_gen_len", "textGenerationConfig.maxTokenCount", "inferenceConfig.maxTokens", "max_new_tokens"}, readOnly: true},
	headers: []headerField{
		{"X-Amzn-Bedrock-Input-Token-Count", cInput},
		{"X-Amzn-Bedrock-Output-Token-Count", cOutput},
		{"X-Amzn-Bedrock-Cache-Read-Input-Token-Count", cCacheRead},
		{"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", cCacheWrite},
	},
	usage: []place{
		{path: "message.usage", base: "message.", mark: `"message_start"`, except: []count{cOutput}},
		{path: "usage", mark: `"usage"`},
		{path: "amazon-bedrock-invocationMetrics", mark: `"amazon-bedrock-invocationMetrics"`},
		{mark: `"prompt_token_count"`},  // Llama
		{mark: `"inputTextTokenCount"`}, // Titan: its text and its embeddings
	},
	fields: append([]field{
		{"inputTokenCount", cInput},
		{"outputTokenCount", cOutput},
		{"cacheReadInputTokenCount", cCacheRead},
		{"cacheWriteInputTokenCount", cCacheWrite},
		{"inputTokens", cInput},
		{"outputTokens", cOutput}, // Nova
		{"prompt_token_count", cInput},
		{"generation_token_count", cOutput},
		{"inputTextTokenCount", cInput},
		{`results.#(tokenCount>0).tokenCount`, cOutput},
		{"prompt_tokens", cInput},
		{"completion_tokens", cOutput},
	}, anthropicFields...),
	exclusive: true, output: outputAsIs,
	text: textSpec{
		roots: []string{"delta", "content", "generation", "outputs", "outputText", "results", "completion", "embedding", "embeddings", "embeddingsByType"},
		keys: map[string]textKind{
			"text": textString, "thinking": textString, "partial_json": textString, "input": textJSON, "outputText": textString,
			"stop_reason": textFinish,
		},
	},
	done:   []string{"message_stop", "messageStop"},
	failed: []string{"error"},
	unwrap: unwrapChunk,
}
