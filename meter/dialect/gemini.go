package dialect

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Gemini, on the Developer API and on Vertex. Usage is cumulative on every chunk. Sources disagree on whether candidates include
// thoughts; total − prompt − tool use is right either way. Source: go-genai types.go.

var geminiFields = []field{
	{"promptTokenCount", cInput},
	{"candidatesTokenCount", cOutput},
	{"totalTokenCount", cTotal},
	{"cachedContentTokenCount", cCacheRead},
	{"toolUsePromptTokenCount", cToolUse},
	{"thoughtsTokenCount", cReasoning},
	{`promptTokensDetails.#(modality=="TEXT").tokenCount`, cTextIn},
	{`promptTokensDetails.#(modality=="AUDIO").tokenCount`, cAudioIn},
	{`promptTokensDetails.#(modality=="IMAGE").tokenCount`, cImageIn},
	{`promptTokensDetails.#(modality=="VIDEO").tokenCount`, cVideoIn},
	{`promptTokenDetails.#(modality=="TEXT").tokenCount`, cTextIn},
	{`promptTokenDetails.#(modality=="AUDIO").tokenCount`, cAudioIn},
	{`promptTokenDetails.#(modality=="IMAGE").tokenCount`, cImageIn},
	{`promptTokenDetails.#(modality=="VIDEO").tokenCount`, cVideoIn},
	{`cacheTokensDetails.#(modality=="TEXT").tokenCount`, cCachedTextIn},
	{`cacheTokensDetails.#(modality=="AUDIO").tokenCount`, cCachedAudioIn},
	{`cacheTokensDetails.#(modality=="IMAGE").tokenCount`, cCachedImageIn},
	{`cacheTokensDetails.#(modality=="VIDEO").tokenCount`, cCachedVideoIn},
	{`candidatesTokensDetails.#(modality=="AUDIO").tokenCount`, cAudioOut},
	{`candidatesTokensDetails.#(modality=="IMAGE").tokenCount`, cImageOut},
	{`candidatesTokensDetails.#(modality=="VIDEO").tokenCount`, cVideoOut},
}

var geminiUsage = []place{{path: "usageMetadata", mark: `"usageMetadata"`}}

var geminiText = textSpec{
	roots: []string{"candidates", "promptFeedback"},
	keys: map[string]textKind{
		"text": textString, "args": textJSON, "code": textString, "finishReason": textFinish, "blockReason": textFinish,
	},
}

// geminiPath matches …/models/{model}:{verb}.
func geminiPath(verbs ...string) matcher {
	return func(method, path string) (matched, bool) {
		rest, ok := after(path, "/models/")
		if !ok {
			rest, ok = after(path, "/tunedModels/")
		}
		model, verb, _ := strings.Cut(rest, ":")
		return matched{model: model, stream: strings.HasPrefix(verb, "stream")}, ok && method == "POST" && slices.Contains(verbs, verb)
	}
}

// Protobuf JSON takes field names in both spellings.
var geminiGenerate = profile{
	name: "gemini-generate", family: FamilyGemini, provider: "gemini",
	match:     geminiPath("generateContent", "streamGenerateContent"),
	models:    []string{},
	limit:     OutputLimit{fields: []string{"generationConfig.maxOutputTokens", "generationConfig.max_output_tokens", "generation_config.max_output_tokens", "generation_config.maxOutputTokens"}, zeroIsNone: true},
	multiples: []string{"generationConfig.candidateCount", "generationConfig.candidate_count", "generation_config.candidate_count", "generation_config.candidateCount"},
	usage:     geminiUsage, fields: geminiFields, output: outputRest, text: geminiText, searches: geminiSearches,
	arrays: true,
}

var geminiCount = profile{
	name: "gemini-count", family: FamilyGemini, provider: "gemini", free: true, models: []string{},
	match: geminiPath("countTokens"),
}

// vertexPredict is Imagen, and the embeddings that Vertex bills by the character.
var vertexPredict = profile{
	name: "vertex-predict", family: FamilyGemini, provider: "vertex", models: []string{},
	match:     geminiPath("predict"),
	multiples: []string{"parameters.sampleCount"},
	fixed: []countedField{
		{`"bytesBase64Encoded"`, "predictions.#", cImages},
		{`"gcsUri"`, "predictions.#", cImages},
		{`"billableCharacterCount"`, "metadata.billableCharacterCount", cCharacters},
	},
	noUsage: true,
	asks: func(q *demand) {
		q.exactly("image", q.count(1, "parameters.sampleCount", "parameters.sample_count"))
		q.characters("instances")
	},
}

var geminiEmbed = profile{
	name: "gemini-embed", family: FamilyGemini, provider: "gemini", models: []string{},
	match: geminiPath("embedContent", "batchEmbedContents"),
	usage: geminiUsage, fields: geminiFields, output: outputZero,
}

// geminiSearches counts what grounding in Google Search is billed by.
func geminiSearches(r *Reader, data []byte) {
	if !bytes.Contains(data, []byte(`"webSearchQueries"`)) {
		return
	}
	gjson.GetBytes(data, "candidates").ForEach(func(_, candidate gjson.Result) bool {
		candidate.Get("groundingMetadata.webSearchQueries").ForEach(func(_, query gjson.Result) bool {
			if q := strings.TrimSpace(query.Str); q != "" {
				r.noteSearch(q)
			}
			return true
		})
		return true
	})
	n := int64(len(r.searched))
	if model := cmp.Or(r.model, r.api.PathModel); strings.HasPrefix(model, "gemini-1") || strings.HasPrefix(model, "gemini-2") {
		n = min(n, 1)
	}
	r.countSearches(n)
}

// DropsUsage is the option of a request that would remove the usage from its answer, or "". Google's APIs cut fields out of
// answers (?fields=, X-Goog-FieldMask) and send them in other formats (?alt=). uri is the target as sent.
// Source: cloud.google.com/apis/docs/system-parameters.
func (a *API) DropsUsage(uri string, header map[string][]string) (field string) {
	if a.Family != FamilyGemini {
		return ""
	}
	if headerValue(header, "X-Goog-Fieldmask") != "" {
		return "header.X-Goog-FieldMask"
	}
	_, query, _ := strings.Cut(uri, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, text, _ := strings.Cut(pair, "=")
		key, errKey := url.QueryUnescape(key)
		text, errText := url.QueryUnescape(text)
		switch name := strings.ToLower(strings.TrimPrefix(key, "$")); {
		case errKey != nil || errText != nil:
			return "query"
		case name == "fields":
			return "query." + name
		case name == "alt" && text != "" && !strings.EqualFold(text, "json") && !strings.EqualFold(text, "sse"):
			return "query." + name
		}
	}
	return ""
}

var geminiStatuses = map[int]string{
	400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "RESOURCE_EXHAUSTED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
	409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}

// geminiError follows google.rpc.Status. ErrorInfo.metadata is a map of strings, so the facts are one JSON string in it.
func geminiError(e ErrorInfo) []byte {
	meta := []byte{'{'}
	gjson.ParseBytes(e.Credits).ForEach(func(k, v gjson.Result) bool {
		value := v.Str
		if v.Type != gjson.String {
			value = v.Raw
		}
		meta = textMember(meta, k.String(), value)
		return true
	})
	if e.RequestID != "" {
		meta = textMember(meta, "request_id", e.RequestID)
	}
	info := textMember([]byte{'{'}, "@type", "type.googleapis.com/google.rpc.ErrorInfo")
	info = textMember(info, "reason", strings.ToUpper(e.Reason))
	info = textMember(info, "domain", "farebox")
	info = append(member(info, "metadata", append(meta, '}')), '}')
	inner := member([]byte{'{'}, "code", []byte(strconv.Itoa(e.Status)))
	inner = textMember(textMember(inner, "message", e.Message), "status", statusWord(geminiStatuses, e.Status))
	inner = member(inner, "details", append(append([]byte{'['}, info...), ']'))
	return append(member([]byte{'{'}, "error", append(inner, '}')), '}')
}

var interactionsJob = Jobs{
	id: "id", status: "status", pending: []string{"queued", "in_progress"},
	finished: []string{"completed", "incomplete"}, failed: []string{"failed", "cancelled"},
}

var interactionsUsage = []place{
	{path: "interaction.usage", base: "interaction.", mark: `"usage"`},
	{path: "usage", mark: `"usage"`},
}

var interactionsFields = slices.Concat([]field{
	{"total_input_tokens", cInput},
	{"total_output_tokens", cOutput},
	{"total_thought_tokens", cReasoning},
	{"total_cached_tokens", cCacheRead},
	{"total_tool_use_tokens", cToolUse},
	{`grounding_tool_count.#(type=="google_search").count`, cWebSearch},
},
	byModality("input_tokens_by_modality", cTextIn, cAudioIn, cImageIn, cVideoIn),
	byModality("cached_tokens_by_modality", cCachedTextIn, cCachedAudioIn, cCachedImageIn, cCachedVideoIn),
	byModality("output_tokens_by_modality", 0, cAudioOut, cImageOut, cVideoOut),
)

// byModality are the parts of a count in Interactions; 0: not counted by itself.
func byModality(at string, text, audio, image, video count) (list []field) {
	for _, m := range []struct {
		name string
		to   count
	}{{"text", text}, {"audio", audio}, {"image", image}, {"video", video}} {
		if m.to != 0 {
			for _, name := range []string{m.name, strings.ToUpper(m.name)} { // documented in small letters
				list = append(list, field{at + `.#(modality=="` + name + `").tokens`, m.to})
			}
		}
	}
	return list
}

var geminiInteractions = profile{
	name: "gemini-interactions", family: FamilyGemini, provider: "gemini",
	match:  post("/v1beta/interactions"),
	models: []string{"model", "agent"},
	limit:  OutputLimit{fields: []string{"generation_config.max_output_tokens", "generationConfig.maxOutputTokens"}, zeroIsNone: true},
	usage:  interactionsUsage, fields: interactionsFields, output: outputAdded,
	text: textSpec{
		roots: []string{"delta", "steps", "outputs"},
		keys:  map[string]textKind{"text": textString, "arguments": textJSON},
	},
	done:   []string{"interaction.complete", "interaction.completed"},
	failed: []string{"error", "interaction.failed"},
	job:    &interactionsJob,
}

var geminiInteractionsPoll = geminiInteractions.poll(getItem("/v1beta/interactions"))

// Google's long-running operations (Veo, Imagen): the answer names an operation, which is polled.

var geminiLongJob = Jobs{
	id: "name", flag: "done",
	poll: func(create, id string) string {
		i := strings.Index(create, "/models/")
		if p := strings.Index(create, "/projects/"); p >= 0 {
			i = p
		}
		if i < 0 {
			return ""
		}
		return create[:i] + "/" + id
	},
}

var geminiLongParts = []countedField{
	{`"generatedSamples"`, "response.generateVideoResponse.generatedSamples.#", cVideos},
	{`"generatedVideos"`, "response.generatedVideos.#", cVideos},
	{`"videos"`, "response.videos.#", cVideos}, // Vertex
}

var geminiLong = profile{
	name: "gemini-long", family: FamilyGemini, provider: "gemini", models: []string{},
	match: geminiPath("predictLongRunning"),
	job:   &geminiLongJob, noUsage: true,
	asks: func(q *demand) { q.video(8, "parameters.durationSeconds", "parameters.duration_seconds") },
}

var geminiLongPoll = profile{
	name: "gemini-long-poll", family: FamilyGemini, provider: "gemini",
	match: getItem("/operations"),
	fixed: geminiLongParts, job: &geminiLongJob, noUsage: true,
}
