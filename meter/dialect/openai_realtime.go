package dialect

import (
	"bytes"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
	"github.com/farebox-dev/farebox/meter/dialect/tokens"
)

// OpenAI Realtime, over WebSocket. Each response.done reports one whole turn, which reads the conversation again: turns add up,
// cancelled ones too. Another model transcribes the caller's speech and reports its own usage.
// Source: openai-go realtime/realtime.go.

const transcribed = "conversation.item.input_audio_transcription.completed"

var openaiRealtime = profile{
	name: "openai-realtime", family: FamilyOpenAI, provider: "openai",
	match: func(method, path string) (matched, bool) {
		return matched{stream: true}, method == "GET" && (strings.HasSuffix(path, "/v1/realtime") || strings.HasSuffix(path, "/openai/realtime"))
	},
	socket: true, sum: true,
	usage: []place{
		{path: "response.usage", base: "response.", mark: `"usage"`, kind: "response.done"},
		{path: "usage", mark: `"usage"`, kind: transcribed, separate: true},
	},
	fields: append([]field{{"seconds", cMillis}}, openaiFields...), // seconds: of a transcription that is billed by the minute
	text:   textSpec{roots: []string{"delta"}},
	done:   []string{"response.done"},
}

// Speech without its own count: OpenAI counts a token for 50 ms that it speaks and for 100 ms that it hears. These are characters
// of base64 of 24 kHz PCM, the usual format.
const (
	spokenPerToken = 24_000 * 2 / 20 * 4 / 3
	heardPerToken  = 24_000 * 2 / 10 * 4 / 3
)

// turn is what is known of the current turn before its usage is reported.
type turn struct {
	open   bool
	spoken int64 // characters of base64
	heard  int64
	typed  tokens.Counter
	before int64 // tokens that the turn before read and wrote: the next one reads them again
}

// NewSocketReader starts reading the messages of a WebSocket; see Reader.Event and Reader.ClientEvent.
func (a *API) NewSocketReader() *Reader {
	r := a.NewReader(101, nil, ReaderOptions{})
	r.format = frame.Socket
	return r
}

// Event takes one message of the server.
func (r *Reader) Event(data []byte) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || data[0] != '{' {
		return
	}
	r.doc.Reset()
	r.doc.Write(data)
	if !r.doc.Complete() {
		r.doc.Reset()
		return
	}
	kind := string(jsonscan.Content(jsonscan.Get(r.doc.Bytes(), "type")))
	switch {
	case kind == "response.created":
		r.turn.open = true
	case strings.HasSuffix(kind, "audio.delta"):
		r.turn.spoken += int64(len(jsonscan.Content(jsonscan.Get(data, "delta"))))
	case strings.HasPrefix(kind, "session."):
		r.session(r.doc.Bytes())
	}
	r.answer(r.doc.Bytes(), "")
	if kind == "response.done" {
		before := int64(0)
		for _, t := range []string{"input_tokens", "output_tokens"} {
			if n, ok := parseNumber(jsonscan.Get(r.doc.Bytes(), "response.usage."+t), 1); ok && n > 0 {
				before += n
			}
		}
		r.turn, r.scan, r.contents = turn{before: before}, tokens.Counter{}, 0
	}
	r.doc.Reset()
}

// ClientEvent takes one message of the client: what the next turn will read.
func (r *Reader) ClientEvent(data []byte) {
	switch kind := string(jsonscan.Content(jsonscan.Get(data, "type"))); kind {
	case "input_audio_buffer.append":
		r.turn.heard += int64(len(jsonscan.Content(jsonscan.Get(data, "audio"))))
	case "input_audio_buffer.clear":
		r.turn.heard = 0
	case "conversation.item.create", "response.create":
		r.turn.typed.Write(data)
	}
}

// session reads which model speaks and which one transcribes.
func (r *Reader) session(data []byte) {
	if m := jsonscan.Content(jsonscan.Get(data, "session.model")); len(m) > 0 {
		r.model = string(m)
	}
	for _, path := range []string{"session.audio.input.transcription.model", "session.input_audio_transcription.model"} {
		if m := jsonscan.Content(jsonscan.Get(data, path)); len(m) > 0 {
			r.transcriber = string(m)
		}
	}
}

// pendingInput estimates the input of the turn that has not reported its usage.
func (t *turn) pendingInput() (input int64) {
	if !t.open {
		return 0
	}
	return t.before + t.heard/heardPerToken + t.typed.Tokens()
}
