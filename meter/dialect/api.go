package dialect

import (
	"strings"

	"github.com/farebox-dev/farebox/meter/dialect/frame"
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

// profile describes one endpoint as data. Paths are gjson paths unless said otherwise.
type profile struct {
	name, family string
	errors       *ErrorFormat                              // default: the family's
	provider     string                                    // what a hint may say instead of the exact name
	match        func(method, path string) (matched, bool) // path is cleaned and decoded, possibly below a mount prefix
	hintOnly     bool                                      // shares its paths with another API
	fileBatch    bool                                      // its requests are in an uploaded file
	free         bool                                      // never charged: counting, moderation, lists

	// Request.
	models    []string // default: model
	limit     OutputLimit
	multiples []string // fields that multiply the output
	prompts   string   // a field whose array length multiplies the output (legacy completions)
	streams   bool     // streams unless told otherwise (Ollama)
	inject    bool     // stream_options.include_usage may be asked for
	intInput  string   // a field that may hold token ids instead of text (embeddings)

	// Answer.
	usage      []place
	fields     []field
	fixed      []fixedCount
	perDone    []count // counted once for each event in done
	perBody    []count // counted once for a whole JSON answer
	headers    []headerField
	searches   func(r *Reader, answer []byte) // counts searches that have no number in the usage
	sums       string                         // a list in the usage whose members' sums count if larger (Anthropic's iterations)
	exclusive  bool                           // input excludes cache reads and writes
	output     outputRule
	text       textSpec
	done       []string // event types that end the answer well
	failed     []string // event types that end it badly
	job        *Jobs
	unwrap     func(frame.Event) []byte // the document in an event, if that is not its data
	arrays     bool                     // streams may be one JSON array (Gemini)
	lines      bool                     // newline-delimited JSON, whatever the content type says (batch results)
	sum        bool                     // every usage is a part of the answer's (turns of a socket, lines of a batch)
	socket     bool                     // speaks WebSocket
	freeObject string                   // the object of answers that cost nothing: a free API has the same path
	pictures   bool                     // output whose parts are not reported is pictures
	noUsage    bool                     // the answer is complete without token usage (images, jobs, plain)
}

// matched is what a path says beyond its endpoint.
type matched struct {
	model  string
	stream bool
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

var plain = profile{name: "plain", family: FamilyPlain, noUsage: true}

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

// post matches POST requests whose path ends with one of the given suffixes.
func post(suffixes ...string) func(method, path string) (matched, bool) {
	return func(method, path string) (matched, bool) {
		if method != "POST" {
			return matched{}, false
		}
		for _, s := range suffixes {
			if strings.HasSuffix(path, s) {
				return matched{}, true
			}
		}
		return matched{}, false
	}
}

// getItem matches GET requests for one item of a collection: …/v1/videos/{id}.
func getItem(collection string) func(method, path string) (matched, bool) {
	return func(method, path string) (matched, bool) {
		id, ok := after(path, collection+"/")
		return matched{}, ok && method == "GET" && id != "" && !strings.Contains(id, "/")
	}
}

// after returns what follows the last occurrence of mark, which must start at a segment border.
func after(path, mark string) (string, bool) {
	i := strings.LastIndex(path, mark)
	if i < 0 {
		return "", false
	}
	return path[i+len(mark):], true
}

// hasSegments says whether whole segments of path, anywhere, read like segs ("/v1/messages").
func hasSegments(path, segs string) bool {
	for i := 0; ; {
		j := strings.Index(path[i:], segs)
		if j < 0 {
			return false
		}
		i += j + len(segs)
		if i == len(path) || path[i] == '/' {
			return true
		}
	}
}
