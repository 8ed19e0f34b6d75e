package dialect

import "strings"

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
	intInput: "input", usage: topUsage, fields: embeddingFields, output: outputZero,
}

var azureEmbeddings = profile{
	name: "azure-embeddings", family: FamilyOpenAI, provider: "azure", models: []string{},
	match:    deployment("/embeddings"),
	intInput: "input", usage: topUsage, fields: embeddingFields, output: outputZero,
}

// openaiImages: GPT image models report tokens, others only the images themselves.
var openaiImages = profile{
	name: "openai-images", family: FamilyOpenAI, provider: "openai",
	match:     post("/images/generations", "/images/edits", "/images/variations"),
	multiples: []string{"n"},
	usage:     topUsage, fields: responsesFields,
	pictures: true,
	fixed:    []fixedCount{{`"data"`, "data.#", cImages}},
	perDone:  []count{cImages},
	done:     []string{"image_generation.completed", "image_edit.completed"},
	failed:   []string{"error"},
	noUsage:  true,
}

// openaiSpeech answers with sound; what is billed by characters is in the request. As events it reports tokens.
var openaiSpeech = profile{
	name: "openai-speech", family: FamilyOpenAI, provider: "openai",
	match:   post("/audio/speech"),
	usage:   topUsage,
	fields:  openaiAudio.fields,
	done:    openaiAudio.done,
	failed:  openaiAudio.failed,
	noUsage: true,
}

// openaiAudio: transcriptions report tokens or seconds (usage.type), as JSON or in the last event; plain text reports nothing.
var openaiAudio = profile{
	name: "openai-audio", family: FamilyOpenAI, provider: "openai",
	match: post("/audio/transcriptions", "/audio/translations"),
	usage: []place{{mark: `"duration"`}, topUsage[0]},
	fields: append([]field{
		{"duration", cMillis}, // of verbose_json, which has no usage
		{"seconds", cMillis},
		{"audio_tokens", cAudioIn}, // Mistral
	}, openaiFields...),
	text:   textSpec{roots: []string{"delta", "text"}},
	done:   []string{"transcript.text.done", "speech.audio.done"},
	failed: []string{"error"},
}

var openaiModerations = profile{
	name: "openai-moderations", family: FamilyOpenAI, provider: "openai", free: true,
	match: post("/v1/moderations"),
}

var videoJob = Jobs{
	id: "id", status: "status",
	pending:  []string{"queued", "in_progress", "processing", "pending"},
	finished: []string{"completed", "succeeded"},
	failed:   []string{"failed", "cancelled", "canceled", "expired"},
	poll: func(create, id string) string {
		head, _, ok := strings.Cut(create, "/v1/videos")
		if !ok || strings.Contains(id, "/") {
			return ""
		}
		return head + "/v1/videos/" + id
	},
}

// openaiVideo is the shape of the former Sora API, which other hosts keep. seconds is a string there.
var openaiVideo = profile{
	name: "openai-video", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		rest, ok := after(path, "/v1/videos")
		return matched{}, ok && method == "POST" && (rest == "" || rest == "/edits" || rest == "/extensions" || strings.HasSuffix(rest, "/remix"))
	},
	usage: topUsage, fields: responsesFields,
	fixed:   []fixedCount{{`"seconds"`, "seconds", cMillis}},
	perBody: []count{cVideos},
	job:     &videoJob, noUsage: true,
}

var openaiVideoPoll = profile{
	name: "openai-video-poll", family: FamilyOpenAI, provider: "openai",
	match: getItem("/v1/videos"),
	usage: topUsage, fields: responsesFields,
	fixed:   openaiVideo.fixed,
	perBody: openaiVideo.perBody,
	job:     &videoJob, noUsage: true,
}

// openaiRead are the requests of the OpenAI API that never cost anything: lists, downloads, deletions.
var openaiRead = profile{
	name: "openai-read", family: FamilyOpenAI, provider: "openai", free: true,
	match: func(method, path string) (matched, bool) {
		if method == "POST" {
			return matched{}, false
		}
		for _, s := range []string{"/v1/models", "/v1/files", "/v1/videos", "/v1/batches", "/v1/responses", "/v1/chat/completions"} {
			if hasSegments(path, s) {
				return matched{}, true
			}
		}
		return matched{}, false
	},
}
