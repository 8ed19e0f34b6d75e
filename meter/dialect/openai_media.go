package dialect

import (
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Images, speech, transcriptions and videos of the OpenAI shapes.

// openaiImages: GPT image models report tokens, others only the images themselves.
var openaiImages = profile{
	name: "openai-images", family: FamilyOpenAI, provider: "openai",
	match:     post("/images/generations", "/images/edits", "/images/variations"),
	multiples: []string{"n"},
	usage:     topUsage, fields: openaiFields,
	pictures: true,
	fixed:    []countedField{{`"data"`, "data.#", cImages}},
	perDone:  []count{cImages},
	done:     []string{"image_generation.completed", "image_edit.completed"},
	failed:   []string{"error"},
	noUsage:  true, selfContained: true,
	asks: func(q *demand) { q.exactly("image", q.count(1, "n")) },
}

// openaiSpeech answers with sound; what is billed by characters is in the request. As events it reports tokens.
var openaiSpeech = profile{
	name: "openai-speech", family: FamilyOpenAI, provider: "openai",
	match:   post("/audio/speech"),
	usage:   topUsage,
	fields:  openaiAudio.fields,
	done:    openaiAudio.done,
	failed:  openaiAudio.failed,
	noUsage: true, sound: true, selfContained: true,
	asks: (*demand).speech,
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
	asks:   (*demand).recording, recordings: true, anyText: true, selfContained: true,
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
	usage: topUsage, fields: openaiFields,
	fixed:   []countedField{{`"seconds"`, "seconds", cMillis}},
	perBody: []count{cVideos},
	job:     &videoJob, noUsage: true,
	asks: func(q *demand) { q.video(4, "seconds", "duration") },
}

var openaiVideoPoll = openaiVideo.poll(getItem("/v1/videos"))

// speech is billed by the characters of its text. No voice is slower than four characters a second.
func (q *demand) speech() {
	text := gjson.GetBytes(q.doc, "input").Str
	n := int64(utf8.RuneCountInString(text))
	q.exactly("character", n)
	slowest := int64(1) // the least speed that the API takes is a quarter
	if speed, ok := q.number(1000, "speed"); ok && speed < 1000 {
		slowest = ceilDiv(1000, max(speed, 250))
	}
	q.millis(max(n, 1)*250*slowest, max(n, 1)*1000/15) // fifteen is usual
}
