package dialect

import (
	"strings"
)

// Interactions and the long-running operations of Google (Veo, Imagen).

var interactionsJob = Jobs{
	id: "id", status: "status", pending: []string{"queued", "in_progress"},
	finished: []string{"completed", "incomplete"}, failed: []string{"failed", "cancelled"},
}

var interactionsUsage = []place{
	{path: "interaction.usage", base: "interaction.", mark: `"usage"`},
	{path: "usage", mark: `"usage"`},
}

var interactionsFields = fieldsOf([]field{
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

var geminiInteractionsPoll = profile{
	name: "gemini-interactions-poll", family: FamilyGemini, provider: "gemini",
	match: getItem("/v1beta/interactions"),
	usage: interactionsUsage, fields: interactionsFields, output: outputAdded,
	job: &interactionsJob,
}

// Google's long-running operations (Veo, Imagen): the answer names the operation, whose resource says when it is done.

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

var geminiLongParts = []fixedCount{
	{`"generatedSamples"`, "response.generateVideoResponse.generatedSamples.#", cVideos},
	{`"generatedVideos"`, "response.generatedVideos.#", cVideos},
	{`"videos"`, "response.videos.#", cVideos}, // Vertex
}

var geminiLong = profile{
	name: "gemini-long", family: FamilyGemini, provider: "gemini", models: []string{},
	match: geminiPath("predictLongRunning"),
	job:   &geminiLongJob, noUsage: true,
	asks: func(q *asking) { q.video(8, "parameters.durationSeconds", "parameters.duration_seconds") },
}

var geminiLongPoll = profile{
	name: "gemini-long-poll", family: FamilyGemini, provider: "gemini",
	match: func(method, path string) (matched, bool) {
		id, ok := after(path, "/operations/")
		return matched{}, ok && method == "GET" && id != "" && !strings.Contains(id, "/")
	},
	fixed: geminiLongParts, job: &geminiLongJob, noUsage: true,
}
