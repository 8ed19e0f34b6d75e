// Package dialect reads the wire protocols of AI APIs: what a request asks for, what an answer used, how a refusal looks.
//
// It is pure: no I/O, no clock, no goroutines. It knows tokens, not prices.
//
// An [API] is one endpoint of one provider. [Detect] finds it by method and path and never fails: what it does not know is
// plain HTTP. [API.ReadRequest], [API.EstimateInput] and [API.Prepare] work on the request body before it is sent;
// a [Reader] follows the answer as its bytes pass and has a [Result] at any time. Whatever an upstream sends, the reader
// never changes the client's bytes, except for the usage chunk that [API.Prepare] itself asked for.
//
// A new API is a profile in one file: where to find the model, the output limit, the usage, the text; and an entry in profiles.
package dialect

import (
	"strings"
)

// Families decide the shape of a refusal and the tokenizer factor.
const (
	FamilyOpenAI    = "openai"
	FamilyAnthropic = "anthropic"
	FamilyGemini    = "gemini"
	FamilyPlain     = "plain"
)

// API is one endpoint of one provider's wire protocol. It is immutable and safe for concurrent use.
type API struct {
	// Name identifies the endpoint, for example "openai-chat", "anthropic-messages", "plain".
	Name string
	// Family decides the error shape: openai, anthropic, gemini or plain.
	Family string
	// Unknown says that nothing is known about the protocol.
	Unknown bool
	// Free says that the API never charges: counting tokens, moderation, lists.
	Free bool
	// FileBatch says that the requests to pay for are in an uploaded file, not in the body.
	FileBatch bool
	// Socket says that the API is a WebSocket that can be metered.
	Socket bool
	// PathModel is the model named in the path (Gemini, Bedrock, Azure, Replicate), "" elsewhere.
	PathModel string

	pathStream bool // the path asks for a stream (Gemini, Bedrock)
	profile    *profile
}

// profiles in the order in which they are tried; the more specific path first.
var profiles = []*profile{
	&azureChat, &azureEmbeddings, &mistralChat, &mistralOther, &mistralOCR, &mistralConversations, &openaiChat, &openaiResponsesCount, &openaiResponses, &openaiResponsesPoll, &openaiCompletions,
	&openaiRealtime,
	&openaiEmbeddings, &openaiImages, &openaiSpeech, &openaiAudio, &openaiModerations, &openaiVideoPoll, &openaiVideo,
	&anthropicCount, &anthropicBatch, &anthropicBatchPoll, &anthropicBatchResults, &anthropicMessages, &anthropicVertex,
	&openaiBatchPoll, &openaiBatch, &openaiBatchResults, &openaiRead,
	&geminiCount, &vertexPredict, &geminiGenerate, &geminiEmbed, &geminiInteractions, &geminiInteractionsPoll, &geminiLong, &geminiLongPoll,
	&bedrockConverse, &bedrockInvoke,
	&ollamaChat, &ollamaEmbed, &cohereChat, &cohereEmbed, &cohereRerank, &rerank,
	&llamaCompletion, &tgiGenerate, &openaiRuns, &openaiRunsPoll,
	&replicatePoll, &replicate, &falPoll, &fal,
}

// Detect finds the API of a request. path is cleaned and decoded, without the query; it may carry a mount prefix.
// hint is the name of an API ("openai-chat") or of a provider ("mistral"), or "". The result is never nil.
func Detect(method, path, hint string) *API {
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if hint == plain.name {
		return plainFor(path)
	}
	for _, p := range profiles {
		if hint != "" && p.name == hint {
			m, _ := p.match(method, path)
			return p.api(m)
		}
	}
	for _, p := range profiles {
		if m, ok := p.match(method, path); ok && hint != "" && p.provider == hint {
			return p.api(m)
		}
	}
	for _, p := range profiles {
		if m, ok := p.match(method, path); ok && !p.hintOnly {
			return p.api(m)
		}
	}
	return plainFor(path)
}

func (p *profile) api(m matched) *API {
	return &API{
		Name: p.name, Family: p.family, Unknown: p == &plain, Free: p.free, FileBatch: p.fileBatch, Socket: p.socket,
		PathModel: m.model, pathStream: m.stream, profile: p,
	}
}

var plain = profile{name: "plain", family: FamilyPlain, noUsage: true, asks: (*asking).anything}

// plainFor is the API of an unknown endpoint. Its family still follows the neighbourhood of the path, so that an
// official SDK understands a refusal.
func plainFor(path string) *API {
	a := plain.api(matched{})
	switch {
	case hasSegments(path, "/v1/messages"):
		a.Family = FamilyAnthropic
	case hasSegments(path, "/v1beta"):
		a.Family = FamilyGemini
	case hasSegments(path, "/v1"), hasSegments(path, "/openai"):
		a.Family = FamilyOpenAI
	}
	return a
}
